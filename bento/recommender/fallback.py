"""Which step answers, and the name it goes by: personal -> profile -> segment -> popular -> static.

Each step gives candidates or None, "not my case"; a step that fails is logged, counted and passed over. The last
one needs neither a model nor counts, so a request always has an answer. What was wrong with the model's own list is
told with the answer, for whoever can ask another model. (``last_known`` is the personal step on
features that could not be read anew; who read them gives it that name.)
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from bento.recommender import rules
from bento.recommender.ask import Ask, Choice, Floats, Numbers
from bento.recommender.exploration import Explorer
from bento.recommender.filling import Filling
from bento.recommender.guard import flaw
from bento.recommender.metrics import Metrics
from bento.recommender.release import Release
from bento.recommender.visitors import NOBODY, Visitor
from feature_repo.events import pseudonym
from feature_repo.request_features import empty_user, interest_at
from feature_repo.state import HALF_LIVES
from feature_repo.trends import top
from infra.settings import Settings
from models.scorer import Ranked, popular
from models.sources import Query

log = logging.getLogger(__name__)

WEEK, MONTH = (list(HALF_LIVES).index(name) for name in ("7d", "30d"))

LEADERS = 1_000
"""Items whose acts are taken for the acts of all."""

RARE = np.float32(1e-3)
"""A share of all acts below which nothing can be said of whom an item is liked by."""

FAINT = np.float32(1e-6)
"""What an item without acts counts for."""


class Request(NamedTuple):
    """What every step is given.

    Attributes:
        filling: what the list is finished by; its mask is not to be written to.
    """

    release: Release
    visitor: Visitor
    ask: Ask
    now_us: int
    filling: Filling

    @property
    def mask(self) -> rules.Mask:
        return self.filling.mask

    @property
    def wanted(self) -> int:
        return self.filling.candidates


class Ladder:
    """Chooses what is shown. All calls are made under the catalogue's lock.

    Args:
        settings: seen_days, seen_event_types, max_per_category, page_items, and those of Explorer.
        metrics: ``failures`` counts steps that failed.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._seen = rules.SeenRule.of(settings)
        self._most = settings.max_per_category or None
        self._page_items = settings.page_items
        self._metrics = metrics
        self._explorer = Explorer(settings, metrics)

    def choose(self, release: Release, visitor: Visitor, ask: Ask, now_us: int) -> Choice:
        """The list of the first step that has one: k items, and behind them those of later pages. Never raises.

        A list of the model that nobody may be shown counts as a step that failed; ``fault`` says so.
        """
        request, fault = None, None
        for step in (personal, by_profile, by_segments, by_popularity, in_order):
            try:
                request = request or self._request(release, visitor, ask, now_us)
                found = step(request)
                if found is None:
                    continue
                if step not in BY_MODEL:
                    return request.filling.finished(found)._replace(fault=fault)
                _check(found, release)
                return self._explored(request, request.filling.finished(found))
            except Exception as error:
                self._failed(step.__name__, ask, error)
                if step in BY_MODEL:
                    fault = fault or f"{type(error).__name__}: {error}"
        return self._bundled(release, visitor, ask, now_us)._replace(fault=fault)

    def _failed(self, step: str, ask: Ask, error: Exception) -> None:
        """Pass over a step."""
        self._metrics.failures.labels(step).inc()
        extra = {"step": step, "user_key": pseudonym(ask.user_id)}
        log.error("a step failed behind an answer", exc_info=error, extra=extra)

    def _bundled(self, release: Release, visitor: Visitor, ask: Ask, now_us: int) -> Choice:
        """Items in the table's order: of the bundle, while no catalogue could be read."""
        if _nothing_to_show(release, ask):
            mask = rules.among(release.catalog, release.catalog.table.ids, ask.exclude, ask.category)
            mask &= ~rules.among(release.catalog, visitor.seen)
        else:
            mask = self._mask(release, visitor, ask, now_us)
        choice = _ordered(mask, max(ask.k, self._page_items))
        return choice._replace(exhausted=len(choice.numbers) < ask.k)

    def popular(self, release: Release, ask: Ask, now_us: int) -> Choice:
        """What everybody likes now, without a name of a fallback: it is what was asked for."""
        table, mask = release.catalog.table, rules.allowed(release.catalog, now_us, ask.exclude, (), ask.category)
        numbers, scores = popular(table, now_us, ask.k, mask)
        if not len(scores) or scores[0] <= 0:
            return self._bundled(release, NOBODY, ask, now_us).first(ask.k)
        return Choice(numbers, scores, ["popular"] * len(numbers), None, None)

    def similar(self, release: Release, item: int, k: int, now_us: int) -> Choice:
        """Items like one item; without a model the popular ones of its categories."""
        catalog = release.catalog
        mask = rules.allowed(catalog, now_us)
        mask[item] = False
        fault: str | None = None
        if release.scorer is not None:
            try:
                near = release.scorer.similar(item, k, mask)
                choice = Choice(near.items, near.scores, near.sources, None, None)
                _check(choice, release)
                return choice
            except Exception as error:
                self._failed("similar", Ask(""), error)
                fault = f"{type(error).__name__}: {error}"
        same = np.zeros(len(mask), bool)
        for label in catalog.table.labels[item]:
            same |= rules.in_category(catalog, label)
        numbers, scores = popular(catalog.table, now_us, k, mask & same)
        return Choice(numbers, scores, ["popular"] * len(numbers), None, "popular", fault=fault)

    def _request(self, release: Release, visitor: Visitor, ask: Ask, now_us: int) -> Request:
        mask, length = self._mask(release, visitor, ask, now_us), max(ask.k, self._page_items)
        filling = Filling(release.catalog, mask, ask, self._cap(ask), length, now_us)
        return Request(release, visitor, ask, now_us, filling)

    def _mask(self, release: Release, visitor: Visitor, ask: Ask, now_us: int) -> rules.Mask:
        if ask.items is None:
            seen = self._seen.hidden(visitor, now_us)
            context = (ask.context_item,) if ask.context_item else ()
            return rules.allowed(release.catalog, now_us, (*ask.exclude, *context), seen, ask.category)
        # The caller chose these: what was seen, is out of stock or left the catalogue is his to judge.
        return rules.among(release.catalog, ask.items, ask.exclude, ask.category)

    def _explored(self, request: Request, choice: Choice) -> Choice:
        ask = request.ask
        # A replay must come out the same each time, and who names items wants these.
        if ask.clock_us is not None or ask.items is not None or ask.context_item is not None:
            return choice
        table, most = request.release.catalog.table, request.filling.most
        row, share = request.visitor.row, ask.explore_share
        return self._explorer.explored(choice, table, row, request.mask, k=ask.k, most=most, share=share)

    def _cap(self, ask: Ask) -> int | None:
        # Within one category the setting would leave nearly nothing to show; the caller may mean just that.
        return ask.max_per_category or (self._most if ask.category is None else None)


