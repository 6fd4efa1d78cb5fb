"""End to end over HTTP, Freshet and the textbook's recommender in turns: ``python -m benchmarks.serving.http_load``.

Both serve the same bundle from the same Redis, each as one worker of ``bentoml serve`` on one core; clients, Redis and
Kafka have the others. Freshet keeps no answers and refuses nobody here. Closed loop by wrk with 1, 8 and 32
connections; open loop at a fixed rate (the peer at half of what it carries, where it does not carry the rate). Users
are the data set's own in random order. Beforehand the feature values that the peer ranks by are compared with
Freshet's, for the same users, candidates and clock. CPU time is that of the server's processes; "requests/s/core"
divides by it, so that it does not change when other work slows the machine.

At last a trivial request, ``GET /health``, beside the same answer by a bare ASGI application on uvicorn.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.serving import home as serving_home
from benchmarks.serving.equal_features import largest_difference
from benchmarks.serving.home import ServingHome
from benchmarks.serving.load_clients import (
    CLIENT,
    Figures,
    NoClient,
    Server,
    closed_loop,
    middle,
    on_cores,
    open_loop,
    serving,
    warm,
)
from flows.console import tracked
from flows.dataset import DatasetError
from infra.processes import StackError
from infra.servers import PARTS, script
from infra.settings import Settings, SettingsError
from infra.stack import Stack

COMPARED = 20
TOLERANCE = 1e-4

console = Console(width=None if sys.stdout.isatty() else 140)


@dataclass(frozen=True)
class System:
    """Something to be measured: how it is started, and how it is asked."""

    name: str
    command: Callable[[Settings], Sequence[str]]
    ready: str
    request: Callable[[str], str]
    slow: bool = False


def _bentoml(target: str) -> Callable[[Settings], Sequence[str]]:
    return lambda settings: [
        *(script("bentoml"), "serve", target, "--host", settings.host),
        *("--port", str(settings.recommender_port)),
    ]


def _uvicorn(settings: Settings) -> list[str]:
    address = ["--host", settings.host, "--port", str(settings.recommender_port)]
    return [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks.serving.bare:app",
        *address,
        "--no-access-log",
        "--lifespan",
        "off",
    ]


OURS = System("Freshet", PARTS["recommender"].command, "/ready", lambda user: f"GET /recommend?user_id={user}&k=10")
PEER = System(
    "textbook",
    _bentoml("benchmarks.serving.textbook:Textbook"),
    "/readyz",
    lambda user: f'POST /recommend {{"user_id":"{user}","k":10}}',
    slow=True,
)
HEALTH = System("Freshet GET /health", OURS.command, "/ready", lambda _: "GET /health")
BARE = System("bare uvicorn", _uvicorn, "/", lambda _: "GET /")


@dataclass(frozen=True)
class Effort:
    """How much is measured; ``slow_seconds``: of a closed loop on a slow system."""

    connections: Sequence[int]
    seconds: float
    slow_seconds: float
    rounds: int
    rate: float
    open_seconds: float


FULL = Effort((1, 8, 32), 6, 15, 2, 150, 20)
QUICK = Effort((1, 8), 2, 3, 1, 50, 3)


@dataclass(frozen=True)
class Results:
    """Figures by system and load, and each system's memory as ``Server.memory`` tells it."""

    figures: Mapping[tuple[str, str], Figures]
    memory: Mapping[str, Mapping[str, float]]

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        loads: dict[str, Any] = {name: {"memory": dict(each)} for name, each in self.memory.items()}
        for (name, load), figures in self.figures.items():
            loads[name][load] = asdict(figures) | {"per_core": figures.per_core}
        return loads


def measure(stack: Stack, systems: Sequence[System], users: Sequence[str], effort: Effort) -> Results:
    """All systems side by side, in turns. Raises StackError, NoClient."""
    lines = {system.name: [system.request(user) for user in users] for system in systems}
    found: defaultdict[tuple[str, str], list[Figures]] = defaultdict(list)
    with ExitStack() as running:
        servers: dict[str, Server] = {}
        for system in systems:
            servers[system.name] = running.enter_context(serving(stack, system.name, system.command, system.ready))
            warm(servers[system.name], lines[system.name])
        turns = [(s, c) for _ in range(effort.rounds) for c in effort.connections for s in systems]
        for system, connections in tracked(turns, "closed loop", total=len(turns), unit="runs"):
            seconds = effort.slow_seconds if system.slow else effort.seconds
            figures = closed_loop(servers[system.name], lines[system.name], connections, seconds)
            found[system.name, f"{connections} connections"].append(figures)
        for system in tracked(systems, "open loop", total=len(systems), unit="runs") if effort.rate else ():
            carried = max(run.per_s for (name, _), runs in found.items() for run in runs if name == system.name)
            rate = min(effort.rate, carried / 2) if system.slow else effort.rate
            figures = open_loop(servers[system.name], lines[system.name], rate, effort.open_seconds)
            found[system.name, f"{rate:.3g}/s, open loop"].append(figures)
        memory = {name: server.memory() for name, server in servers.items()}
    return Results({key: middle(runs) for key, runs in found.items()}, memory)


