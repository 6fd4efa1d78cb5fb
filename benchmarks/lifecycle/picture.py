"""The story in one picture: who was pleased, which model answered, and whether anybody had to wait."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.lifecycle.shoppers import K, Visit

BIN_S = 10.0
BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f"
"""Okabe and Ito's, which the colour-blind can tell apart."""


class Mark(NamedTuple):
    """Something that happened: when (seconds since the epoch), in words, and in which colour."""

    at: float
    what: str
    colour: str = GREY


def draw(visits: Sequence[Visit], marks: Sequence[Mark], names: dict[str, str], path: Path) -> Path:
    """Write the picture as PNG, below 150 kB.

    Args:
        visits: of the whole story.
        marks: in order of time; their numbers stand in the picture, their words below it.
        names: bundle version -> what it is called in the legend, in the order in which the models came.
    """
    start = visits[0].at
    minutes = np.array([(visit.at - start) / 60 for visit in visits])
    edges = np.arange(0, minutes.max() + BIN_S / 60, BIN_S / 60)
    figure = Figure(figsize=(9, 7.6), layout="constrained")
    pleased, answered, waited = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.6, 1.6))
    _clicks(pleased, visits, minutes, edges)
    _models(answered, visits, minutes, edges, names)
    _waiting(waited, visits, minutes, edges)
    for axes in (pleased, answered, waited):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
        for mark in marks:
            axes.axvline((mark.at - start) / 60, color=mark.colour, linewidth=1.1, alpha=0.8)
    for number, mark in enumerate(marks, start=1):
        at = (mark.at - start) / 60
        pleased.annotate(str(number), (at, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom",
                         fontsize=9, color=mark.colour, weight="bold")  # fmt: skip
    waited.set_xlabel("minutes\n" + _legend(marks), loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _legend(marks: Sequence[Mark]) -> str:
    return "\n".join(f"{number}  {mark.what}" for number, mark in enumerate(marks, start=1))


def _binned(values: NDArray[np.float64], minutes: NDArray[np.float64], edges: NDArray[np.float64]) -> list[NDArray]:
    place = np.digitize(minutes, edges) - 1
    return [values[place == n] for n in range(len(edges))]


def _clicks(axes: Axes, visits: Sequence[Visit], minutes: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
    clicks = np.array([visit.clicks / K for visit in visits])
    bins = _binned(clicks, minutes, edges)
    means = np.array([each.mean() if len(each) else np.nan for each in bins])
    halves = np.array([1.96 * each.std() / np.sqrt(len(each)) if len(each) else np.nan for each in bins])
    middle = edges + BIN_S / 120
    axes.fill_between(middle, 100 * (means - halves), 100 * (means + halves), color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(middle, 100 * means, color=BLUE, linewidth=1.8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("clicks per item shown, %")
    axes.set_title(f"People's clicks, {BIN_S:.0f} s at a time, 95 % intervals", loc="left", fontsize=10, pad=16)


def _models(
    axes: Axes,
    visits: Sequence[Visit],
    minutes: NDArray[np.float64],
    edges: NDArray[np.float64],
    names: dict[str, str],
) -> None:
    counts = {
        name: np.array(
            [each.sum() for each in _binned(np.array([v.version == version for v in visits], float), minutes, edges)]
        )
        for version, name in names.items()
    }
    total = np.maximum(sum(counts.values()), 1)
    shares = [100 * each / total for each in counts.values()]
    axes.stackplot(edges, *shares, labels=list(counts), colors=(GREY, BLUE, ORANGE, PINK), step="post")
    axes.set_ylabel("answers, %")
    axes.set_ylim(0, 100)
    axes.set_title("Which model answered", loc="left", fontsize=10)
    axes.legend(loc="center left", fontsize=8, framealpha=0.9)


def _waiting(axes: Axes, visits: Sequence[Visit], minutes: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
    took = np.array([visit.took_ms for visit in visits])
    failed = sum(visit.status != 200 for visit in visits)
    for share, style in ((50, "-"), (99, ":")):
        values = [np.percentile(each, share) if len(each) else np.nan for each in _binned(took, minutes, edges)]
        axes.plot(edges + BIN_S / 120, values, style, color=GREEN, label=f"p{share}")
    axes.set_yscale("log")
    axes.set_ylabel("answer, ms")
    axes.set_title(f"How long it took: {len(visits):,} requests, {failed} failed", loc="left", fontsize=10)
    axes.legend(loc="upper left", fontsize=8, frameon=False, ncols=2)