def personal(request: Request) -> Choice | None:
    """What the model says: of the items given, of items like the context's, or of all."""
    release, visitor, ask = request.release, request.visitor, request.ask
    scorer = release.scorer
    if scorer is None or _nothing_to_show(release, ask):
        return None
    context = release.catalog.table.index.get(ask.context_item) if ask.context_item else None
    if context is not None and ask.items is None:
        near = scorer.similar(context, request.wanted, request.mask)
        return Choice(near.items, near.scores, near.sources, None, None)
    if visitor.row is None:
        return None
    query = Query(visitor.row, request.now_us, visitor.segments, visitor.seen)
    if ask.items is not None:
        return _ranked(scorer.rank(query, np.flatnonzero(request.mask)), None)
    return _ranked(scorer.recommend(query, request.wanted, request.mask, request.filling.described), None)


def by_profile(request: Request) -> Choice | None:
    """What the model says of one who has a profile but no events."""
    visitor, ask, scorer = request.visitor, request.ask, request.release.scorer
    query = Query(empty_user(), request.now_us, visitor.segments)
    if visitor.row is not None or scorer is None or ask.items is not None or not scorer.knows(query):
        return None
    ranked = scorer.recommend(query, request.wanted, request.mask, request.filling.described)
    return _ranked(ranked, "profile") if len(ranked.items) else None


