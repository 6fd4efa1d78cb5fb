"""How long a rollback takes, by each command and by itself: ``python -m benchmarks.serving.rollback``.

The recommender runs under ``bentoml serve`` on Redis, Kafka and an MLflow server; a client of its own process asks at a
steady rate, on time. Told of each command: until it ended, and from its start to the first answer by the version
before. Then versions that give NaN to users whom no self-check knows are promoted: when their trial began, when the
version before served all again, when the registry's alias was back; and bad answers, of which there must be none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.serving.bad_bundles import nan_for, saved
from benchmarks.serving.home import QUICK, opened, prepared, write_json
from benchmarks.serving.hurt import Place, place_on
from benchmarks.serving.judging_client import Judged
from flows.dataset import DatasetError
from infra.processes import StackError
from infra.settings import ROOT, SettingsError
from models import registry
from models.announce import announce
from models.bundle import Bundle

WITHIN_S, WARM_S, AFTER_S, LOOK_S = 60.0, 2.0, 0.5, 0.01
USERS = 2_000
ACTS = 11
"""The self-check's visitors have no more."""

MARGIN_S = 0.005
BY_ITSELF = "itself"
WAYS = ("curl", "module", "make", "registry", BY_ITSELF)
"""``module`` is ``python -m bento.recommender.rollback``, ``registry`` is ``python -m flows.rollback``."""

WRONG = ("bad_answers", "not_200")

console = Console()

Figures = dict[str, float]
Seen = Callable[[dict[str, Any]], bool]
"""Whether GET /model says something."""


class Bench:
    """A place, its versions, and how they are asked for.

    Args:
        rate: requests a second.
    """

    def __init__(self, place: Place, users: Sequence[str], rate: float) -> None:
        self.settings = place.registry.model_copy(update={"redis_url": place.servers.settings.redis_url})
        served = place.recommender.settings
        self.url = f"http://{served.host}:{served.recommender_port}"
        self.environment = (
            os.environ
            | self.settings.environment()
            | {
                "FRESHET_HOST": served.host,
                "FRESHET_RECOMMENDER_PORT": str(served.recommender_port),
            }
        )
        self._users, self._rate = users, rate
        self._client = httpx.Client(base_url=self.url, timeout=10)

    def model(self) -> dict[str, Any]:
        """GET /model, asked again where the load leaves no time for it."""
        while (answer := self._client.get("/model")).status_code == 429:
            time.sleep(LOOK_S)
        return dict(answer.raise_for_status().json())

    def wait(self, check: Seen) -> float:
        """When GET /model first says so, seconds since the epoch."""
        until = time.monotonic() + WITHIN_S
        while not check(model := self.model()):
            if time.monotonic() > until:
                told = {
                    name: model[name] for name in ("registered_version", "canary", "previous", "refused", "trouble")
                }
                raise StackError(f"{self.url}/model does not come to what was asked for in {WITHIN_S:.0f} s: {told}")
            time.sleep(LOOK_S)
        return time.time()

    def promote(self, version: str) -> None:
        """Move the alias and say so."""
        registry.promote(self.settings, version, self.settings.model_alias)
        announce(self.settings)

    @contextmanager
    def asked(self) -> Iterator[list[Judged]]:
        """Users who ask meanwhile; the list holds their answers after it."""
        command = [sys.executable, "-m", "benchmarks.serving.judging_client", self.url, str(self._rate)]
        answers: list[Judged] = []
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as client:
            assert client.stdin is not None and client.stdout is not None
            client.stdin.write(" ".join([*self._users, "\n"]).encode())
            client.stdin.flush()
            time.sleep(WARM_S)
            yield answers
            time.sleep(AFTER_S)
            client.stdin.close()
            answers += [Judged(*orjson.loads(line)) for line in client.stdout.read().splitlines()]


def by_command(bench: Bench, command: Sequence[str], version: str, rounds: int) -> Figures:
    """Medians over rollbacks by a command, seconds from its start.

    Args:
        version: promoted anew before each.
    """
    ended, first, last, bad, refused = [], [], [], 0, 0
    for _ in range(rounds):
        before = bench.model()["model_version"]
        bench.promote(version)
        bench.wait(_serves(version))
        with bench.asked() as answers:
            began = time.time()
            subprocess.run(command, cwd=ROOT, env=bench.environment, check=True, capture_output=True)
            ended.append(time.time() - began)
            bench.wait(_answers_by(before))
        later = [each for each in answers if each.answered > began]
        first.append(min(each.answered for each in later if each.version == before) - began)
        last.append(max((each.answered for each in later if each.version != before), default=began) - began)
        bad += sum(each.is_bad for each in answers)
        refused += sum(each.status != 200 for each in answers)
    names = ("command_s", "first_answer_s", "last_answer_by_the_left_s")
    return {name: median(found) for name, found in zip(names, (ended, first, last), strict=True)} | {
        "slowest_first_answer_s": max(first),
        "bad_answers": bad,
        "not_200": refused,
    }


