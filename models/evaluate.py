"""Evaluation by replay: events in order of time through the states, lists by the very scorer that serves.

live: the state just before each moment, the user's events so far included. frozen: the state, and the clock, as of
the split, as a nightly batch would know it. Seen items are left out as of the moment in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Event
from feature_repo.state import Row
from models.bundle import Bundle
from models.dataset import Moment, moments
from models.metrics import DEPTH, Judgement, Quality
from models.replay import Replay
from models.retriever import Progress
from models.scorer import Scorer
from models.sources import top
from models.training import Plan, allowed_for, new_scorer

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]

SYSTEMS: tuple[str, ...] = (
    "popularity",
    "recent popularity",
    "item to item",
    "retriever",
    "rank fusion",
    "learned fusion",
    "product",
)
"""All-time counts; 7-day decayed counts; two sources alone; their pool by plain reciprocal rank fusion; by the learned
fusion; and the product: retriever and the other sources, learned fusion, trees."""

MODES = ("frozen", "live")
SAMPLE = 2_000


@dataclass(frozen=True)
class Evaluation:
    """Quality of every system in both modes: ``results[mode][system]``."""

    results: Mapping[str, Mapping[str, Quality]]
    catalog_size: int

    def metrics(self) -> dict[str, float]:
        """Flat figures for a bundle's manifest and MLflow, for instance ``live.product.ndcg_at_10``."""
        flat = {}
        for mode, systems in self.results.items():
            for system, quality in systems.items():
                prefix = f"{mode}.{system.replace(' ', '_')}"
                for name, value in quality.means.items():
                    flat[f"{prefix}.{name.replace('@', '_at_')}"] = round(value, 6)
                flat[f"{prefix}.ndcg_at_10_half_width"] = round(quality.half_widths["ndcg@10"], 6)
                flat[f"{prefix}.coverage_at_10"] = round(quality.coverage, 6)
        return flat

    def as_json(self) -> dict[str, object]:
        """Everything, as plain values."""
        return {mode: {name: asdict(q) for name, q in systems.items()} for mode, systems in self.results.items()}


def evaluate(
    bundle: Bundle,
    plan: Plan,
    events: Iterable[Event],
    *,
    since_us: int,
    until_us: int,
    candidates: int = 200,
    sample: int = SAMPLE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge all systems on a window of time.

    Args:
        bundle: trained on events before ``since_us`` only.
        plan: history, catalogue and profiles.
        events: all events in order of time.
        since_us, until_us: the window; the frozen state is that of ``since_us``.
        candidates: size of the pool, as in serving.
        sample: most moments (seeded sample).
        progress: told after each moment.
    """
    judged = moments(plan.history, since_us, until_us, sample, seed)
    replay = Replay(events)
    frozen, live = (new_scorer(bundle, plan.catalog, candidates) for _ in MODES)
    replay.advance(since_us)
    replay.fill(frozen.items)
    frozen_users = {moment.user_id: replay.user_row(moment.user_id) for moment in judged}
    results = {mode: {system: Judgement() for system in SYSTEMS} for mode in MODES}
    replay.fill(live.items)
    for n, moment in enumerate(judged):
        replay.advance(moment.time_us)
        replay.refresh(live.items)
        seen, segments = replay.seen(moment.user_id), plan.profiles.get(moment.user_id, ())
        states = {
            "frozen": (frozen, frozen_users[moment.user_id], since_us),
            "live": (live, replay.user_row(moment.user_id), moment.now_us),
        }
        for mode, (scorer, user, now_us) in states.items():
            _judge(results[mode], scorer, moment, allowed_for(scorer, seen), (user, segments, now_us))
        if progress:
            progress(n + 1, len(judged), 0.0)
    return Evaluation(
        {mode: {s: j.quality(len(plan.catalog)) for s, j in systems.items()} for mode, systems in results.items()},
        len(plan.catalog),
    )


Asked = tuple[Row, Sequence[str], float]
"""Who asks and when: user row, segments, clock."""


def _judge(results: Mapping[str, Judgement], scorer: Scorer, moment: Moment, allowed: Mask, asked: Asked) -> None:
    for system, numbers in lists_of(scorer, allowed, asked).items():
        ids = [scorer.items.ids[n] for n in numbers[:DEPTH]]
        results[system].add(moment.user_id, ids, moment.relevant)


def lists_of(scorer: Scorer, allowed: Mask, asked: Asked) -> dict[str, Numbers]:
    """Every system's list of at most DEPTH items; a list that falls short is filled up by recent popularity."""
    user, segments, now_us = asked
    sources = scorer.ask(user, segments, now_us, allowed)
    pool = scorer.pool_from(sources)
    recent, _ = scorer.popular(now_us, 2 * DEPTH, allowed)
    ever = np.where(allowed, scorer.items.column("event_count"), -1)
    lists = {
        "popularity": top(ever.astype(np.float32), DEPTH),
        "recent popularity": recent,
        "item to item": sources.lists["item_to_item"].items,
        "retriever": sources.lists["retriever"].items,
        "rank fusion": pool.items,
        "learned fusion": pool.items[top(pool.fusion, DEPTH)],
        "product": scorer.recommend(user, segments, now_us, DEPTH, allowed).items,
    }
    return {name: _filled(numbers, recent) for name, numbers in lists.items()}


def _filled(numbers: Numbers, filler: Numbers) -> Numbers:
    numbers = numbers[:DEPTH]
    rest = filler[~np.isin(filler, numbers)]
    return np.concatenate([numbers, rest[: DEPTH - len(numbers)]])