def by_segments(request: Request) -> Choice | None:
    """What people of the visitor's segments like, where there is no model, or none that knows these segments.

    Favourites are of the last nightly run, popularity is live: an item's acts of the week count as many times more as
    the square root of how much more often his people choose it than everybody does. Their shares alone, or fused by
    rank with popularity, are worse than plain popularity at a visitor's first moment on MovieLens-100K; this is not.
    """
    table, visitor = request.release.catalog.table, request.visitor
    if visitor.row is not None or not visitor.favourites:
        return None
    known = [n for item_id in visitor.favourites if (n := table.index.get(item_id)) is not None]
    favourites = np.array([n for n in known if request.mask[n]], np.intp)
    if not len(favourites):
        return None
    trending, _ = popular(table, request.now_us, request.wanted, request.mask)
    named = np.union1d(favourites, trending)
    lift = _lift(request, named)
    interest = interest_at(table, named, request.now_us)[:, WEEK]
    scores = ((interest + FAINT) * np.sqrt(np.maximum(lift, 1))).astype(np.float32)
    best = top(scores, request.wanted)
    liked = set(favourites.tolist())
    sources = ["segment" if n in liked else "popular" for n in named[best].tolist()]
    return Choice(named[best], scores[best], sources, None, "segment")


def _lift(request: Request, items: Numbers) -> Floats:
    """How many times more often than everybody the visitor's people choose some items: float32 [n]."""
    table, visitor = request.release.catalog.table, request.visitor
    leaders = table.trends.best("30d", LEADERS, np.ones(len(table), bool))
    total = interest_at(table, leaders, request.now_us)[:, MONTH].sum() + FAINT
    everybody = interest_at(table, items, request.now_us)[:, MONTH] / total
    theirs = np.array([visitor.favourites.get(table.ids[n], 0.0) for n in items.tolist()], np.float32)
    return (theirs / max(len(visitor.segments), 1) + RARE) / (everybody + RARE)


def by_popularity(request: Request) -> Choice | None:
    """What everybody likes now; None while there is no catalogue or nothing was ever counted."""
    if _nothing_to_show(request.release, request.ask):
        return None
    table = request.release.catalog.table
    numbers, scores = popular(table, request.now_us, request.wanted, request.mask)
    if len(scores) and scores[0] <= 0:
        return None
    return Choice(numbers, scores, ["popular"] * len(numbers), None, "popular")


def in_order(request: Request) -> Choice | None:
    """The catalogue in its own order, where nothing was ever counted."""
    if _nothing_to_show(request.release, request.ask):
        return None
    return _ordered(request.mask, request.wanted)


BY_MODEL = (personal, by_profile)
"""Steps whose list is the model's."""


class BadList(ValueError):
    """A model made a list that nobody may be shown; the message says what is wrong with it."""


def _check(choice: Choice, release: Release) -> None:
    wrong = flaw(choice.numbers, choice.scores, len(release.catalog.table))
    if wrong is not None:
        raise BadList(wrong)


def _ordered(mask: rules.Mask, length: int) -> Choice:
    numbers = np.flatnonzero(mask)[:length]
    scores = np.linspace(1, 0, len(numbers), endpoint=False, dtype=np.float32)
    return Choice(numbers, scores, ["static"] * len(numbers), None, "static")


def _nothing_to_show(release: Release, ask: Ask) -> bool:
    table = release.catalog.table
    return not (len(table) if ask.items is not None else table.in_catalog.any())


def _ranked(ranked: Ranked, name: str | None) -> Choice:
    return Choice(ranked.items, ranked.scores, ranked.sources, ranked.features, name, stale=ranked.stale)