def by_itself(bench: Bench, bundle_dir: Path, rounds: int) -> Figures:
    """Medians over NaN bundles, each another version, seconds from the moment that its alias was moved."""
    tried, left, back, share, wrong, refused = [], [], [], [], 0, 0
    good = registry.champion(bench.settings, bench.settings.model_alias)
    for _ in range(rounds):
        bad = registry.register(bench.settings, bundle_dir, {}, {}, {})
        with bench.asked() as answers:
            began = time.time()
            bench.promote(bad)
            trial = bench.wait(_tries(bad))
            gone = bench.wait(_has_refused(bad))
            while registry.champion(bench.settings, bench.settings.model_alias) != good:
                time.sleep(LOOK_S)
            back.append(time.time() - began)
        tried.append(trial - began)
        left.append(gone - began)
        during = [each for each in answers if trial - MARGIN_S <= each.answered <= gone + MARGIN_S]
        share.append(sum(each.variant == "canary" for each in during) / max(len(during), 1))
        wrong += sum(each.is_bad for each in answers)
        refused += sum(each.status != 200 for each in answers)
    return {
        "trial_began_s": median(tried),
        "left_s": median(left),
        "alias_back_s": median(back),
        "from_left_to_alias_back_s": median(b - a for a, b in zip(left, back, strict=True)),
        "share_by_canary": median(share),
        "bad_answers": wrong,
        "not_200": refused,
    }


def _serves(version: str) -> Seen:
    return lambda model: model["registered_version"] == version and model["previous"] is not None


def _answers_by(release: str) -> Seen:
    return lambda model: model["model_version"] == release


def _has_refused(version: str) -> Seen:
    return lambda model: version in model["refused"]


def _tries(version: str) -> Seen:
    """Also when it is over already: it may end within one look."""
    return lambda model: version in model["refused"] or (model["canary"] or {}).get("registered_version") == version


def table(figures: Mapping[str, Figures]) -> Table:
    """One line a way back."""
    shown = Table(title="rollbacks under load, seconds")
    shown.add_column("way")
    shown.add_column("figures")
    for name, found in figures.items():
        shown.add_row(name, ", ".join(f"{key} {value:.3g}" for key, value in found.items()))
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 1 when an answer was bad or missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.rollback", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rollbacks of each kind")
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    parser.add_argument("--dataset", default="ml-100k", help="as DATASET")
    parser.add_argument("--homes", type=Path, default=Path(".local/serving"), help="folder that data sets are kept in")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS, metavar="WAY", help=", ".join(WAYS))
    parser.add_argument("--quick", action="store_true", help=f"a smoke test: {QUICK[0]}, two rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    options = parser.parse_args(arguments)
    rounds, dataset = (2, QUICK[0]) if options.quick else (options.rounds, options.dataset)
    figures: dict[str, Figures] = {}
    try:
        home = prepared(dataset, options.homes.absolute())
        with ExitStack() as running:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="freshet-")))
            servers = running.enter_context(opened(home))
            bad_dir = saved(home.bundle_dir, lambda bundle: nan_for(bundle, ACTS), folder / "bad")
            users = home.user_ids(USERS)
            if by_hand := [way for way in options.ways if way != BY_ITSELF]:
                with place_on(servers, home.bundle_dir, folder / "by hand", release_poll_s=5.0) as place:
                    bench = Bench(place, users, options.rate)
                    version = registry.register(bench.settings, _another(home.bundle_dir, folder), {}, {}, {})
                    for way in by_hand:
                        figures[way] = by_command(bench, _command(bench, way), version, rounds)
                        console.print(way, figures[way])
            if BY_ITSELF in options.ways:
                trial = {"release_poll_s": 5.0, "canary_share": 0.05, "canary_s": 600.0}
                with place_on(servers, home.bundle_dir, folder / "by itself", **trial) as place:
                    figures[BY_ITSELF] = by_itself(Bench(place, users, options.rate), bad_dir, rounds)
                    console.print(BY_ITSELF, figures[BY_ITSELF])
    except (SettingsError, DatasetError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(table(figures))
    write_json(options.json, figures)
    return 1 if any(found.get(name) for found in figures.values() for name in WRONG) else 0


def _command(bench: Bench, way: str) -> Sequence[str]:
    return {
        "curl": ["curl", "-sSf", "-X", "POST", f"{bench.url}/model/rollback"],
        "module": [sys.executable, "-m", "bento.recommender.rollback"],
        # What is installed is not looked at again, and the settings are those of the environment.
        "make": ["make", "-o", ".venv/.installed", "rollback", f"FRESHET_HOME={bench.settings.home / 'none'}"],
        "registry": [sys.executable, "-m", "flows.rollback", "--reason", "measured"],
    }[way]


def _another(bundle_dir: Path, folder: Path) -> Path:
    """The same model by another name: made a second later."""
    from dataclasses import replace

    return replace(Bundle.load(bundle_dir), created="2000-01-01T00:00:00+00:00").save(folder / "another")


if __name__ == "__main__":
    sys.exit(main())
