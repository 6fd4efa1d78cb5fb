"""How costs grow with users and items: ``python -m benchmarks.growth [--json FILE] [--plot FILE]``.

At every size a stack of its own holds so many users, each with a short history, and so many items. Measured are the
dataflow (``growth_stream``) and then, over the same Redis, the recommender (``growth_requests``), each on a core of
its own, clients and servers on another; medians of rounds. The bounds of ``growth_bounds`` are checked at last: 1 is
returned when one is broken. With ``--json`` each size is written down when it is done, and not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import growth_requests, growth_sizes, growth_stream
from benchmarks.growth_bounds import Figures, Sweep, verdicts
from benchmarks.growth_plots import draw
from benchmarks.growth_report import put, report_tables
from benchmarks.growth_requests import RequestEffort
from benchmarks.growth_shop import populate
from benchmarks.growth_stream import StreamEffort
from benchmarks.serving.http_load import NEVER_REFUSE
from benchmarks.serving.load_clients import CLIENT, NoClient, on_cores
from flows.console import tracked
from infra.processes import StackError
from infra.settings import SettingsError, any_ports, load_settings
from infra.stack import Stack

USERS, ITEMS = (1_000, 10_000, 100_000, 1_000_000), (1_000, 10_000, 100_000)
WITH_USERS, WITH_ITEMS = 10_000, 10_000

console = Console(width=None if sys.stdout.isatty() else 160)


def sizes(options: argparse.Namespace) -> list[tuple[int, int]]:
    """Users and items of every stack: both sweeps, small ones first."""
    users = [(count, options.with_items) for count in options.users]
    items = [(options.with_users, count) for count in options.items]
    return sorted({*users, *items}, key=lambda size: (size[0] + size[1], size))


def measure(users: int, items: int, stream: StreamEffort, requests: RequestEffort) -> dict[str, Any]:
    """One size, in a stack of its own. Raises StackError, NoClient, TimeoutError."""
    population = populate(users, items)
    with tempfile.TemporaryDirectory(prefix="freshet-") as home:
        Path(home).chmod(0o755)  # PostgreSQL may run as another user
        served = {"bundle_dir": Path(home) / "bundle", "answer_cache": 0, **NEVER_REFUSE}
        settings = load_settings(home=Path(home), **any_ports(), **served)
        growth_stream.keep_history(settings, population)
        with on_cores(CLIENT), Stack(settings, growth_stream.PARTS) as stack:
            rebuild_s = growth_stream.until_rebuilt(growth_stream.Running(stack), population)
            growth_stream.put_standing_rows(stack.settings, population)
            events = growth_stream.measure(stack, population, stream, rebuild_s)
            stack.process("stream").stop()
            asked = growth_requests.measure(stack, population, requests)
    return {"users": users, "items": items, "stream": events, "requests": asked}


def sweeps(found: Mapping[str, Figures], options: argparse.Namespace) -> dict[str, Sweep]:
    """What was measured, by what grows."""
    by_users = [each for each in found.values() if each["items"] == options.with_items]
    by_items = [each for each in found.values() if each["users"] == options.with_users]
    return {
        "users": sorted(by_users, key=lambda each: each["users"]),
        "items": sorted(by_items, key=lambda each: each["items"]),
    }


def name_of(users: int, items: int) -> str:
    """A size's name in the file of figures."""
    return f"{users}x{items}"


def fill(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what the file of figures does not hold yet."""
    kept: dict[str, Any] = {"cores": os.cpu_count(), "points": {}}
    if options.json and options.json.exists():
        kept = json.loads(options.json.read_text())
    stream = StreamEffort(options.waiting, options.rate, options.seconds, options.few, options.rounds)
    requests = RequestEffort(
        seconds=options.seconds / 2, rounds=options.rounds, rate=options.request_rate, open_seconds=options.seconds
    )
    steps = [size for size in sizes(options) if name_of(*size) not in kept["points"]]
    for size in tracked([] if options.report else steps, "sizes", total=len(steps), unit="sizes"):
        console.print(f"{size[0]:,} users, {size[1]:,} items")
        kept["points"][name_of(*size)] = measure(*size, stream, requests)
        _write(options.json, kept)
    if "sizes" not in kept and options.sample and not options.report:
        kept["sizes"] = growth_sizes.measure(options.sample, options.seconds / 2)
        _write(options.json, kept)
    return kept


def _write(path: Path | None, figures: Mapping[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.new")
        aside.write_text(json.dumps(figures, indent=1))
        shutil.move(aside, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=USERS, help="users, with --with-items items")
    parser.add_argument("--items", type=int, nargs="*", default=ITEMS, help="items, with --with-users users")
    parser.add_argument("--with-users", type=int, default=WITH_USERS)
    parser.add_argument("--with-items", type=int, default=WITH_ITEMS)
    parser.add_argument("--waiting", type=int, default=20_000, help="events that wait in the log")
    parser.add_argument("--rate", type=float, default=1_000, help="events a second that come in")
    parser.add_argument("--few", type=int, default=1_000, help="users who act where few do")
    parser.add_argument("--request-rate", type=float, default=50, help="requests a second that are sent on time")
    parser.add_argument("--seconds", type=float, default=10, help="length of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; medians count")
    parser.add_argument("--sample", type=int, default=2_000, help="users whose rows and states are weighed; 0: none")
    parser.add_argument("--json", type=Path, metavar="FILE", help="figures; what stands there is not measured again")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture of both sweeps")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document in which the tables stand")
    parser.add_argument("--report", action="store_true", help="measure nothing: tables and bounds of --json")
    options = parser.parse_args(arguments)
    try:
        kept = fill(options)
    except (SettingsError, StackError, NoClient, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = sweeps(kept["points"], options)
    judged = verdicts(found)
    tables = report_tables(list(kept["points"].values()), kept.get("sizes"), judged)
    for table in tables:
        console.print(table.rich())
    if options.write:
        options.write.write_text(put(options.write.read_text(), "\n\n".join(table.markdown() for table in tables)))
    if options.plot:
        draw(found, options.plot)
    return 0 if all(verdict.held for verdict in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
