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
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import row_path, state_memory
from benchmarks.dataflow_cost import CORES, Track, made_up_events
from flows.load import prepare
from infra.settings import SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError

SECTIONS = ("dataflow", "rows", "memory")
SERVERS = ("kafka", "redis", "postgres")
LEFT_OUT = {
    "reading and decoding only": "benchmarks.variants:decoding()",
    "without Redis and event store": "benchmarks.variants:without('redis', 'event_store')",
    "without Redis": "benchmarks.variants:without('redis')",
    "without event store": "benchmarks.variants:without('event_store')",
}

console = Console()


def dataflow(stack: Stack, options: argparse.Namespace) -> Table:
    """CPU time of the whole dataflow and of parts of it."""
    table = _table("Dataflow", "log", "dataflow", "events", "CPU us an event", "events/s/core", "events/s on the clock")
    made_up = made_up_events(options.events)
    track = _track(stack, "made-up")
    track.send(made_up)
    runs = {"whole": ("flows.stream:flow", 1), "whole, 2 processes": ("flows.stream:flow", 2)}
    runs |= {name: (flow, 1) for name, flow in LEFT_OUT.items()}
    for name, (flow, processes) in runs.items():
        cost = track.cost(len(made_up), flow, processes)
        _add(table, "made up", name, cost.events, cost.cpu_us, cost.per_core, cost.events / cost.wall_s)
    films = sorted(prepare("ml-100k", stack.settings.home / "dataset").events(), key=lambda e: (e.time_us, e.event_id))
    track = _track(stack, "films")
    track.send(films)
    cost = track.cost(len(films))
    _add(table, "MovieLens-100K", "whole", cost.events, cost.cpu_us, cost.per_core, cost.events / cost.wall_s)
    for per_s in options.rates:
        events = made_up_events(int(per_s * options.seconds), seed=int(per_s))
        cost = _track(stack, f"rate-{per_s:.0f}").cost_of_stream(events, per_s)
        label = f"coming in at {len(events) / cost.wall_s:,.0f}/s"
        _add(table, label, f"whole; done {cost.behind_s:.1f} s after", cost.events, cost.cpu_us, cost.per_core, per_s)
    return table


def _track(stack: Stack, name: str) -> Track:
    return Track(stack.settings, stack.environment(), name)


def rows(stack: Stack, options: argparse.Namespace) -> Table:
    """Rows a second into Redis."""
    table = _table("Rows of user_features into Redis", "way", "rows/s", "us a row", "times store.push")
    rates = row_path.measure(stack.settings)
    for (way, how), rate in rates.items():
        times = rate / rates["store.push", how]
        table.add_row(f"{way}, {how}", f"{rate:,.0f}", f"{1e6 / rate:,.0f}", f"{times:.1f}")
    return table


def memory(stack: Stack, options: argparse.Namespace) -> Table:
    """Memory of the states of many users."""
    table = _table("States of users", "events a user", "users measured", "bytes a user", "100,000 users", "snapshot")
    for events_each, users in ((20, 100_000), (100, 20_000)):
        found = state_memory.of_users(users, events_each)
        each = found.states / users
        cells = (users, each, 1e5 * each / 2**20, found.snapshot)
        texts = ("{:,.0f}", "{:,.0f}", "{:,.0f} MiB", "{:,.0f} bytes a user")
        table.add_row(str(events_each), *(text.format(cell) for text, cell in zip(texts, cells, strict=True)))
    return table


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left")


def _add(table: Table, *cells: str | float) -> None:
    table.add_row(*(cell if isinstance(cell, str) else f"{cell:,.0f}" for cell in cells))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma separated")
    parser.add_argument("--events", type=int, default=100_000, help="events in the log")
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
