"""Quality of recommendations on a global split of time: ``python -m benchmarks.quality [--dataset ...] [--plots DIR]``.

The product is trained by its own recipe on the events before the window (point-in-time rows come from a replay
instead of Feast's join; a test shows that both give the same rows). Its lists and those of every tuned peer are judged
by one evaluator on the same moments: all items ranked, seen ones left out.

Windows: test, the last 10 % of time, is for reporting only. validation is for choosing: everything is trained on the
first 85 % and judged on the 5 % that follow, and what comes later does not exist.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console

from benchmarks.ablation import Ablations
from benchmarks.quality_plots import write_plots
from benchmarks.quality_report import PRODUCT, Cost, Report
from feature_repo.events import Event
from flows.console import training_bars
from flows.dataset import Dataset
from flows.load import prepare
from infra.settings import load_settings
from models import recipe
from models.bundle import Bundle
from models.dataset import Moment, TimeSplit, moments
from models.evaluate import Mask, Numbers, Systems, lists_of, product_lists
from models.judging import judge_lists
from models.pairs import replayed_rows
from models.recipe import Steps, TrainingSettings
from models.scorer import Scorer
from models.sources import Query
from models.training import Offer, Plan, assemble, make_plan

if TYPE_CHECKING:  # libraries that only the peers need
    from benchmarks.peers.run import PeerRun

WINDOWS = ("test", "validation")
TIMED_EVERY = 21
"""One request of so many is also answered against the CPU clock; odd, as frozen and live take turns."""

Peers = Callable[[Plan, Sequence[Moment], Steps], "Sequence[PeerRun]"]
"""Lets the peers recommend at some moments; they may learn from what lies before ``plan.split.test_us``."""

console = Console(width=None if sys.stdout.isatty() else 140)


class Data(NamedTuple):
    """A plan whose split ends with the judged window, and the events until then, in order of time."""

    plan: Plan
    events: Sequence[Event]


def data_of(dataset: Dataset, window: str) -> Data:
    """A data set as far as a window may know it; ``plan.split.test_us`` is where the window begins.

    Args:
        dataset: as ``flows.load`` prepares it.
        window: one of WINDOWS.
    """
    events = sorted(dataset.events(), key=lambda event: (event.time_us, event.event_id))
    items, users = list(dataset.items()), list(dataset.users())
    plan = make_plan(events, items, users)
    if window == "test":
        return Data(plan, events)
    whole, times = plan.split, np.sort(plan.history.time_us)
    split = TimeSplit(int(times[int(0.8 * len(times))]), whole.validation_us, whole.test_us)
    known = [event for event in events if event.time_us < split.end_us]
    return Data(replace(make_plan(known, items, users), split=split), known)


class Trained(NamedTuple):
    """The product, what its fusion was fitted on, and the CPU seconds it took."""

    bundle: Bundle
    offers: Sequence[Offer]
    cpu_s: float


def train(data: Data, how: TrainingSettings, steps: Steps) -> Trained:
    """The product, trained on what lies before the window."""
    plan, since_us, start = data.plan, data.plan.split.test_us, time.process_time()
    first = recipe.first_retriever(plan, how, steps)
    work = recipe.make_pairs(plan, first, data.events, how, steps)
    learned = recipe.fit_ranker(plan, work, *replayed_rows(work.pairs, data.events), how)
    retriever = recipe.next_retriever(plan, since_us, first, how, steps)
    bundle = assemble(plan, retriever, since_us, learned=learned)
    console.print(f"ranker: {learned.report}")
    return Trained(bundle, work.offers, time.process_time() - start)


class Timed:
    """The product's systems, and what one answer of the product costs.

    Attributes:
        request_cpu_ms: mean CPU time of a request for ten items, all threads.
    """

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._asked = self._timed = 0
        self._cpu_s = 0.0

    def __call__(self, scorer: Scorer, allowed: Mask, query: Query) -> Mapping[str, Numbers]:
        if self._asked % TIMED_EVERY == 0:
            start = time.process_time()
            scorer.recommend(query, 10, allowed)
            self._cpu_s += time.process_time() - start
            self._timed += 1
        self._asked += 1
        return self._systems(scorer, allowed, query)

    @property
    def request_cpu_ms(self) -> float:
        return 1e3 * self._cpu_s / max(1, self._timed)


def no_peers(plan: Plan, judged: Sequence[Moment], steps: Steps) -> Sequence[PeerRun]:
    """The product's own systems only."""
    return ()


