"""Which step answers, and the name it goes by: personal -> profile (model, then segments) -> popular -> static.

Each step gives a list or None, "not my case"; a step that fails is logged, counted and passed over. The last
one needs neither a model nor counts, so a request always has an answer.
"""

from __future__ import annotations

import logging

import numpy as np

from bento.recommender import rules
from bento.recommender.ask import Ask, Choice, Floats, Numbers
from bento.recommender.metrics import Metrics
from bento.recommender.release import Release
from bento.recommender.visitors import Visitor
from feature_repo.events import pseudonym
from feature_repo.request_features import empty_user
from models.scorer import Ranked, Scorer, popular
from models.sources import Query, top

log = logging.getLogger(__name__)

MIXTURE = 10
"""Candidates to diversify from, as a multiple of k."""


def choose(release: Release, visitor: Visitor, ask: Ask, now_us: int, metrics: Metrics) -> Choice:
    """The answer of the first step that has one. Call it under the catalogue's lock."""
    for step in (personal, by_profile, by_segments, by_popularity):
        try:
            choice = step(release, visitor, ask, now_us)
        except Exception:
            metrics.failures.labels(step.__name__).inc()
            log.exception(
                "a step failed behind an answer", extra={"step": step.__name__, "user_key": pseudonym(ask.user_id)}
            )
            continue
        if choice is not None:
            return choice
    return static(release, ask)


def personal(release: Release, visitor: Visitor, ask: Ask, now_us: int) -> Choice | None:
    """What the model says: of the items given, of items like the context's, or of all."""
    scorer = release.scorer
    mask = _mask(release, visitor, ask)
    if scorer is None or _nothing_to_show(release, ask):
        return None
    context = release.catalog.table.index.get(ask.context_item) if ask.context_item else None
    if context is not None and ask.items is None:
        near = scorer.similar(context, _wanted(ask), mask)
        return _mixed(release, Choice(near.items, near.scores, near.sources, None, None), ask)
    if visitor.row is None:
        return None
    query = Query(visitor.row, now_us, visitor.segments, visitor.seen)
    if ask.items is not None:
        ranked = scorer.rank(query, np.flatnonzero(mask))
    else:
        ranked = scorer.recommend(query, _wanted(ask), mask)
    return _chosen(release, ranked, ask, now_us, mask)


def by_profile(release: Release, visitor: Visitor, ask: Ask, now_us: int) -> Choice | None:
    """What the model says of one who has a profile but no events."""
    scorer, query = release.scorer, Query(empty_user(), now_us, visitor.segments)
    if visitor.row is not None or scorer is None or ask.items is not None or not scorer.knows(query):
        return None
    mask = _mask(release, visitor, ask)
    ranked = scorer.recommend(query, _wanted(ask), mask)
    return _chosen(release, ranked, ask, now_us, mask)._replace(fallback="profile") if len(ranked.items) else None


def by_segments(release: Release, visitor: Visitor, ask: Ask, now_us: int) -> Choice | None:
    """What people of the visitor's segments like, where there is no model, or none that knows these segments."""
    if visitor.row is not None or not visitor.favourites:
        return None
    mask = _mask(release, visitor, ask)
    index = release.catalog.table.index
    liked = {n: share for item_id, share in visitor.favourites.items() if (n := index.get(item_id)) is not None}
    scores = np.zeros(len(mask), np.float32)
    scores[list(liked)] = list(liked.values())
    best = top(np.where(mask, scores, 0), _wanted(ask))
    best = best[scores[best] > 0]
    if not len(best):
        return None
    choice = _mixed(release, Choice(best, scores[best], ["profile"] * len(best), None, "profile"), ask)
    return _filled(release, choice, ask, now_us, mask)


def by_popularity(release: Release, visitor: Visitor, ask: Ask, now_us: int) -> Choice | None:
    """What everybody likes now; None while there is no catalogue or nothing was ever counted."""
    if _nothing_to_show(release, ask):
        return None
    mask = _mask(release, visitor, ask)
    numbers, scores = popular(release.catalog.table, now_us, _wanted(ask), mask)
    if len(scores) and scores[0] <= 0:
        return None
    return _mixed(release, Choice(numbers, scores, ["popular"] * len(numbers), None, "popular"), ask)


