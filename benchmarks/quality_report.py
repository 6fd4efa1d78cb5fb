"""What ``benchmarks.quality`` shows: tables for a terminal, plain values for a file, plots for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from models.judging import COLD, TRUTHS, Evaluation
from models.metrics import Quality, Ratio

PRODUCT = "product"
MODES = ("live", "frozen")
CURVES = 7
"""Most systems in a plot of lines."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's, which the colour-blind can tell apart; the first is the product's."""


class Cost(NamedTuple):
    """CPU seconds to train (tuning included), mean CPU milliseconds of one request, and the settings chosen."""

    fit_cpu_s: float
    request_cpu_ms: float
    settings: Mapping[str, object]


@dataclass(frozen=True)
class Report:
    """One run of the benchmark.

    Attributes:
        evaluation: of all systems.
        own: the product's own systems (its sources, what it is without one of them, itself).
        peers: what others would use instead.
        costs: of the product and of each peer.
    """

    evaluation: Evaluation
    own: Sequence[str]
    peers: Sequence[str]
    costs: Mapping[str, Cost]

    @cached_property
    def ratios(self) -> dict[str, dict[str, dict[str, Ratio]]]:
        """NDCG@10 of the product over each other system's: mode -> truth -> system."""
        others = [name for name in (*self.own, *self.peers) if name != PRODUCT]
        return {
            mode: {
                truth: {name: self.evaluation.ratio((mode, PRODUCT), (mode, name), truth) for name in others}
                for truth in TRUTHS
            }
            for mode in MODES
        }

    @cached_property
    def best_frozen(self) -> str:
        """The system that does best with the state of the split."""
        return max(self.evaluation.results["frozen"], key=lambda name: self.quality(name, "frozen").means["ndcg@10"])

    @cached_property
    def lift(self) -> Ratio:
        """What live state is worth: the product over the best frozen system, next moment."""
        return self.evaluation.ratio(("live", PRODUCT), ("frozen", self.best_frozen))

    def quality(self, system: str, mode: str = "live", truth: str = "next", segment: str = "all") -> Quality:
        """Figures of a system."""
        return self.evaluation.judgements[mode][system].quality[truth][segment]

    def tables(self) -> list[Table]:
        """Everything that a reader in a hurry wants."""
        return [
            _quality_table(self),
            _list_table(self),
            *([_cold_table(self)] if self.segments else []),
            _ratio_table(self),
            _cost_table(self),
        ]

    @property
    def segments(self) -> list[str]:
        """The segments of new users that somebody belongs to."""
        there = self.evaluation.judgements["live"][PRODUCT].quality["next"]
        return [name for name in ("cold", *COLD) if name in there]

    def as_json(self) -> dict[str, Any]:
        """All figures as plain values; a ratio over nothing has no number."""
        ratios = {
            mode: {truth: {name: _plain(r) for name, r in systems.items()} for truth, systems in truths.items()}
            for mode, truths in self.ratios.items()
        }
        return {
            "catalog_size": self.evaluation.catalog_size,
            "own": list(self.own),
            "peers": list(self.peers),
            "quality": self.evaluation.as_json(),
            "product_over": ratios,
            "live_product_over_best_frozen": {"system": self.best_frozen, **_plain(self.lift)},
            "costs": {name: cost._asdict() for name, cost in self.costs.items()},
        }


def _plain(ratio: Ratio) -> dict[str, float | None]:
    return {name: round(value, 4) if np.isfinite(value) else None for name, value in ratio._asdict().items()}


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("system")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _ndcg(quality: Quality) -> str:
    return f"{quality.means['ndcg@10']:.4f} ±{quality.half_widths['ndcg@10']:.4f}"


def _quality_table(report: Report) -> Table:
    size = report.quality(PRODUCT)
    table = _table(
        f"NDCG@10 ± 95 % by user; {size.moments:,} moments of {size.users:,} users, "
        f"all {report.evaluation.catalog_size:,} items ranked, seen left out",
        [f"{mode}, {truth}" for mode in MODES for truth in TRUTHS],
    )
    for group in (report.own, report.peers):
        for name in group:
            table.add_row(name, *(_ndcg(report.quality(name, mode, truth)) for mode in MODES for truth in TRUTHS))
        table.add_section()
    return table


def _list_table(report: Report) -> Table:
    metrics = ("hr@10", "recall@10", "recall@20", "recall@50")
    table = _table("Lists of the live state, next moment", [*metrics, "coverage@10", "top-1 % share"])
    for group in (report.own, report.peers):
        for name in group:
            q = report.quality(name)
            table.add_row(name, *(f"{q.means[m]:.4f}" for m in metrics), f"{q.coverage:.3f}", f"{q.top_share:.3f}")
        table.add_section()
    return table


def _cold_table(report: Report) -> Table:
    counts = {segment: report.quality(PRODUCT, segment=segment).moments for segment in report.segments}
    title = "New users by their acts so far: NDCG@10 of the live state, next moment"
    table = _table(title, [f"{segment} ({n:,})" for segment, n in counts.items()])
    for group in (report.own, report.peers):
        for name in group:
            table.add_row(name, *(_ndcg(report.quality(name, segment=segment)) for segment in counts))
        table.add_section()
    return table


def _ratio_table(report: Report) -> Table:
    lift = report.lift
    title = (
        "NDCG@10 of the product over that of others, paired; 95 % by users drawn again. Live over the best frozen "
        f"({report.best_frozen}): {lift.ratio:.2f} [{lift.low:.2f}, {lift.high:.2f}]"
    )
    table = _table(title, [f"{mode}, {truth}" for mode in MODES for truth in TRUTHS])
    for group in (report.own, report.peers):
        for name in group:
            if name != PRODUCT:
                found = [report.ratios[mode][truth][name] for mode in MODES for truth in TRUTHS]
                table.add_row(name, *(f"{r.ratio:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in found))
        table.add_section()
    return table


def _cost_table(report: Report) -> Table:
    table = _table("Cost", ["fit CPU-s", "request CPU-ms"])
    table.add_column("settings chosen")
    for name, cost in report.costs.items():
        chosen = ", ".join(f"{key} {value}" for key, value in cost.settings.items())
        table.add_row(name, f"{cost.fit_cpu_s:.1f}", f"{cost.request_cpu_ms:.2f}", chosen)
    return table


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
