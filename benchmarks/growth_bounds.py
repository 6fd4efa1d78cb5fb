"""How the cost may grow, said before it was measured, and whether it did: the end of ``benchmarks.growth``.

Reading and writing a state is a look into a dictionary and one hash of Redis, which do not grow with the number of
keys but for the processor's caches, which hold ever less of it. What may grow: rows a batch, because with few users
several events of a batch share one; the exact search of vectors and the mask of what may be shown, with the items, up
to 50,000 of them, and above that the cells of an inverted file, with their square root; memory, in proportion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Figures = Mapping[str, Any]
"""Of one size: ``stream`` and ``requests``, and the numbers of users and items."""

Sweep = Sequence[Figures]
"""Sizes in ascending order."""

KB = 1_000


class Verdict(NamedTuple):
    """One bound: what grew, from and to which value, what was allowed, and whether it held."""

    what: str
    found: str
    allowed: str
    held: bool


class Bound(NamedTuple):
    """``figure`` of the largest size may be ``times`` that of the smallest one."""

    what: str
    sweep: str
    figure: Callable[[Figures], float]
    times: float
    unit: str

    def verdict(self, sweep: Sweep) -> Verdict:
        first, last = self.figure(sweep[0]), self.figure(sweep[-1])
        found = f"{first:.3g} -> {last:.3g} {self.unit}, {last / first:.2f} times"
        sizes = f"{sweep[0][self.sweep]:,} -> {sweep[-1][self.sweep]:,} {self.sweep}"
        return Verdict(f"{self.what}, {sizes}", found, f"{self.times:g} times", last <= self.times * first)


class Each(NamedTuple):
    """``figure`` divided by the number of users or items: between the two largest sizes so many bytes a piece."""

    what: str
    sweep: str
    figure: Callable[[Figures], float]
    most_kb: float

    def verdict(self, sweep: Sweep) -> Verdict:
        before, last = sweep[-2], sweep[-1]
        more = last[self.sweep] - before[self.sweep]
        each_kb = (self.figure(last) - self.figure(before)) / more / KB
        what = f"{self.what}, {before[self.sweep]:,} -> {last[self.sweep]:,} {self.sweep}"
        return Verdict(what, f"{each_kb:.2f} KB each", f"{self.most_kb:g} KB each", each_kb <= self.most_kb)


def _of(*path: str) -> Callable[[Figures], float]:
    def figure(figures: Figures) -> float:
        found: Any = figures
        for name in path:
            found = found[name]
        return float(found)

    return figure


BOUNDS: tuple[Bound | Each, ...] = (
    Bound("CPU an event, 1,000 users act", "users", _of("stream", "few", "cpu_us"), 1.5, "us"),
    Bound("CPU an event, everybody acts", "users", _of("stream", "everybody", "cpu_us"), 2, "us"),
    Bound("CPU an event that waited", "users", _of("stream", "waiting", "cpu_us"), 5, "us"),
    Bound("CPU an event, 1,000 users act", "items", _of("stream", "few", "cpu_us"), 1.5, "us"),
    Bound("CPU an event, everybody acts", "items", _of("stream", "everybody", "cpu_us"), 1.5, "us"),
    Bound("CPU an event that waited", "items", _of("stream", "waiting", "cpu_us"), 2, "us"),
    Each("memory of the dataflow", "users", _of("stream", "rss_bytes"), 6),
    Each("memory of Redis", "users", _of("stream", "redis_bytes"), 3),
    Each("memory of Redis", "items", _of("stream", "redis_bytes"), 3),
    Bound("CPU a request", "users", _of("requests", "cpu_ms"), 1.3, "ms"),
    Bound("CPU a request", "items", _of("requests", "cpu_ms"), 2.5, "ms"),
    Bound("p99 at a fixed rate", "users", _of("requests", "on_time", "p99_ms"), 2, "ms"),
    Bound("p99 at a fixed rate", "items", _of("requests", "on_time", "p99_ms"), 4, "ms"),
    Bound("memory of the recommender", "users", lambda each: each["requests"]["rss_bytes"] / 1e6, 1.2, "MB"),
    Each("memory of the recommender", "items", _of("requests", "rss_bytes"), 8),
)


def verdicts(sweeps: Mapping[str, Sweep]) -> list[Verdict]:
    """All bounds over the sweeps ``users`` and ``items``; one with fewer than two sizes says nothing."""
    return [bound.verdict(sweeps[bound.sweep]) for bound in BOUNDS if len(sweeps[bound.sweep]) > 1]
