"""One request stage by stage, beside the least that each stage could be: ``python -m benchmarks.serving.request_path``.

The recommender's own parts run in this process on a prepared home's Redis and bundle, with 500 candidates and every
answer made anew. For each of some users every stage is called with what it gets in a request, and so is its floor: the
bare library call on inputs that lie ready. In a pass each user gets the whole request, or all stages, or all floors one
after another, so that each finds the processor's caches as a request does; of several rounds each user's median counts.
The whole is ``Pipeline.recommend`` and the answer as JSON, HTTP apart. CPU time is that of the thread that
answers.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import inspect
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis import RedisError
from rich.console import Console
from rich.table import Table

from benchmarks.serving import home as serving_home
from benchmarks.serving.home import ServingHome
from benchmarks.serving.request_stages import FLOORS, STAGES, WHOLE, Bench, Prepared
from flows.console import tracked
from flows.dataset import DatasetError
from infra.processes import StackError
from infra.settings import SettingsError

AIM = 1.5
OTHER = "all else"
"""Filling the list up, places for new items, pages, the impression, ids, the answer."""

Call = Callable[[Prepared], Any]

console = Console(width=None if sys.stdout.isatty() else 120)


@dataclass(frozen=True)
class Times:
    """Microseconds over all users: percentiles on the clock, and the mean CPU time."""

    p50: float
    p99: float
    cpu: float

    @classmethod
    def of(cls, found: NDArray[np.float64]) -> Times:
        """From [users, 2]: seconds on the clock and of CPU time."""
        p50, p99 = np.percentile(found[:, 0], [50, 99])
        return cls(float(1e6 * p50), float(1e6 * p99), float(1e6 * found[:, 1].mean()))


@dataclass(frozen=True)
class RequestPath:
    """One home's figures.

    Attributes:
        stages, floors: by stage; a stage without a floor of its own has 0 there.
        whole: the whole request; other: what of it is in no stage; sum_of_floors: per user, then over users.
        all_threads_us: CPU time of the process a request, with what runs beside it.
    """

    stages: Mapping[str, Times]
    floors: Mapping[str, Times]
    whole: Times
    other: Times
    sum_of_floors: Times
    all_threads_us: float

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self) | {"whole_over_floors": {name: self.over(name) for name in ("p50", "p99", "cpu")}}

    def over(self, figure: str) -> float:
        """The whole over the sum of the floors."""
        return float(getattr(self.whole, figure) / getattr(self.sum_of_floors, figure))


async def measure(home: ServingHome, users: int, rounds: int) -> RequestPath:
    """Prepare, and let all calls pass. Raises StackError, redis.RedisError."""
    with serving_home.opened(home) as stack:
        async with Bench.opened(stack.settings) as bench:
            prepared = [await bench.prepare(user_id) for user_id in home.user_ids(2 * users)]
            known = [each for each in prepared if each is not None][:users]
            if not known:
                raise DatasetError(f"{home.source}: none of {len(prepared)} users has acts")
            gc.freeze()  # what is prepared here is no part of a service's heap
            groups: list[dict[str, Call]] = [{WHOLE: bench.whole}, bench.calls(STAGES), bench.calls(FLOORS)]
            times: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
            all_threads: list[float] = []
            turns = [group for _ in range(rounds) for group in groups]
            for group in tracked(turns, home.source, total=len(turns), unit="passes"):
                began = time.process_time()
                for name, found in (await _passed(group, known)).items():
                    times[name].append(found)
                if WHOLE in group:
                    all_threads.append((time.process_time() - began) / (len(known) + 1))
    middle = {name: np.median(np.stack(rounds_of), axis=0) for name, rounds_of in times.items()}
    return RequestPath(
        {name: Times.of(middle[name]) for name in STAGES},
        {name: Times.of(middle[name]) for name in FLOORS},
        Times.of(middle[WHOLE]),
        Times.of(middle[WHOLE] - np.sum([middle[name] for name in STAGES], axis=0)),
        Times.of(np.sum([middle[name] for name in FLOORS], axis=0)),
        1e6 * median(all_threads),
    )


async def _passed(calls: Mapping[str, Call], users: Sequence[Prepared]) -> dict[str, NDArray[np.float64]]:
    """Seconds on the clock and of CPU time of every call for each user: [users, 2]. The first user goes twice."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for user in (users[0], *users):
        for name, call in calls.items():
            clock, cpu = time.perf_counter(), time.thread_time()
            answer = call(user)
            if inspect.isawaitable(answer):
                await answer
            found[name].append((time.perf_counter() - clock, time.thread_time() - cpu))
    return {name: np.array(each[1:]) for name, each in found.items()}


def table(name: str, path: RequestPath) -> Table:
    """All figures of one home."""
    title = f"{name}: microseconds of one request, {serving_home.CANDIDATES} candidates"
    shown = Table(title=title, title_justify="left")
    columns = ("p50", "p99", "CPU", "floor p50", "p99 ", "CPU ", "over floor")
    for column in ("stage", *columns):
        shown.add_column(column, justify="left" if column == "stage" else "right", no_wrap=True)
    rows = [(stage, times, path.floors.get(f"{stage}, bare")) for stage, times in path.stages.items()]
    rows += [(OTHER, path.other, None), ("whole, sum of floors", path.whole, path.sum_of_floors)]
    for stage, ours, floor in rows:
        bare = [f"{value:,.0f}" for value in (floor.p50, floor.p99, floor.cpu)] if floor else [""] * 3
        times = f"{ours.cpu / floor.cpu:.2f}" if floor and floor.cpu else ""
        shown.add_row(stage, f"{ours.p50:,.0f}", f"{ours.p99:,.0f}", f"{ours.cpu:,.0f}", *bare, times)
    shown.caption = (
        f"whole over floors: p50 {path.over('p50'):.2f}, p99 {path.over('p99'):.2f}, CPU {path.over('cpu'):.2f} "
        f"(aim {AIM}); CPU of all threads of the process: {path.all_threads_us:,.0f} a request"
    )
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.request_path", description=__doc__)
    serving_home.add_arguments(parser)
    parser.add_argument("--users", type=int, default=500, help="users with acts that are asked for")
    parser.add_argument("--rounds", type=int, default=5, help="passes of every call")
    options = parser.parse_args(arguments)
    users, rounds = (50, 2) if options.quick else (options.users, options.rounds)
    try:
        homes = serving_home.chosen(options)
        found = {home.source: asyncio.run(measure(home, users, rounds)) for home in homes}
    except (SettingsError, DatasetError, StackError, RedisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, path in found.items():
        console.print(table(name, path))
    serving_home.write_json(options.json, {name: path.as_json() for name, path in found.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
