"""Good requests beside hostile ones: ``python -m benchmarks.serving.hostile``.

Ingest and recommender, one worker each, serve a fixed modest rate of good requests by an open loop, alone and beside
each attack of ``benchmarks.serving.attacks`` on the same service, in turns; figures are medians of the rounds. The
ratio is that of the 99th percentiles, beside an attack over alone. Whatever an attack was answered is counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.serving import home as serving_home
from benchmarks.serving.attacks import ATTACKS
from benchmarks.serving.bento_cost import bentoml_command
from benchmarks.serving.load_clients import CLIENT, Server, on_cores, serving
from flows.console import tracked
from infra.processes import StackError
from infra.settings import ROOT, Settings, SettingsError

ALONE = "alone"
MOST = 1.5

console = Console(width=None if sys.stdout.isatty() else 120)


class Service(NamedTuple):
    """What is measured: its good requests, and the path that is attacked."""

    name: str
    target: str
    path: str
    good: Sequence[str]


class Turn(NamedTuple):
    """One run of good requests: milliseconds, those without an answer, and what the attack got."""

    p50: float
    p99: float
    failed: int
    attack: Counter[str]


def services(user_ids: Sequence[str]) -> list[Service]:
    """Both."""
    event = '{{"user_id": "{}", "item_id": "1", "event_type": "view"}}'
    acts = [f"POST /events {event.format(user)}" for user in user_ids]
    lists = [f"GET /recommend?user_id={user}" for user in user_ids]
    return [
        Service("ingest", "bento.ingest.service:Ingest", "/events", acts),
        Service("recommender", "bento.recommender.service:Recommender", "/recommend", lists),
    ]


def turn(server: Server, service: Service, attack: str, rate: float, seconds: float) -> Turn:
    """Good requests, beside an attack or alone."""
    python, where = [sys.executable, "-m"], [server.host, str(server.port)]
    with tempfile.TemporaryDirectory(prefix="freshet-hostile-") as folder, on_cores(CLIENT):
        file = Path(folder) / "requests.txt"
        file.write_text("\n".join(service.good) + "\n")
        evil = None
        if attack != ALONE:
            command = [*python, "benchmarks.serving.attacks", attack, *where, service.path, f"--seconds={seconds}"]
            evil = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        load = [*python, "benchmarks.serving.scheduled_client", *where, str(file)]
        load += [f"--rate={rate}", f"--seconds={seconds}"]
        done = subprocess.run(load, cwd=ROOT, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout.splitlines()[-1])
        answered = Counter(json.loads(evil.communicate()[0])) if evil is not None else Counter()
    return Turn(told["p50"], told["p99"], int(told["failed"]), answered)


def measure(home: serving_home.ServingHome, rate: float, seconds: float, rounds: int) -> dict[str, dict[str, Turn]]:
    """Service -> attack -> medians of the rounds, sums of the counts. Raises StackError."""
    found: dict[str, dict[str, list[Turn]]] = {}
    with serving_home.opened(home) as stack, ExitStack() as running:
        chosen = services(home.user_ids(200))
        servers = [running.enter_context(serving(stack, each.name, _command(each.target), "/ready")) for each in chosen]
        for server, service in zip(servers, chosen, strict=True):
            turn(server, service, ALONE, rate, 2)
        turns = [(n, attack) for _ in range(rounds) for n in range(len(chosen)) for attack in (ALONE, *ATTACKS)]
        for n, attack in tracked(turns, "attacks", total=len(turns), unit="turns"):
            result = turn(servers[n], chosen[n], attack, rate, seconds)
            found.setdefault(chosen[n].name, {}).setdefault(attack, []).append(result)
    return {name: {attack: _middle(each) for attack, each in of.items()} for name, of in found.items()}


def _command(target: str) -> Callable[[Settings], list[str]]:
    def command(settings: Settings) -> list[str]:
        return bentoml_command(target, settings.recommender_port)

    return command


def _middle(turns: Sequence[Turn]) -> Turn:
    return Turn(
        median(each.p50 for each in turns),
        median(each.p99 for each in turns),
        sum(each.failed for each in turns),
        sum((each.attack for each in turns), Counter()),
    )


def table(name: str, turns: dict[str, Turn], rate: float) -> Table:
    """One service's figures."""
    shown = Table(title=f"{name}: good requests, {rate:g} a second, beside", title_justify="left")
    for column in ("", "p50 ms", "p99 ms", "p99 ratio", "no answer", "the attack was answered"):
        shown.add_column(column, justify="left" if column in ("", "the attack was answered") else "right")
    for attack, each in turns.items():
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(each.attack.items()))
        ratio = each.p99 / turns[ALONE].p99
        shown.add_row(attack, f"{each.p50:.1f}", f"{each.p99:.1f}", f"{ratio:.2f}", str(each.failed), statuses)
    shown.caption = f"0: closed without an answer; aim: a ratio of {MOST} at most"
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.hostile", description=__doc__)
    serving_home.add_arguments(parser)
    parser.add_argument("--rate", type=float, default=50, help="good requests a second")
    parser.add_argument("--seconds", type=float, default=15, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds, options.rounds = 12.0, 1
    try:
        home = serving_home.chosen(options)[0]
        found = measure(home, options.rate, options.seconds, options.rounds)
    except (SettingsError, StackError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, turns in found.items():
        console.print(table(name, turns, options.rate))
    figures = {name: {attack: each._asdict() for attack, each in turns.items()} for name, turns in found.items()}
    serving_home.write_json(options.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
