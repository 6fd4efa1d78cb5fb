"""The picture of ``benchmarks.growth``: what grows with users, and what with items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.growth_bounds import Figures, Sweep
from flows.plots import COLOURS

BLUE, ORANGE, GREEN, PINK = COLOURS[:4]
MB = 1e6

Curve = tuple[str, str, Callable[[Figures], float]]
"""Name, colour, value at one size."""

COSTS: tuple[tuple[str, Sequence[Curve]], ...] = (
    (
        "dataflow: CPU µs an event",
        (
            ("1,000 users act", BLUE, lambda f: f["stream"]["few"]["cpu_us"]),
            ("everybody acts", ORANGE, lambda f: f["stream"]["everybody"]["cpu_us"]),
            ("events that waited", GREEN, lambda f: f["stream"]["waiting"]["cpu_us"]),
        ),
    ),
    (
        "a second on one core",
        (
            ("events that waited", GREEN, lambda f: 1e6 / f["stream"]["waiting"]["cpu_us"]),
            ("events as they come", ORANGE, lambda f: 1e6 / f["stream"]["everybody"]["cpu_us"]),
            ("requests", BLUE, lambda f: 1e3 / f["requests"]["cpu_ms"]),
        ),
    ),
    (
        "request: ms",
        (
            ("CPU, saturated", BLUE, lambda f: f["requests"]["cpu_ms"]),
            ("p50 at a fixed rate", ORANGE, lambda f: f["requests"]["on_time"]["p50_ms"]),
            ("p99 at a fixed rate", PINK, lambda f: f["requests"]["on_time"]["p99_ms"]),
        ),
    ),
    (
        "memory: MB",
        (
            ("dataflow", ORANGE, lambda f: f["stream"]["rss_bytes"] / MB),
            ("Redis", GREEN, lambda f: f["stream"]["redis_bytes"] / MB),
            ("recommender", BLUE, lambda f: f["requests"]["rss_bytes"] / MB),
        ),
    ),
)
LOGARITHMIC = ("a second on one core", "request: ms", "memory: MB")


def draw(sweeps: Mapping[str, Sweep], path: Path) -> Path:
    """Write the picture (by its suffix), a row a sweep; a sweep of nothing leaves its row empty."""
    figure = Figure(figsize=(13, 6.4), layout="constrained")
    grid = figure.subplots(len(sweeps), len(COSTS))
    for place, (row, (grows, sweep)) in enumerate(zip(grid, sweeps.items(), strict=True)):
        for axes, (title, curves) in zip(row, COSTS, strict=True):
            _panel(axes, grows, sweep, curves)
            axes.set_title(title, loc="left", fontsize=10)
            axes.set_yscale("log" if title in LOGARITHMIC else "linear")
            if title not in LOGARITHMIC:
                axes.set_ylim(bottom=0)
            if place == 0 and sweep:
                axes.legend(fontsize=7, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    return path


def _panel(axes: Axes, grows: str, sweep: Sweep, curves: Sequence[Curve]) -> None:
    for name, colour, value in curves:
        axes.plot(
            [each[grows] for each in sweep], [value(each) for each in sweep], "o-", ms=4, color=colour, label=name
        )
    axes.set_xscale("log")
    axes.set_xticks([each[grows] for each in sweep], [f"{each[grows]:,}" for each in sweep], fontsize=8)
    axes.minorticks_off()
    still = {"users": "items", "items": "users"}[grows]
    axes.set_xlabel(f"{grows}, with {sweep[0][still]:,} {still}" if sweep else grows)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
