"""The plots of ``benchmarks.quality``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.quality_report import PRODUCT, Report

CURVES = 7
"""Most systems in a plot of lines."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's, which the colour-blind can tell apart; the first is the product's."""


def write_plots(report: Report, folder: Path) -> list[Path]:
    """PNG files, each below 100 kB.

    Returns:
        Their paths: live against frozen, recall by length of the list, new users by their acts, own systems.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"quality-live-frozen": _live_frozen(report), "quality-recall": _recall(report)}
    figures["quality-ablation"] = _ablation(report)
    if report.segments:
        figures["quality-new-users"] = _new_users(report)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=110, bbox_inches="tight")
    return paths


def _axes(height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, height))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    return figure, axes


def _by_live(report: Report, names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: report.quality(name).means["ndcg@10"])


def _live_frozen(report: Report) -> Figure:
    names = _by_live(report, [*report.peers, PRODUCT] if report.peers else report.own)
    figure, axes = _axes(1.2 + 0.32 * len(names), "NDCG@10 of the next moment, 95 % intervals by user")
    for mode, marker, colour in (("live", "o", COLOURS[0]), ("frozen", "s", COLOURS[-1])):
        qualities = [report.quality(name, mode) for name in names]
        means, halves = ([getattr(q, field)["ndcg@10"] for q in qualities] for field in ("means", "half_widths"))
        axes.errorbar(means, range(len(names)), xerr=halves, fmt=marker, color=colour, capsize=2, label=f"{mode} state")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", frameon=False)
    return figure


def _ablation(report: Report) -> Figure:
    names = [name for name in _by_live(report, report.own) if name != PRODUCT]
    title = "NDCG@10 as a share of the whole product's, live, next moment; paired 95 % intervals"
    figure, axes = _axes(1.2 + 0.32 * len(names), title)
    shares = [report.evaluation.ratio(("live", name), ("live", PRODUCT)) for name in names]
    around = [[s.ratio - s.low for s in shares], [s.high - s.ratio for s in shares]]
    bars = axes.barh(names, [s.ratio for s in shares], xerr=around, color=COLOURS[5], capsize=2, height=0.7)
    axes.bar_label(bars, labels=[f"{s.ratio:.3f}" for s in shares], padding=4, fontsize=8)
    axes.axvline(1, color=COLOURS[0])
    return figure


def _curves(report: Report) -> list[tuple[str, str]]:
    """The systems worth a line, and their colours: the product, the best of the others, the least of them."""
    others = _by_live(report, [name for name in report.peers or report.own if name != PRODUCT])[::-1]
    chosen = others if len(others) < CURVES else [*others[: CURVES - 2], others[-1]]
    return list(zip([PRODUCT, *chosen], COLOURS, strict=False))


def _recall(report: Report) -> Figure:
    figure, axes = _axes(4.5, "Recall of the next moment by length of the list, live state")
    depths = (10, 20, 50)
    for name, colour in _curves(report):
        means = report.quality(name).means
        axes.plot(depths, [means[f"recall@{k}"] for k in depths], "o-", color=colour, label=name)
    axes.set_xticks(depths)
    axes.set_xlabel("items recommended")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _new_users(report: Report) -> Figure:
    segments = [segment for segment in report.segments if segment != "cold"]
    figure, axes = _axes(4.5, "New users: NDCG@10 of the next moment by their acts so far, live state")
    for name, colour in _curves(report):
        qualities = [report.quality(name, segment=segment) for segment in segments]
        means, halves = ([getattr(q, field)["ndcg@10"] for q in qualities] for field in ("means", "half_widths"))
        shown = halves if name == PRODUCT else None
        axes.errorbar(range(len(segments)), means, yerr=shown, fmt="o-", color=colour, capsize=3, label=name)
    labels = [
        f"{segment.removeprefix('cold, ')}\n{report.quality(PRODUCT, segment=segment).moments:,}"
        for segment in segments
    ]
    axes.set_xticks(range(len(segments)), labels)
    axes.set_xlabel("acts so far (and number of moments)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9)
    return figure
