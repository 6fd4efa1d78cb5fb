"""How much one core carries: ``python -m benchmarks.throughput [--only dataflow,rows,memory]``.

``dataflow``: CPU time of the dataflow's process, pinned to a core of its own where there are two, for a log of made-up
events (1,000 users, 2,000 items, uniform: nothing is gained from popular keys) and for MovieLens-100K; what each part
costs, by leaving it out. ``rows``: the way of a row into Redis against Feast's own. ``memory``: of the states.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import row_path, state_memory
from benchmarks.dataflow_cost import CORES, WHOLE, Cost, Track, made_up_events
from feature_repo.events import Event
from flows.console import tracked
from flows.load import prepare
from infra.settings import SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError

SECTIONS = ("dataflow", "rows", "memory")
SERVERS = ("kafka", "redis", "postgres")
DATAFLOWS = {
    "whole": (WHOLE, 1),
    "whole, 2 processes": (WHOLE, 2),
    "reading and decoding only": ("benchmarks.variants:decoding()", 1),
    "without Redis and event store": ("benchmarks.variants:without('redis', 'event_store')", 1),
    "without Redis": ("benchmarks.variants:without('redis')", 1),
    "without event store": ("benchmarks.variants:without('event_store')", 1),
}
"""Name -> what Bytewax runs, and in how many processes."""
RUNS = [*(("made up", name) for name in DATAFLOWS), ("MovieLens-100K", "whole")]

console = Console()


def dataflow(stack: Stack, options: argparse.Namespace) -> Table:
    """CPU time of the whole dataflow and of parts of it."""
    columns = ("log", "dataflow", "CPU us an event", "events/s/core", "events/s on the clock")
    table = Table(*columns, title="Dataflow", title_justify="left")
    made_up = made_up_events(options.events)
    films = sorted(prepare("ml-100k", stack.settings.home / "dataset").events(), key=lambda e: (e.time_us, e.event_id))
    tracks = {"made up": _filled(stack, "made-up", made_up), "MovieLens-100K": _filled(stack, "films", films)}
    sizes = {"made up": len(made_up), "MovieLens-100K": len(films)}
    costs: dict[tuple[str, str], list[Cost]] = defaultdict(list)
    rounds = [(log, name) for _ in range(options.repeats) for log, name in RUNS]
    for log, name in tracked(rounds, "dataflows", total=len(rounds), unit="runs"):
        costs[log, name].append(tracks[log].cost(sizes[log], *DATAFLOWS[name]))
    for (log, name), found in costs.items():
        cost = sorted(found, key=lambda cost: cost.cpu_s)[len(found) // 2]
        _add(table, log, name, cost)
    for per_s in options.rates:
        events = made_up_events(int(per_s * options.seconds), seed=int(per_s))
        cost = Track(stack.settings, stack.environment(), f"rate-{per_s:.0f}").cost_of_stream(events, per_s)
        _add(table, f"coming in, {per_s:,.0f}/s", f"whole; {cost.behind:,} events behind at the end", cost)
    return table


def _filled(stack: Stack, name: str, events: Sequence[Event]) -> Track:
    track = Track(stack.settings, stack.environment(), name)
    track.send(events)
    return track


def _add(table: Table, log: str, name: str, cost: Cost) -> None:
    figures = (cost.cpu_us, cost.per_core, cost.events / cost.wall_s)
    table.add_row(log, name, *(f"{figure:,.0f}" for figure in figures))


def rows(stack: Stack, options: argparse.Namespace) -> Table:
    """Rows a second into Redis."""
    table = Table("way", "rows/s", "us a row", "times store.push", title="Rows of user_features into Redis")
    os.sched_setaffinity(0, CORES)  # beside Redis, not on its core
    rates = row_path.measure(stack.settings)
    for (way, how), rate in rates.items():
        times = rate / rates["store.push", how]
        table.add_row(f"{way}, {how}", f"{rate:,.0f}", f"{1e6 / rate:,.0f}", f"{times:.1f}")
    return table


def memory(stack: Stack, options: argparse.Namespace) -> Table:
    """Memory of the states of many users."""
    columns = ("events a user", "users measured", "bytes a user", "100,000 users", "snapshot")
    table = Table(*columns, title="States of users", title_justify="left")
    for events_each, users in ((20, 100_000), (100, 20_000)):
        found = state_memory.of_users(users, events_each)
        each = found.states / users
        cells = (users, each, 1e5 * each / 2**20, found.snapshot)
        texts = ("{:,.0f}", "{:,.0f}", "{:,.0f} MiB", "{:,.0f} bytes a user")
        table.add_row(str(events_each), *(text.format(cell) for text, cell in zip(texts, cells, strict=True)))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma separated")
    parser.add_argument("--events", type=int, default=100_000, help="events in the log")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each dataflow; the median counts")
    parser.add_argument("--rates", type=float, nargs="*", default=[1_000, 5_000], help="events a second, coming in")
    parser.add_argument("--seconds", type=float, default=20, help="how long they come in")
    options = parser.parse_args(arguments)
    sections: dict[str, Callable[[Stack, argparse.Namespace], Table]] = {
        "dataflow": dataflow,
        "rows": rows,
        "memory": memory,
    }
    os.sched_setaffinity(0, CORES[1:] or CORES)
    try:
        with tempfile.TemporaryDirectory(prefix="freshet-") as home:
            Path(home).chmod(0o755)  # PostgreSQL may run as another user
            with Stack(load_settings(home=Path(home), **any_ports()), SERVERS) as stack:
                tables = [sections[name](stack, options) for name in options.only.split(",")]
    except (SettingsError, StackError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for table in tables:
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