def tuned_peers(
    plan: Plan, judged: Sequence[Moment], steps: Steps, *, seed: int, cache: Path | None
) -> Sequence[PeerRun]:
    """Every peer, tuned before the window, and its lists at the judged moments.

    Args:
        cache: folder to keep the runs in, or to take them from where they were made of the same data, moments and
            seed; it knows nothing of changes in the peers' code.
    """
    from benchmarks.peers.run import PeerRun, run_peers

    split = plan.split
    # Times are counted from the end: a data set that is loaded again is shifted to another now.
    asked = [(moment.user_id, split.end_us - moment.time_us) for moment in judged]
    name = hashlib.sha256(json.dumps([asked, len(plan.history), len(plan.catalog), seed]).encode()).hexdigest()[:16]
    path = cache / f"peers-{name}.json" if cache else None
    if path and path.exists():
        return [PeerRun(**fields) for fields in json.loads(path.read_text())]
    runs = list(
        run_peers(
            plan,
            judged,
            fit_until_us=split.test_us,
            tune_from_us=split.validation_us,
            seed=seed,
            progress=steps("peers"),
        )
    )
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([run._asdict() for run in runs]))
    return runs


def measure(data: Data, sample: int, how: TrainingSettings, peers: Peers) -> Report:
    """Train, let everyone recommend, judge.

    Args:
        data: from ``data_of``.
        sample: most moments judged (a seeded sample).
        how: how the product is trained.
        peers: what the product is compared with.

    Raises:
        ValueError: a peer has the name of one of the product's own systems.
    """
    plan, split = data.plan, data.plan.split
    judged = moments(plan.history, split.test_us, split.end_us, sample, how.seed)
    with training_bars(console) as steps:
        trained = train(data, how, steps)
        timed = Timed(Ablations(lists_of, trained.offers))
        lists = product_lists(
            trained.bundle,
            plan,
            data.events,
            judged,
            since_us=split.test_us,
            candidates=how.candidates,
            systems=timed,
            progress=steps("product"),
        )
        runs = peers(plan, judged, steps)
    own = tuple(lists["live"])
    for run in runs:
        if run.name in own:
            raise ValueError(f"{run.name}: a peer has the name of one of the product's own systems")
        for mode, each in run.lists.items():
            lists[mode][run.name] = each
    costs = {PRODUCT: Cost(trained.cpu_s, timed.request_cpu_ms, {})}
    costs |= {run.name: Cost(run.fit_cpu_s, run.request_cpu_ms, run.settings) for run in runs}
    evaluation = judge_lists(plan, judged, lists, since_us=split.test_us, until_us=split.end_us)
    return Report(evaluation, own, tuple(run.name for run in runs), costs)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--dataset", default=load_settings().dataset, help="folder, ml-100k, or ml-1m:PATH")
    parser.add_argument("--window", choices=WINDOWS, default="test", help="validation: to choose by; test: to report")
    parser.add_argument("--moments", type=int, default=10_000, help="most moments judged")
    parser.add_argument("--epochs", type=int, default=load_settings().retriever_epochs)
    parser.add_argument("--seed", type=int, default=load_settings().seed)
    parser.add_argument("--without-peers", action="store_true", help="the product's own systems only")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep the peers' lists there, or take them from there"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write the plots there")
    options = parser.parse_args()
    how = replace(TrainingSettings(), epochs=options.epochs, seed=options.seed, threads=load_settings().train_threads)
    wall, cpu = time.perf_counter(), time.process_time()
    data = data_of(prepare(options.dataset, load_settings().home / "dataset"), options.window)
    peers = no_peers if options.without_peers else partial(tuned_peers, seed=options.seed, cache=options.cache)
    report = measure(data, options.moments, how, peers)
    console.print(*report.tables(), sep="\n")
    console.print(f"{time.perf_counter() - wall:.0f} s, {time.process_time() - cpu:.0f} CPU-s, seed {options.seed}")
    if options.json:
        facts = {"dataset": Path(options.dataset).name, "window": options.window, "seed": options.seed}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(facts | report.as_json(), indent=2))
    for path in write_plots(report, options.plots) if options.plots else ():
        console.print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
