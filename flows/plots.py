"""Pictures of one training, small PNG files: recall, calibration, learning curves, feature importance."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models.judging import Evaluation

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
"""Okabe and Ito's, which the colour-blind can tell apart; the first is the product's."""

PRODUCT = "product"
DEPTHS = (10, 20, 50)
BINS = 10
FEATURES = 15
"""Most features in the plot of importance."""

Curve = Sequence[tuple[int, float]]


def recall_plot(evaluation: Evaluation) -> Figure:
    """Recall at DEPTHS of every system, live state, all users."""
    figure, (axes,) = _figure("Recall at k of the next moment, live state", ["share of relevant items found"])
    systems = evaluation.results["live"]
    best = sorted(systems, key=lambda name: (name != PRODUCT, -systems[name].means["recall@10"]))
    for name, colour in zip(best, COLOURS, strict=False):
        values = [systems[name].means[f"recall@{depth}"] for depth in DEPTHS]
        axes.plot(DEPTHS, values, color=colour, marker="o", ms=4, lw=2.5 if name == PRODUCT else 1.2, label=name)
    axes.set_xticks(DEPTHS)
    axes.set_xlabel("k, length of the list")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def calibration_plot(reference: pd.DataFrame) -> Figure:
    """How often shown items were relevant, by bins of equally many scores; see ``reliability``."""
    figure, (axes,) = _figure("Calibration: relevance of shown items by score", ["share relevant, 95 % interval"])
    table = reliability(reference)
    axes.errorbar(
        table["score"], table["relevant"], yerr=1.96 * table["error"], color=COLOURS[0], marker="o", ms=4, capsize=2
    )
    axes.set_xlabel(f"mean score of each tenth of {len(reference):,} shown items")
    axes.set_ylim(bottom=0)
    return figure


def reliability(reference: pd.DataFrame) -> pd.DataFrame:
    """Shown items in BINS of equally many by score: columns score (mean), relevant (share), error, items.

    ``error`` is the standard error of the share as if items were independent.
    """
    ordered = reference.sort_values("prediction", kind="stable")
    rows = []
    for part in np.array_split(np.arange(len(ordered)), BINS):
        if len(part):
            scores, labels = (ordered[name].to_numpy()[part] for name in ("prediction", "label"))
            share = float(labels.mean())
            rows.append((float(scores.mean()), share, float(np.sqrt(share * (1 - share) / len(part))), len(part)))
    return pd.DataFrame(rows, columns=["score", "relevant", "error", "items"])


def learning_plot(losses: Mapping[str, Curve], ndcg: Sequence[float], trees: int) -> Figure:
    """The retriever's running loss by step, and the ranker's cross-validated NDCG@10 by number of trees."""
    figure, (left, right) = _figure("Learning curves", ["retriever: running loss", "ranker: NDCG@10, held-out users"])
    for (name, curve), colour in zip(losses.items(), COLOURS, strict=False):
        if curve:
            left.plot(*zip(*curve, strict=True), color=colour, lw=1.5, label=name)
    left.set_xlabel("step")
    left.legend(fontsize=8, frameon=False)
    right.plot(range(len(ndcg)), ndcg, color=COLOURS[0], lw=1.5)
    right.axvline(trees, color=COLOURS[1], lw=1, ls="--")
    right.annotate(f"{trees} trees stand", (trees, min(ndcg, default=0)), xytext=(4, 2), textcoords="offset points")
    right.set_xlabel("trees")
    return figure


def importance_plot(table: pd.DataFrame) -> Figure:
    """The features of most gain in the trees, and those that move the score most.

    Args:
        table: columns feature, gain, moves.
    """
    figure, panels = _figure("Feature importance", ["", ""])
    titles = {
        "gain": ("share of all gain of the trees", "no tree stands"),
        "moves": ("mean absolute part in the score, fusion and trees", "nothing was shown"),
    }
    for axes, (column, (title, nothing)) in zip(panels, titles.items(), strict=True):
        best = table[table[column] > 0].nlargest(FEATURES, column)[::-1]
        if len(best):
            values = best[column] / table["gain"].sum() if column == "gain" else best[column]
            axes.barh(best["feature"], values, color=COLOURS[0], height=0.7)
        else:
            axes.text(0.5, 0.5, nothing, ha="center", transform=axes.transAxes)
            axes.set_yticks([])
        axes.tick_params(axis="y", labelsize=7)
        axes.set_xlabel(title)
    return figure


def png(figure: Figure) -> bytes:
    """The file of a figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=90)
    return file.getvalue()


def _figure(title: str, labels: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each label of a y axis."""
    figure = Figure(figsize=(3.6 + 3.6 * len(labels), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    panels = list(np.atleast_1d(figure.subplots(1, len(labels))))
    for axes, label in zip(panels, labels, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.set_ylabel(label)
    return figure, panels
