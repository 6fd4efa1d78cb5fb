"""What experiments and shadow variants cost requests: ``python -m benchmarks.serving.experiments [--rounds N]``.

First in this process, in CPU time: how long it takes to find a user's place, and what a request takes more with
experiments than without, each user asking in every case in turn, so that other work on the machine cancels out. Then
over HTTP, at a fixed rate, one after the other on the same servers: without an experiment, with one of two equal
variants, and with a shadow beside it that is scored for a tenth of the requests and for all of them. The shadow is by
the model that serves, with other rules: so it holds the very lock that requests need.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import timeit
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.serving import home as serving_home
from benchmarks.serving.load_clients import CLIENT, Figures, NoClient, Server, middle, on_cores, open_loop, serving
from benchmarks.serving.request_stages import Bench
from bento.recommender.ask import Ask
from bento.recommender.placement import Running
from feature_repo.events import pseudonym
from flows.console import tracked
from flows.dataset import DatasetError
from infra.processes import StackError
from infra.servers import PARTS
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack
from models.experiment_store import ExperimentStore
from models.experiments import Experiment

POLL_S = 0.2
SHARES = (0.1, 1.0)
KEEP_UP_S = 1.0
WARM = 100

console = Console(width=None if sys.stdout.isatty() else 140)


def experiment(name: str, shadow: bool, rules: dict[str, float] | None = None) -> Experiment:
    """Two equal variants, with or without a shadow of other rules."""
    variants: list[dict[str, Any]] = [{"name": name, "share": 0.5, "rules": rules or {}} for name in "ab"]
    if shadow:
        variants.append({"name": "varied", "shadow": True, "rules": {"max_per_category": 3}})
    return Experiment.model_validate({"name": name, "variants": variants})


def places_us(count: int) -> float:
    """Microseconds that it takes to find a user's place in some experiments, pseudonym included."""
    running = Running([experiment(f"experiment-{n}", shadow=False) for n in range(count)])
    users = [f"user-{n}" for n in range(1_000)]

    def find() -> None:
        for user in users:
            running.place(pseudonym(user), lambda _: None)

    return min(timeit.repeat(find, number=1, repeat=20)) / len(users) * 1e6


async def requests_us(settings: Settings, users: Sequence[str], rounds: int) -> tuple[float, dict[str, float]]:
    """Median CPU microseconds of a request without an experiment, and by case of how many it takes more."""
    cases = {
        f"{count} of equal variants": [experiment(f"e-{n}", shadow=False) for n in range(count)] for count in (1, 3)
    }
    cases["1 with a rule"] = [experiment("rule", shadow=False, rules={"explore_share": 0.05})]
    found: defaultdict[str, list[int]] = defaultdict(list)
    async with Bench.opened(settings) as bench:
        pipeline, experiments = bench.runtime.pipeline, bench.runtime.experiments
        experiments.close()  # what runs is decided here
        running = [("none", None), *((case, Running(each)) for case, each in cases.items())]
        for user in [*users[:WARM], *(user for _ in range(rounds) for user in users)]:
            running.append(running.pop(0))  # who comes later finds the processor's caches warm
            for case, each in running:
                experiments.running, began = each, time.thread_time_ns()
                await pipeline.recommend(Ask(user, 10))
                found[case].append(time.thread_time_ns() - began)
    times = {case: np.array(each[WARM:]) / 1e3 for case, each in found.items()}
    base = times.pop("none")
    return float(np.median(base)), {case: float(np.median(each - base)) for case, each in times.items()}


def shadows(server: Server) -> dict[str, int]:
    """Lists of shadows so far, by what became of them."""
    lines = httpx.get(f"http://{server.host}:{server.port}/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("freshet_recommender_shadows_total{")]
    return {line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in found}


def measure(
    home: serving_home.ServingHome, *, rounds: int, rate: float, seconds: float
) -> tuple[dict[str, Figures], dict[str, dict[str, int]]]:
    """Figures by case, in turns, and what became of the shadows of each share. Raises StackError, NoClient."""
    found: defaultdict[str, list[Figures]] = defaultdict(list)
    with ExitStack() as running:
        running.enter_context(on_cores(CLIENT))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="freshet-experiments-")))
        databases = running.enter_context(Stack(load_settings(home=folder, **any_ports()), ("postgres",)))
        url = databases.settings.database_url
        store = running.enter_context(closing(ExperimentStore(url)))
        own: dict[str, Any] = {"database_url": url, "experiments_poll_s": POLL_S}
        stack = running.enter_context(serving_home.opened(home, **own))
        servers: dict[float, Server] = {}
        for share in SHARES:
            stack.settings = stack.settings.model_copy(update={"shadow_share": share})
            server = serving(stack, f"share {share:g}", PARTS["recommender"].command, "/ready")
            servers[share] = running.enter_context(server)
        lines = [f"GET /recommend?user_id={user}&k=10" for user in home.user_ids(5_000)]
        for each in servers.values():
            open_loop(each, lines, rate, KEEP_UP_S)
        cases = ["no experiment", "two variants", *(f"shadow of {share:.0%}" for share in SHARES)]
        turns = [(n, case) for n in range(rounds) for case in cases]
        for n, case in tracked(turns, "open loop", total=len(turns), unit="runs"):
            asked = servers[SHARES[-1] if case == cases[-1] else SHARES[0]]
            name = f"bench-{n}-{cases.index(case)}"
            if case != cases[0]:
                store.put(experiment(name, shadow=case.startswith("shadow")))
                time.sleep(2 * POLL_S)
            found[case].append(open_loop(asked, lines, rate, seconds))
            if case != cases[0]:
                time.sleep(KEEP_UP_S)
                store.end(name)
                time.sleep(2 * POLL_S)
        outcomes = {f"{share:.0%}": shadows(each) for share, each in servers.items()}
    return {case: middle(runs) for case, runs in found.items()}, outcomes


def table(title: str, figures: dict[str, Figures]) -> Table:
    """A row each case."""
    shown = Table(title=title, title_justify="left")
    for name in ("case", "answers", "p50 ms", "p99 ms", "p99.9 ms", "CPU ms", "not 2xx", "failed"):
        shown.add_column(name, justify="left" if name == "case" else "right", no_wrap=True)
    for case, f in figures.items():
        times = (f"{value:,.2f}" for value in (f.p50, f.p99, f.p999, f.cpu_ms))
        shown.add_row(case, f"{f.requests:,}", *times, f"{f.refused:,}", f"{f.failed:,}")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.experiments", description=__doc__)
    serving_home.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=3, help="turns of every case")
    parser.add_argument("--rate", type=float, default=100, help="requests a second")
    parser.add_argument("--seconds", type=float, default=15, help="of each turn")
    options = parser.parse_args(arguments)
    for count in (1, 3):
        console.print(f"a user's place in {count} experiments: {places_us(count):.2f} us")
    try:
        for home in serving_home.chosen(options):
            with serving_home.opened(home) as stack:
                cost = requests_us(stack.settings, home.user_ids(900), options.rounds)
                base, more = asyncio.run(cost)
            told = ", ".join(f"{case} {us:+.0f} us" for case, us in more.items())
            console.print(f"{home.source}: a request without experiments {base:,.0f} us; {told}")
            figures, outcomes = measure(home, rounds=options.rounds, rate=options.rate, seconds=options.seconds)
            console.print(table(f"{home.source}, {options.rate:g} requests/s", figures))
            console.print(f"shadows by share of requests: {outcomes}")
    except (SettingsError, DatasetError, StackError, NoClient) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