NEVER_REFUSE = {"max_in_flight": 1_000, "max_queue_ms": 60_000.0}
"""Whoever is refused in a closed loop asks again at once: that would measure refusals."""


def serve(home: ServingHome, effort: Effort, users: int) -> Results:
    """Freshet and the peer from one home; beforehand their feature values are compared. Raises StackError, NoClient."""
    with on_cores(CLIENT), serving_home.opened(home, **NEVER_REFUSE) as stack:
        ids = home.user_ids(users)
        difference = largest_difference(stack.settings, ids[:COMPARED])
        console.print(f"{home.source}: feature values of both differ by {difference:.1e} at most")
        if not difference <= TOLERANCE:
            raise StackError(f"{home.source}: the peer does not rank by Freshet's feature values")
        return measure(stack, (OURS, PEER), ids, effort)


def trivial(home: ServingHome, effort: Effort) -> Results:
    """``GET /health`` and the same answer from a bare application. Raises StackError, NoClient."""
    with on_cores(CLIENT), serving_home.opened(home, **NEVER_REFUSE) as stack:
        return measure(stack, (HEALTH, BARE), [""], replace(effort, rate=0))


def table(title: str, results: Results) -> Table:
    """All figures of one home."""
    memory = "; ".join(
        f"{name}: {each['rss_mib']:,.0f} MiB a worker, {each['own_mib']:,.0f} of it its own"
        for name, each in results.memory.items()
    )
    shown = Table(title=title, caption=memory, title_justify="left", caption_justify="left")
    columns = (
        "requests/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "CPU ms",
        "requests/s/core",
        "answers",
        "not 2xx",
        "failed",
    )
    for name in ("system", "load", *columns):
        shown.add_column(name, justify="left" if name in ("system", "load") else "right", no_wrap=True)
    for (name, load), f in results.figures.items():
        times = (f"{value:,.2f}" for value in (f.p50, f.p99, f.p999, f.cpu_ms))
        counts = (f"{value:,}" for value in (f.requests, f.refused, f.failed))
        shown.add_row(name, load, f"{f.per_s:,.1f}", *times, f"{f.per_core:,.0f}", *counts)
    return shown


def ratios(homes: Mapping[str, Results], ours: System, other: System) -> Table:
    """Freshet over another system under the same load."""
    shown = Table(title=f"{ours.name} over {other.name}", title_justify="left")
    for name in ("data set", "load", "requests/s", "requests/s/core", "p50", "p99", "p99 ms less"):
        shown.add_column(name, justify="left" if name in ("data set", "load") else "right", no_wrap=True)
    for home, results in homes.items():
        for (name, load), mine in results.figures.items():
            if name == ours.name and (theirs := results.figures.get((other.name, load))):
                times = (mine.per_s / theirs.per_s, mine.per_core / theirs.per_core)
                shares = (mine.p50 / theirs.p50, mine.p99 / theirs.p99)
                cells = (*(f"{value:,.3g} times" for value in times), *(f"{value:.3g}" for value in shares))
                shown.add_row(home, load, *cells, f"{theirs.p99 - mine.p99:,.2f}")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.http_load", description=__doc__)
    serving_home.add_arguments(parser)
    parser.add_argument("--only", choices=("recommend", "trivial"), help="only this part")
    parser.add_argument("--users", type=int, default=20_000, help="different users that are asked for")
    parser.add_argument("--rate", type=float, help=f"requests a second of the open loop (default: {FULL.rate:g})")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    effort = replace(effort, rate=options.rate or effort.rate)
    found: dict[str, Results] = {}
    least: dict[str, Results] = {}
    try:
        homes = serving_home.chosen(options)
        for home in homes if options.only != "trivial" else ():
            found[home.source] = serve(home, effort, options.users)
        for home in homes[:1] if options.only != "recommend" else ():
            least[home.source] = trivial(home, effort)
    except (SettingsError, DatasetError, StackError, NoClient) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, results in (found | {f"{name}: trivial requests": results for name, results in least.items()}).items():
        console.print(table(name, results))
    for results_by_home, pair in ((found, (OURS, PEER)), (least, (HEALTH, BARE))):
        if results_by_home:
            console.print(ratios(results_by_home, *pair))
    parts = {"recommend": found, "trivial": least}
    serving_home.write_json(
        options.json, {part: {name: each.as_json() for name, each in homes.items()} for part, homes in parts.items()}
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
