"""What ``benchmarks.quality`` shows: tables for a terminal, plain values for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from models.judging import COLD, TRUTHS, Evaluation
from models.metrics import Quality, Ratio

PRODUCT = "product"
MODES = ("live", "frozen")


class Cost(NamedTuple):
    """CPU seconds of one training (settings given), mean CPU milliseconds of one request, and the settings chosen."""

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
        ratio, others = self.evaluation.ratio, self.others
        return {
            mode: {truth: {name: ratio((mode, PRODUCT), (mode, name), truth) for name in others} for truth in TRUTHS}
            for mode in MODES
        }

    @cached_property
    def cold_ratios(self) -> dict[str, dict[str, Ratio]]:
        """The same for new users, live, next moment: segment -> system."""
        ratio, live = self.evaluation.ratio, "live"
        return {
            segment: {name: ratio((live, PRODUCT), (live, name), segment=segment) for name in self.others}
            for segment in self.segments
        }

    @property
    def others(self) -> list[str]:
        """Everyone but the product."""
        return [name for name in (*self.own, *self.peers) if name != PRODUCT]

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
            _ratio_table(self),
            *([_cold_table(self), _cold_ratio_table(self)] if self.segments else []),
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
        cold = {segment: {name: _plain(r) for name, r in each.items()} for segment, each in self.cold_ratios.items()}
        return {
            "catalog_size": self.evaluation.catalog_size,
            "own": list(self.own),
            "peers": list(self.peers),
            "quality": self.evaluation.as_json(),
            "product_over": ratios,
            "live_product_over_by_new_users": cold,
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
        f"({report.best_frozen}): {_interval(lift)}"
    )
    table = _table(title, [f"{mode}, {truth}" for mode in MODES for truth in TRUTHS])
    for name in report.others:
        table.add_row(name, *(_interval(report.ratios[mode][truth][name]) for mode in MODES for truth in TRUTHS))
    return table


def _cold_ratio_table(report: Report) -> Table:
    table = _table("New users: NDCG@10 of the product over that of others, live, next", report.segments)
    for name in report.others:
        table.add_row(name, *(_interval(report.cold_ratios[segment][name]) for segment in report.segments))
    return table


def _interval(ratio: Ratio) -> str:
    return f"{ratio.ratio:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def _cost_table(report: Report) -> Table:
    table = _table("Cost", ["fit CPU-s", "request CPU-ms"])
    table.add_column("settings chosen")
    for name, cost in report.costs.items():
        chosen = ", ".join(f"{key} {value}" for key, value in cost.settings.items())
        table.add_row(name, f"{cost.fit_cpu_s:.1f}", f"{cost.request_cpu_ms:.2f}", chosen)
    return table