def static(release: Release, ask: Ask) -> Choice:
    """Items in the table's order: those of the catalogue, or of the bundle while no catalogue could be read."""
    table = release.catalog.table
    wanted = table.ids if _nothing_to_show(release, ask) else ask.items
    if wanted is None:
        mask = rules.allowed(release.catalog, ask.exclude, category=ask.category)
    else:
        mask = rules.among(release.catalog, wanted, ask.exclude, ask.category)
    numbers = np.flatnonzero(mask)[: ask.k]
    scores = np.linspace(1, 0, len(numbers), endpoint=False, dtype=np.float32)
    return Choice(numbers, scores, ["static"] * len(numbers), None, "static")


def similar(release: Release, item: int, k: int, now_us: int) -> Choice:
    """Items like one item; without a model the popular ones of its categories."""
    catalog = release.catalog
    mask = rules.allowed(catalog)
    mask[item] = False
    scorer: Scorer | None = release.scorer
    if scorer is not None:
        near = scorer.similar(item, k, mask)
        return Choice(near.items, near.scores, near.sources, None, None)
    same = np.zeros(len(mask), bool)
    for label in catalog.table.labels[item]:
        same |= rules.in_category(catalog, label)
    numbers, scores = popular(catalog.table, now_us, k, mask & same)
    return Choice(numbers, scores, ["popular"] * len(numbers), None, "popular")


def _nothing_to_show(release: Release, ask: Ask) -> bool:
    table = release.catalog.table
    return not (len(table) if ask.items is not None else table.in_catalog.any())


def _mask(release: Release, visitor: Visitor, ask: Ask) -> rules.Mask:
    if ask.items is None:
        return rules.allowed(release.catalog, ask.exclude, visitor.seen, ask.category)
    # The caller chose these: what was seen or left the catalogue is his to judge.
    return rules.among(release.catalog, ask.items, ask.exclude, ask.category)


def _wanted(ask: Ask) -> int:
    return ask.k * MIXTURE if ask.diversity else ask.k


def _chosen(release: Release, ranked: Ranked, ask: Ask, now_us: int, mask: rules.Mask) -> Choice:
    choice = _mixed(release, Choice(ranked.items, ranked.scores, ranked.sources, ranked.features, None), ask)
    return _filled(release, choice, ask, now_us, mask)


def _mixed(release: Release, choice: Choice, ask: Ask) -> Choice:
    if not ask.diversity:
        return _picked(choice, np.arange(min(ask.k, len(choice.numbers))))
    categories = release.catalog.table.categories[choice.numbers]
    return _picked(choice, rules.diversify(choice.scores, categories, ask.k, ask.diversity))


def _picked(choice: Choice, positions: Numbers) -> Choice:
    return Choice(
        choice.numbers[positions],
        choice.scores[positions],
        [choice.sources[n] for n in positions],
        None if choice.features is None else choice.features[positions],
        choice.fallback,
    )


def _filled(release: Release, choice: Choice, ask: Ask, now_us: int, mask: rules.Mask) -> Choice:
    """Where the sources name fewer than k, popular items follow, scored below all that was ranked."""
    missing = ask.k - len(choice.numbers)
    if missing <= 0 or ask.items is not None:
        return choice
    rest = mask.copy()
    rest[choice.numbers] = False
    numbers, counts = popular(release.catalog.table, now_us, missing, rest)
    return choice._replace(
        numbers=np.concatenate([choice.numbers, numbers]),
        scores=np.concatenate([choice.scores, _below(choice.scores, counts)]),
        sources=choice.sources + ["popular"] * len(numbers),
    )


def _below(scores: Floats, counts: Floats) -> Floats:
    lowest = scores.min() if len(scores) else np.float32(0)
    peak = max(float(counts.max()), 1e-9) if len(counts) else 1.0
    return (lowest - 1 + counts / np.float32(peak + 1)).astype(np.float32)
