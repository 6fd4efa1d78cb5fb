"""Evaluation by replay: events in order of time through the states, lists by the very scorer that serves.

live: the state just before each moment, the user's events so far included. frozen: the users' and the items' state
as of the split, as a nightly batch would know it. A request always knows the time, and seen items are left out as of
the moment, in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Event
from feature_repo.trends import top
from models.bundle import Bundle
from models.dataset import Moment, moments
from models.judging import Evaluation, judge_lists
from models.metrics import DEPTH
from models.replay import Replay
from models.retriever import Progress
from models.scorer import Scorer
from models.sources import Query
from models.training import Plan, allowed_for, new_scorer, query_of

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]

SYSTEMS: tuple[str, ...] = (
    "popularity",
    "recent popularity",
    "item to item",
    "long term",
    "retriever",
    "rank fusion",
    "learned fusion",
    "product",
)
"""All-time counts; 7-day decayed counts; two sources alone; their pool by plain reciprocal rank fusion; by the learned
fusion; and the product: retriever and the other sources, learned fusion, trees."""

MODES = ("frozen", "live")
SAMPLE = 2_000

PRODUCT, RIVAL = "product", "champion"
"""The systems of a duel."""

Systems = Callable[[Scorer, Mask, Query], Mapping[str, Numbers]]
"""Gives the lists of some systems, as item numbers of the scorer."""

Watch = Callable[[Moment, Scorer, Mask, Query], None]
"""Is told what is asked at each moment with live state."""


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
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge the product's own systems on a window of time.

    Args:
        bundle: trained on events before ``since_us`` only.
        plan: history, catalogue and profiles.
        events: all events in order of time.
        since_us, until_us: the window; the frozen state is that of ``since_us``.
        candidates: size of the pool, as in serving.
        sample: most moments (seeded sample).
        watch, progress: told of each moment.
    """
    judged = moments(plan.history, since_us, until_us, sample, seed)
    lists = product_lists(
        bundle, plan, events, judged, since_us=since_us, candidates=candidates, watch=watch, progress=progress
    )
    return judge_lists(plan, judged, lists, since_us=since_us, until_us=until_us)


def duel(
    bundle: Bundle,
    rival: Bundle,
    plan: Plan,
    replay: Replay,
    *,
    since_us: int,
    until_us: int,
    candidates: int = 200,
    sample: int = SAMPLE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Two releases side by side on a window that neither has seen, with live state, as systems PRODUCT and RIVAL.

    Args:
        bundle, rival: trained on events before ``since_us`` only; their items may differ.
        replay: of all events, not moved yet; it stands at the last moment afterwards.
        Others: as in ``evaluate``.
    """
    judged = moments(plan.history, since_us, until_us, sample, seed)
    scorers = {name: new_scorer(one, plan.catalog, candidates) for name, one in ((PRODUCT, bundle), (RIVAL, rival))}
    lists: dict[str, list[list[str]]] = {name: [] for name in scorers}
    for n, moment in enumerate(judged):
        replay.advance(moment.time_us)
        replay.refresh(*(scorer.items for scorer in scorers.values()))
        query = query_of(replay, plan, moment)
        for name, scorer in scorers.items():
            numbers = product_list(scorer, allowed_for(scorer, query.seen), query)
            lists[name].append([scorer.items.ids[item] for item in numbers])
        if progress:
            progress(n + 1, len(judged), 0.0)
    return judge_lists(plan, judged, {"live": lists}, since_us=since_us, until_us=until_us)


def product_list(scorer: Scorer, allowed: Mask, query: Query, depth: int = DEPTH) -> Numbers:
    """The product's list as it is served: popular items for whom nothing is known of, and after a short list."""
    recent, _ = scorer.popular(query.now_us, 2 * depth, allowed)
    if not scorer.knows(query):
        return recent[:depth]
    return _filled(scorer.recommend(query, depth, allowed, described=0).items, recent, depth)


def lists_of(scorer: Scorer, allowed: Mask, query: Query) -> dict[str, Numbers]:
    """Every system's list of at most DEPTH items; a list that falls short is filled up by recent popularity."""
    sources = scorer.ask(query, allowed)
    pool = scorer.pool_from(sources)
    recent, _ = scorer.popular(query.now_us, 2 * DEPTH, allowed)
    ever = top(np.where(allowed, scorer.items.column("event_count"), -1).astype(np.float32), DEPTH)
    lists = {
        "popularity": ever[allowed[ever]],
        "recent popularity": recent,
        "item to item": sources.lists["item_to_item"],
        "long term": sources.lists["long_term"],
        "retriever": sources.lists["retriever"],
        "rank fusion": pool.items,
        "learned fusion": pool.items[top(pool.fusion, DEPTH)],
        "product": scorer.recommend(query, DEPTH, allowed).items if scorer.knows(query) else recent,
    }
    return {name: _filled(numbers, recent) for name, numbers in lists.items()}


def _filled(numbers: Numbers, filler: Numbers, depth: int = DEPTH) -> Numbers:
    numbers = numbers[:depth]
    rest = filler[~np.isin(filler, numbers)]
    return np.concatenate([numbers, rest[: depth - len(numbers)]])


def product_lists(
    bundle: Bundle,
    plan: Plan,
    events: Iterable[Event],
    judged: Sequence[Moment],
    *,
    since_us: int,
    candidates: int = 200,
    systems: Systems = lists_of,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, list[list[str]]]]:
    """The product's own systems' Lists at some moments, by one replay.

    Args:
        judged: in order of time, none before ``since_us``.
        systems: gives their lists at one moment.
        Others: as in ``evaluate``.
    """
    lists: dict[str, dict[str, list[list[str]]]] = {mode: {} for mode in MODES}
    replay = Replay(events)
    frozen, live = (new_scorer(bundle, plan.catalog, candidates) for _ in MODES)
    replay.advance(since_us)
    replay.fill(frozen.items)
    as_of_split = {moment.user_id: query_of(replay, plan, moment) for moment in judged}
    replay.fill(live.items)
    for n, moment in enumerate(judged):
        replay.advance(moment.time_us)
        replay.refresh(live.items)
        query = query_of(replay, plan, moment)
        states = {
            "frozen": (frozen, as_of_split[moment.user_id]._replace(now_us=moment.now_us)),
            "live": (live, query),
        }
        for mode, (scorer, asked) in states.items():
            found = systems(scorer, allowed_for(scorer, query.seen), asked)
            for system, numbers in found.items():
                lists[mode].setdefault(system, []).append([scorer.items.ids[item] for item in numbers[:DEPTH]])
        if watch:
            watch(moment, live, allowed_for(live, query.seen), query)
        if progress:
            progress(n + 1, len(judged), 0.0)
    # Without a moment every system still has its figures, all 0: the gate asks for them.
    return lists if judged else {mode: {system: [] for system in SYSTEMS} for mode in MODES}
