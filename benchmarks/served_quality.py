"""What is served is what was measured: ``python -m benchmarks.served_quality [--dataset ...] [--moments N]``.

A bundle is trained as by ``benchmarks.quality``, on the events before the window. A stack of its own serves it, with
catalogue, profiles and all these events loaded as usual; the window's events are sent in their order, and at each
judged moment the list is taken by ``GET /recommend``. The same moments are judged by replay, with the same bundle.
Each answer waits until all earlier events are in it, so that nothing here is approximate: lists may differ only by
what serving itself does, such as float32 in Redis, and a fallback's list where it knows nothing of the user.

Settings differ from the defaults where a replay needs it: items are read anew without a pause; no row is too old,
as item rows age by the wall clock and not by ``at``; and Redis may take its time on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray
from redis import RedisError
from rich.console import Console
from rich.table import Table

from benchmarks.player import Answer, Behind, Player
from benchmarks.quality import WINDOWS, Data, data_of, train
from feature_repo.events import Event, Item, UserProfile
from feature_repo.schema import SEGMENT_FAVOURITES
from flows.backfill import SegmentFavourites
from flows.batch_views import restore_batch_views
from flows.console import tracked, training_bars
from flows.dataset import DatasetError, write_dataset
from flows.load import prepare
from flows.loader import LoadError, load_dataset
from flows.offline import write_view
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError
from models.bundle import Bundle
from models.dataset import Moment, moments
from models.evaluate import product_lists
from models.judging import Evaluation, judge_lists
from models.metrics import Ratio, paired_ratio
from models.recipe import TrainingSettings

PARTS = ("kafka", "redis", "postgres", "ingest", "stream", "recommender")
PATIENT = {
    "item_refresh_s": 0.005,
    "feature_ttl_s": 100 * 365 * 86_400.0,
    "dependency_timeout_s": 5.0,
    "request_timeout_ms": 10_000,
    "explore_share": 0.0,
}
TOLERANCE = 0.01
"""Served NDCG@10 may differ from what was measured by this share."""

Mask = NDArray[np.bool_]

console = Console()


@dataclass(frozen=True)
class Comparison:
    """The same moments by both roads.

    Attributes:
        moments: what was judged.
        measured: item ids of every moment's list by replay, best first; answers: what was served.
        evaluation: systems ``measured`` and ``served``, live.
    """

    moments: Sequence[Moment]
    measured: Sequence[Sequence[str]]
    answers: Sequence[Answer]
    evaluation: Evaluation

    @property
    def personal(self) -> Mask:
        """Which answers were no fallback: bool [moments]."""
        return np.array([answer.fallback is None for answer in self.answers], bool)

    @property
    def same(self) -> Mask:
        """Which first tens are the same items in the same order: bool [moments]."""
        pairs = zip(self.answers, self.measured, strict=True)
        return np.array([answer.items[:10] == list(measured[:10]) for answer, measured in pairs], bool)

    def ndcg(self, chosen: Mask) -> dict[str, float]:
        """Mean NDCG@10 over some moments, by system."""
        systems = self.evaluation.judgements["live"]
        return {name: float(each.ndcg["next"][chosen].mean()) for name, each in systems.items()}

    def ratio(self, chosen: Mask) -> Ratio:
        """NDCG@10 served over measured on some moments, paired, with its interval."""
        systems = self.evaluation.judgements["live"]
        served, measured = (systems[name].ndcg["next"][chosen] for name in ("served", "measured"))
        return paired_ratio(served, measured, self.evaluation.user[chosen])


def compare(settings: Settings, data: Data, bundle: Bundle, judged: Sequence[Moment]) -> Comparison:
    """Load a running stack up to the end of the bundle's data, play the rest, and judge what it answers.

    Args:
        settings: those of the stack, which serves this bundle and knows nothing yet.
        data: from ``quality.data_of``.
        bundle: trained on what lies before the window.
        judged: moments of the window, in order of time.

    Raises:
        LoadError, Behind, httpx.HTTPError, redis.RedisError: the stack does not do its part.
    """
    plan, split = data.plan, data.plan.split
    early = [event for event in data.events if event.time_us < split.test_us]
    users = [UserProfile(user_id=name, segments=tuple(segments)) for name, segments in plan.profiles.items()]
    load(settings, early, plan.catalog, users)
    with Player(settings) as player:
        player.loaded(early, plan.catalog, users)
        answers = play(player, data.events[len(early) :], judged)
    with training_bars(console) as steps:
        lists = product_lists(
            bundle,
            plan,
            data.events,
            judged,
            since_us=split.test_us,
            candidates=settings.candidates,
            progress=steps("the same by replay"),
        )
    measured = lists["live"]["product"]
    both = {"live": {"measured": measured, "served": [answer.items for answer in answers]}}
    evaluation = judge_lists(plan, judged, both, since_us=split.test_us, until_us=split.end_us)
    return Comparison(judged, measured, answers, evaluation)


def load(settings: Settings, early: Sequence[Event], items: Sequence[Item], users: Sequence[UserProfile]) -> None:
    """Load what is known before the window as any data set is loaded, and what the nightly job makes of it."""
    load_dataset(settings, write_dataset(settings.home / "early", items, users, early))
    favourites = SegmentFavourites(users)
    for event in early:
        favourites.add(event)
    write_view(settings.offline_dir, SEGMENT_FAVOURITES, favourites.rows())
    restore_batch_views(settings)


def play(player: Player, later: Sequence[Event], judged: Sequence[Moment]) -> list[Answer]:
    """The answers at some moments, each with all strictly earlier events sent and taken in.

    Args:
        later: what has not been loaded, in order of time.
        judged: in order of time.
    """
    times = np.array([event.time_us for event in later], np.int64)
    answers, sent = [], 0
    for moment in tracked(judged, "moments served", total=len(judged), unit="moments"):
        end = int(np.searchsorted(times, moment.time_us))
        player.send(later[sent:end])
        sent = end
        player.settle()
        answers.append(player.ask(moment))
    return answers


def table(comparison: Comparison) -> Table:
    """Served against measured, over all moments and by kind of answer."""
    shown = Table(title="NDCG@10 of the next moment, live: by replay and as served; same list: its first ten")
    for name in ("answers", "moments", "measured", "served", "ratio", "same list"):
        shown.add_column(name, justify="left" if name == "answers" else "right", no_wrap=True)
    for name, chosen in groups(comparison).items():
        ndcg, ratio = comparison.ndcg(chosen), comparison.ratio(chosen)
        shown.add_row(
            name,
            f"{chosen.sum():,}",
            f"{ndcg['measured']:.4f}",
            f"{ndcg['served']:.4f}",
            f"{ratio.ratio:.3f} ({ratio.low:.3f}-{ratio.high:.3f})",
            f"{comparison.same[chosen].mean():.1%}",
        )
    return shown


def groups(comparison: Comparison) -> dict[str, Mask]:
    """Moments by kind of answer: all, personal, and each fallback that was given."""
    given = [answer.fallback for answer in comparison.answers]
    found: dict[str, Mask] = {"all": np.ones(len(given), bool), "personal": comparison.personal}
    found |= {name: np.array([each == name for each in given]) for name in sorted(set(filter(None, given)))}
    return {name: chosen for name, chosen in found.items() if chosen.any()}


def as_json(comparison: Comparison) -> Mapping[str, object]:
    """All figures as plain values."""
    return {
        name: {
            "moments": int(chosen.sum()),
            **comparison.ndcg(chosen),
            "served_over_measured": comparison.ratio(chosen)._asdict(),
            "same_top_10": float(comparison.same[chosen].mean()),
        }
        for name, chosen in groups(comparison).items()
    }


def run(data: Data, sample: int, how: TrainingSettings) -> Comparison:
    """Train, serve and compare in a throw-away folder.

    Args:
        data: from ``quality.data_of``.
        sample: most moments judged (a seeded sample).
        how: how the product is trained.
    """
    split = data.plan.split
    judged = moments(data.plan.history, split.test_us, split.end_us, sample, how.seed)
    with tempfile.TemporaryDirectory(prefix="freshet-") as home:
        Path(home).chmod(0o755)  # PostgreSQL may run as another user
        with training_bars(console) as steps:
            bundle = train(data, how, steps).bundle
        folder = bundle.save(Path(home) / "bundle")
        settings = load_settings(
            home=Path(home), bundle_dir=folder, candidates=how.candidates, **any_ports(), **PATIENT
        )
        with Stack(settings, PARTS) as stack:
            return compare(stack.settings, data, Bundle.load(folder), judged)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 1 when served and measured differ by more than TOLERANCE."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.served_quality", description=__doc__)
    defaults = load_settings()
    parser.add_argument("--dataset", default=defaults.dataset, help="folder, ml-100k, or ml-1m:PATH")
    parser.add_argument("--window", choices=WINDOWS, default="test", help="as in benchmarks.quality")
    parser.add_argument("--moments", type=int, default=2_000, help="most moments judged (a seeded sample)")
    parser.add_argument("--epochs", type=int, default=defaults.retriever_epochs)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    options = parser.parse_args(arguments)
    how = replace(TrainingSettings(), epochs=options.epochs, seed=options.seed, threads=defaults.train_threads)
    began = time.monotonic()
    try:
        data = data_of(prepare(options.dataset, defaults.home / "dataset"), options.window)
        comparison = run(data, options.moments, how)
    except (SettingsError, DatasetError, StackError, LoadError, Behind, httpx.HTTPError, RedisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(table(comparison))
    console.print(f"{time.monotonic() - began:.0f} s, seed {options.seed}")
    if options.json:
        options.json.write_text(json.dumps(as_json(comparison), indent=2))
    difference = comparison.ratio(np.ones(len(comparison.moments), bool)).ratio - 1
    if abs(difference) > TOLERANCE:
        print(f"error: what is served differs from what was measured by {difference:+.1%}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
