"""The parts of one model's training, as pure functions; ``recipe.py`` and the training flow put them together."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Event, Item, UserProfile
from feature_repo.item_table import ItemTable
from models.bundle import Bundle
from models.content import category_vocabulary, content, item_table
from models.covisitation import fit_covisitation
from models.dataset import History, Moment, TimeSplit, time_split
from models.fusion import Fusion, fit_fusion, rank_fusion
from models.long_term import fit_long_term
from models.ranker import Ranker, RankerReport, ranker_features
from models.replay import Replay
from models.retriever import Progress, Retriever, passes, train_retriever
from models.scorer import Pool, Scorer
from models.sources import Query
from models.windows import Examples

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

MIN_EVENTS = 50
MAX_SEGMENTS = 512
FOLDS = 4
"""Parts of the users in cross-validation."""


@dataclass(frozen=True)
class Plan:
    """What a training works on.

    Attributes:
        history: all events; split: its windows of time.
        catalog: all items; profiles: user id -> segments.
        categories, segments: vocabularies.
    """

    history: History
    split: TimeSplit
    catalog: Sequence[Item]
    profiles: Mapping[str, Sequence[str]]
    categories: tuple[str, ...]
    segments: tuple[str, ...]


def make_plan(events: Iterable[Event], catalog: Sequence[Item], users: Iterable[UserProfile]) -> Plan:
    """Read the events into arrays, split their time, and fix the vocabularies."""
    history = History.of(events)
    if len(history) < MIN_EVENTS:
        raise ValueError(f"events: {len(history)} are too few to train on; at least {MIN_EVENTS} are needed")
    profiles = {user.user_id: user.segments for user in users}
    segments = tuple(sorted({name for names in profiles.values() for name in names})[:MAX_SEGMENTS])
    return Plan(history, time_split(history), catalog, profiles, category_vocabulary(catalog), segments)


def fit_retriever(
    plan: Plan,
    until_us: int,
    epochs: int,
    *,
    seed: int = 0,
    threads: int = 1,
    start: Retriever | None = None,
    progress: Progress | None = None,
) -> Retriever:
    """The retriever trained on the events before a time, from the PMI start or from an earlier one."""
    history = plan.history.before(until_us)
    table = item_table(history.item_ids, plan.catalog, plan.categories)
    examples = Examples(history, content(table, np.arange(len(history.item_ids))), plan.segments, plan.profiles)
    return train_retriever(
        examples, passes(epochs, history), seed=seed, threads=threads, start=start, progress=progress
    )


class Learned(NamedTuple):
    """What a release is made of, besides a retriever of its own time and what is counted; see ``Bundle``."""

    fusion: Fusion
    stale_fusion: Fusion
    ranker: Ranker
    report: RankerReport


def assemble(
    plan: Plan,
    retriever: Retriever,
    until_us: int,
    *,
    learned: Learned | None = None,
    metrics: Mapping[str, float] | None = None,
    params: Mapping[str, Any] | None = None,
) -> Bundle:
    """A bundle of what was learned from the events before a time (the retriever must be of the same time).

    Without ``learned`` it ranks by plain rank fusion.
    """
    history = plan.history.before(until_us)
    if history.item_ids != retriever.item_ids:
        raise ValueError("retriever: it was trained on other items than those before until_us")
    return Bundle(
        item_ids=history.item_ids,
        categories=plan.categories,
        segments=plan.segments,
        feature_names=ranker_features(),
        weights=retriever.weights,
        covisitation=fit_covisitation(history),
        long_term=fit_long_term(history),
        fusion=learned.fusion if learned else rank_fusion(),
        stale_fusion=learned.stale_fusion if learned else rank_fusion(),
        ranker=learned.ranker if learned else None,
        metrics=metrics or {},
        data_window={
            "from_us": int(history.time_us.min()),
            "until_us": int(until_us),
            "events": len(history),
            "users": len(history.user_ids),
            "items": len(history.item_ids),
        },
        params=params or {},
    )


def new_scorer(bundle: Bundle, catalog: Iterable[Item], candidates: int) -> Scorer:
    """A scorer whose table holds a catalogue and no events yet."""
    return Scorer(bundle, item_table(bundle.item_ids, catalog, bundle.categories), candidates)


class Offer(NamedTuple):
    """What serving would have offered at a moment: the pool, and the weight of each label (float32 [n], mostly 0)."""

    moment: Moment
    pool: Pool
    labels: Floats


def allowed_for(scorer: Scorer, seen: Iterable[str]) -> NDArray[np.bool_]:
    """What may be recommended to a user: in the catalogue and not seen. bool [items]."""
    allowed = scorer.items.in_catalog.copy()
    allowed[[scorer.items.index[item_id] for item_id in seen if item_id in scorer.items.index]] = False
    return allowed


def query_of(replay: Replay, plan: Plan, moment: Moment) -> Query:
    """What serving would know of a moment's user, just before it (the replay must stand there)."""
    user_id = moment.user_id
    return Query(replay.user_row(user_id), moment.now_us, plan.profiles.get(user_id, ()), replay.seen(user_id))


def collect_pools(
    bundle: Bundle,
    plan: Plan,
    events: Iterable[Event],
    moments: Sequence[Moment],
    *,
    candidates: int,
    state_until_us: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[Offer], ItemTable]:
    """Replay the events and take the candidate pool of every moment.

    Args:
        events: all events in order of time.
        moments: in order of time, none before the end of the bundle's data.
        state_until_us: where the states stop, as if the stream were away from then on; None: just before each moment.

    Returns:
        The offers, and the item table that numbers their items.
    """
    replay, scorer, offers = Replay(events), new_scorer(bundle, plan.catalog, candidates), []
    for n, moment in enumerate(moments):
        replay.advance(moment.time_us if state_until_us is None else min(moment.time_us, state_until_us))
        replay.refresh(scorer.items)
        query = query_of(replay, plan, moment)
        pool = scorer.pool(query, allowed_for(scorer, query.seen))
        relevant = [moment.relevant.get(scorer.items.ids[item], 0.0) for item in pool.items]
        offers.append(Offer(moment, pool, np.array(relevant, np.float32)))
        if progress:
            progress(n + 1, len(moments), 0.0)
    return offers, scorer.items


def fold_of(user_id: str) -> int:
    """The user's fold in cross-validation: the same one in every run."""
    return zlib.crc32(user_id.encode()) % FOLDS


def fit_fusion_on(offers: Sequence[Offer]) -> Fusion:
    """The log-linear fusion of some offers."""
    return fit_fusion([offer.pool.features for offer in offers], [offer.labels for offer in offers])
