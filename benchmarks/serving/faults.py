"""What users notice when what is behind the recommender fails: ``python -m benchmarks.serving.faults``.

The recommender runs under ``bentoml serve`` on Redis, Kafka and an MLflow server, Redis and MLflow reached through a
proxy. A second process asks at a steady rate, on time, before, during and after each fault. Told of each: answers by
status and by fallback, latency before and during, and how long after its end an answer still was not personal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.serving.home import opened, prepared
from benchmarks.serving.hurt import FAULTS, Fault, Place, place_on
from benchmarks.serving.watching_client import Seen
from flows.dataset import DatasetError
from infra.processes import StackError
from infra.settings import ROOT, SettingsError

WARM_S, HEALTHY_S, AFTER_S = 3.0, 10.0, 5.0
USERS = 2_000

console = Console()


@dataclass(frozen=True)
class Outcome:
    """What the client saw of one fault.

    Attributes:
        before, during, after: requests that were due then.
        ended: when the fault was over, seconds since the epoch.
        cpu_before_ms, cpu_ms: the recommender's CPU time a request before and during the fault, all its threads.
    """

    before: Sequence[Seen]
    during: Sequence[Seen]
    after: Sequence[Seen]
    ended: float
    cpu_before_ms: float
    cpu_ms: float

    @property
    def failures(self) -> int:
        """Answers of 5xx, and requests without an answer."""
        return sum(
            not 200 <= status < 500 for each in (self.before, self.during, self.after) for _, _, status, _ in each
        )

    @property
    def statuses(self) -> Counter[int]:
        """Answers during the fault by status."""
        return Counter(status for _, _, status, _ in self.during)

    @property
    def fallbacks(self) -> Counter[str]:
        """Answers during the fault by fallback, "personal" without one; by status where there was no answer."""
        return Counter(
            fallback or ("personal" if status == 200 else str(status)) for _, _, status, fallback in self.during
        )

    @property
    def personal_after_s(self) -> float:
        """From the end of the fault to the last request due that still got a fallback; 0 when none did."""
        return max((due - self.ended for due, _, _, fallback in self.after if fallback), default=0.0)

    @staticmethod
    def percentile_ms(seen: Sequence[Seen], percent: float) -> float:
        """Latency of what was answered, refusals apart; nan without any."""
        taken = [seconds for _, seconds, status, _ in seen if status == 200]
        return float(np.percentile(taken, percent)) * 1_000 if taken else float("nan")


def suffer(
    place: Place, fault: Fault, users: Sequence[str], rate: float, seconds: tuple[float, float, float, float]
) -> Outcome:
    """What the users see of one fault.

    Args:
        fault: one of FAULTS.
        users: who asks, at random.
        rate: requests a second.
        seconds: how long before, unseen and then seen, during and after the fault.
    """
    port = place.recommender.settings.recommender_port
    url, (warm_s, before_s, during_s, after_s) = f"http://{place.recommender.settings.host}:{port}", seconds
    command = [sys.executable, "-m", "benchmarks.serving.watching_client", url, str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as client:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(" ".join([*users, "\n"]).encode())
        client.stdin.flush()
        time.sleep(warm_s)
        marks = [_Mark.now(place)]
        time.sleep(before_s)
        marks.append(_Mark.now(place))
        with fault(place):
            time.sleep(during_s)
        marks.append(_Mark.now(place))
        time.sleep(after_s)
        client.stdin.close()
        seen: list[Seen] = [tuple(orjson.loads(line)) for line in client.stdout.read().splitlines()]
    warm, began, ended = marks
    before = [each for each in seen if warm.at <= each[0] < began.at]
    during = [each for each in seen if began.at <= each[0] < ended.at]
    return Outcome(
        before=before,
        during=during,
        after=[each for each in seen if each[0] >= ended.at],
        ended=ended.at,
        cpu_before_ms=(began.cpu_s - warm.cpu_s) * 1_000 / max(len(before), 1),
        cpu_ms=(ended.cpu_s - began.cpu_s) * 1_000 / max(len(during), 1),
    )


class _Mark(NamedTuple):
    at: float
    cpu_s: float

    @classmethod
    def now(cls, place: Place) -> _Mark:
        workers = place.recommender.process("recommender").children()
        return cls(time.time(), sum(sum(worker.cpu_times()[:2]) for worker in workers))


# The report


def table(outcomes: Mapping[str, Outcome]) -> Table:
    """One line a fault."""
    shown = Table(title="before -> during each fault, ms; latency from the moment a request was due; CPU a request")
    for name in ("fault", "failed", "p50", "p99", "CPU", "answers", "personal after"):
        shown.add_column(name, justify="left" if name in ("fault", "answers") else "right", no_wrap=name != "answers")
    for name, outcome in outcomes.items():
        figures = as_json(outcome)
        shown.add_row(
            name,
            str(outcome.failures),
            *(f"{figures[f'{key}_before_ms']:.1f} -> {figures[f'{key}_ms']:.1f}" for key in ("p50", "p99", "cpu")),
            ", ".join(f"{count} {kind}" for kind, count in outcome.fallbacks.most_common()),
            f"{outcome.personal_after_s:.2f} s",
        )
    return shown


def as_json(outcome: Outcome) -> dict[str, object]:
    """All figures of one fault as plain values."""
    return {
        "failures": outcome.failures,
        **{
            f"p{percent}{suffix}_ms": outcome.percentile_ms(seen, percent)
            for suffix, seen in (("_before", outcome.before), ("", outcome.during))
            for percent in (50, 99)
        },
        "statuses": dict(outcome.statuses),
        "answers": dict(outcome.fallbacks),
        "personal_after_s": outcome.personal_after_s,
        "cpu_before_ms": outcome.cpu_before_ms,
        "cpu_ms": outcome.cpu_ms,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 1 when a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="length of each fault")
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    parser.add_argument("--dataset", default="ml-100k", help="as DATASET")
    parser.add_argument("--homes", type=Path, default=Path(".local/serving"), help="folder that data sets are kept in")
    parser.add_argument("--faults", nargs="*", choices=tuple(FAULTS), default=tuple(FAULTS), metavar="FAULT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    options = parser.parse_args(arguments)
    outcomes = {}
    try:
        home = prepared(options.dataset, options.homes.absolute())
        with ExitStack() as running:
            servers = running.enter_context(opened(home))
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="freshet-")))
            place = running.enter_context(place_on(servers, home.bundle_dir, folder))
            for name in options.faults:
                console.print(f"{name} ...")
                lengths = WARM_S, HEALTHY_S, options.seconds, AFTER_S
                outcomes[name] = suffer(place, FAULTS[name], home.user_ids(USERS), options.rate, lengths)
                console.print(as_json(outcomes[name]))
    except (SettingsError, DatasetError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(table(outcomes))
    if options.json:
        options.json.write_text(json.dumps({name: as_json(each) for name, each in outcomes.items()}, indent=2))
    return 1 if any(outcome.failures for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
