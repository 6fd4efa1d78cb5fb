"""The core of one recommendation: the same code for serving and for evaluation, without I/O.

read the user's last acts -> ask the sources -> pool -> features -> fusion and trees -> the best k
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.item_table import ItemTable
from feature_repo.request_features import interest_at, request_features
from feature_repo.state import HALF_LIVES, Row
from feature_repo.trends import EVER, top
from models.bundle import Bundle
from models.content import content
from models.covisitation import recent_weights
from models.encoder import Tokens, tokens_of
from models.index import FaissIndex, IndexAway, VectorIndex, with_bias
from models.long_term import LATEST, lasting_weights
from models.ranker import ranker_features
from models.sources import SOURCES, Context, Known, Query, Said, SourceLists, fuse, listed, log_total, main_sources

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]

RERANKED = 60
"""Candidates that the trees judge: the first of the fusion. The others keep their order after them."""

_WEEK = list(HALF_LIVES).index("7d")

STALE_US = 6 * 3_600 * 1_000_000
"""Where nothing is known of anyone for so long, the stream is taken to be away, and the stale fusion answers."""


class Ranked(NamedTuple):
    """A list of recommendations, best first.

    Attributes:
        items: intp [k] item numbers; scores: float32 [k]; sources: the loudest source of each item.
        features: float32 [m, len(ranker_features())], the ranker's rows of the first m items; [m, 0] where nothing was
            ranked.
        stale: whether the stale fusion made the scores.
    """

    items: Numbers
    scores: Floats
    sources: list[str]
    features: Floats
    stale: bool = False


class Pool(NamedTuple):
    """Candidates before the trees: numbers, their source features, the fusion's score, the loudest source.

    ``sources``: places in SOURCES. ``stale``: whether the score is the stale fusion's, which no tree has learned to
    correct.
    """

    items: Numbers
    features: Floats
    fusion: Floats
    sources: Numbers
    stale: bool

    def of(self, places: Numbers) -> Pool:
        """Some of the candidates."""
        return Pool(self.items[places], self.features[places], self.fusion[places], self.sources[places], self.stale)


class _Judged(NamedTuple):
    """Places in a pool, and the ranker's rows of the candidates there."""

    places: Numbers
    rows: Floats


_NOTHING_JUDGED = _Judged(np.empty(0, np.intp), np.empty((0, len(ranker_features())), np.float32))


class Scorer:
    """Scores users against the items of one table with one bundle.

    Args:
        bundle: the release.
        items: a table made by ``bundle.new_item_table()``; kept up to date by its owner.
        candidates: items that each source may name, and size of the pool that is ranked.
        index: where item vectors are searched; it holds the bundle's. In memory by default.
        index_away: told when the index gives no answer; the other sources then answer alone.
    """

    def __init__(
        self,
        bundle: Bundle,
        items: ItemTable,
        candidates: int,
        index: VectorIndex | None = None,
        index_away: Callable[[], None] = lambda: None,
    ) -> None:
        if tuple(items.ids[: len(bundle.item_ids)]) != bundle.item_ids:
            raise ValueError("items: not a table made by bundle.new_item_table()")
        self.bundle = bundle
        self.items = items
        self._candidates = candidates
        self._encoder = bundle.encoder()
        self._vectors = self._encoder.items()
        self._index: VectorIndex = FaissIndex(with_bias(self._vectors)) if index is None else index
        self._index_away = index_away
        self.sync()

    def sync(self, changed: Numbers | None = None) -> int:
        """Give items that came after the training their vectors, from content. Returns how many were given one.

        To be called when the table has grown or a later item's catalogue row has changed; until then such
        items are neither retrieved nor scored.

        Args:
            changed: numbers of items whose catalogue rows changed; None: any may have.
        """
        trained, known, now = len(self.bundle.item_ids), len(self._vectors), len(self.items)
        again = np.arange(trained, known) if changed is None else changed[(changed >= trained) & (changed < known)]
        later = np.concatenate([again, np.arange(known, now)]).astype(np.intp)
        if len(later):
            vectors = self._encoder.by_content(content(self.items, later))
            self._vectors.put(later, vectors)
            self._index.upsert(later, np.hstack([vectors, self._vectors.bias[later, None]]))
        return len(later)

    def knows(self, query: Query) -> bool:
        """Whether there is anything to be personal by: acts, or a segment that the training met."""
        return bool(query.user["event_count"] or self._encoder.segment_numbers(query.segments))

    def recommend(self, query: Query, k: int, allowed: Mask, described: int | None = None) -> Ranked:
        """The best k allowed items for a user at a moment; fewer when the sources do not name k.

        Args:
            query: who asks, and when.
            allowed: bool [len(items)]; what may be recommended.
            described: how many of the first items need the ranker's rows; None: all.
        """
        return self._ranked(query, self.pool(query, allowed), k, described)

    def rank(self, query: Query, items: Numbers) -> Ranked:
        """Given items, best first."""
        asked = np.asarray(items, np.intp)
        asked = asked[asked < len(self._vectors)]
        return self._ranked(query, self._pool(self.ask(query, np.ones(len(self.items), bool)), asked), len(asked))

    def _ranked(self, query: Query, pool: Pool, k: int, described: int | None = None) -> Ranked:
        scores, judged = self._judged(query, pool)
        best = top(_strange_first(scores), k)
        rows = self._rows(query, pool, best[:described], judged)
        return Ranked(pool.items[best], scores[best], [SOURCES[n] for n in pool.sources[best]], rows, pool.stale)

    def _rows(self, query: Query, pool: Pool, places: Numbers, judged: _Judged) -> Floats:
        """The ranker's rows of some candidates; those that the trees have judged are there already."""
        at = np.full(len(pool.items), -1)
        at[judged.places] = np.arange(len(judged.places))
        at = at[places]
        if (at >= 0).all():
            return judged.rows[at]
        rows = np.empty((len(places), len(ranker_features())), np.float32)
        rows[at >= 0] = judged.rows[at[at >= 0]]
        rows[at < 0] = ranker_matrix_of(query.user, self.items, pool.of(places[at < 0]), query.now_us)
        return rows

    def similar(self, item: int, k: int, allowed: Mask) -> Ranked:
        """The items that people go on to after an item, filled up by nearness of vectors (the item itself left out)."""
        allowed = allowed[: len(self._vectors)].copy()
        if item >= len(allowed):
            return Ranked(np.empty(0, np.intp), np.empty(0, np.float32), [], np.empty((0, 0), np.float32))
        allowed[item] = False
        indices, data = self.bundle.covisitation.of(item)
        visited = listed(indices, data, allowed, k)
        weight = dict(zip(indices.tolist(), data.tolist(), strict=True))
        counts = np.array([weight[n] for n in visited.tolist()], np.float32)
        allowed[visited] = False
        filler, near = self._nearest(item, k - len(visited), allowed)
        peak = counts.max(initial=np.float32(0)) or np.float32(1)
        # Co-visited items stand above all others: scores 1..2, nearness below 1.
        return Ranked(
            np.concatenate([visited, filler]),
            np.concatenate([1 + counts / peak, near]).astype(np.float32),
            ["item_to_item"] * len(visited) + ["content"] * len(filler),
            np.empty((len(visited) + len(filler), 0), np.float32),
        )

    def _nearest(self, item: int, k: int, allowed: Mask) -> tuple[Numbers, Floats]:
        """The allowed items of largest cosine with an item's vector; looks at all of them."""
        if k <= 0:
            return np.empty(0, np.intp), np.empty(0, np.float32)
        vectors = self._vectors.vectors
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors)) + np.float32(1e-9)
        near = vectors @ vectors[item] / (norms * norms[item])
        best = top(np.where(allowed, near, -np.inf), min(k, int(allowed.sum())))
        return best, near[best]

    def popular(self, now_us: float, k: int, allowed: Mask) -> tuple[Numbers, Floats]:
        """As the function ``popular``."""
        return popular(self.items, now_us, k, allowed)

    def pool(self, query: Query, allowed: Mask) -> Pool:
        """The candidates of a request, best of the plain rank fusion first."""
        return self.pool_from(self.ask(query, allowed))

    def pool_from(self, lists: SourceLists) -> Pool:
        """As ``pool``, from what the sources have answered already."""
        return self._pool(lists, lists.pool(self._candidates))

    def _pool(self, lists: SourceLists, items: Numbers) -> Pool:
        features = lists.features(items)
        fusion = self.bundle.stale_fusion if lists.stale else self.bundle.fusion
        sources = main_sources(features, fusion.source_weights)
        return Pool(items, features, fusion.score(features), sources, lists.stale)

    def score(self, query: Query, pool: Pool) -> Floats:
        """Final scores of a pool: float32 [n]."""
        return self._judged(query, pool)[0]

    def _judged(self, query: Query, pool: Pool) -> tuple[Floats, _Judged]:
        """Final scores, and what the trees were shown for them."""
        scores = pool.fusion.astype(np.float32)
        ranker = self.bundle.ranker
        if ranker is None or not ranker.trees or pool.stale or not len(scores):
            return scores, _NOTHING_JUDGED
        head = top(scores, RERANKED)
        rest = np.ones(len(scores), bool)
        rest[head] = False
        rows = ranker_matrix_of(query.user, self.items, pool.of(head), query.now_us)
        scores[head] += ranker.correct(rows).astype(np.float32)
        if rest.any():
            scores[rest] += min(0, scores[head].min() - scores[rest].max())
        return scores, _Judged(head, rows)

    def ask(self, query: Query, allowed: Mask) -> SourceLists:
        """What every source answers, among the allowed items that have vectors."""
        context, allowed, depth = self._context(query), allowed[: len(self._vectors)], self._candidates
        items, bundle, n = self.items, self.bundle, len(allowed)
        visited = bundle.covisitation.sums(*recent_weights(context.tokens), n)
        lasting = bundle.long_term.sums(*lasting_weights(context.seen), n)
        retrieved, said = self._retrieve(context, allowed)
        lists = {
            "retriever": retrieved,
            "item_to_item": listed(*visited.entries(), allowed, depth),
            "long_term": listed(*lasting.entries(), allowed, depth),
            "trending": items.trends.best("7d", depth, allowed),
            "popular": items.trends.best("30d", depth, allowed),
        }
        peak = lasting.of(lists["long_term"][:1]).sum()
        known = Known(
            retrieved=said,
            visited=lambda m: visited.of(m) / np.float32(visited.total + 1e-9),
            lasting=lambda m: lasting.of(m) - peak,
            interest=lambda m: interest_at(items, m, context.now_us),
            ever=lambda m: items.column("event_count")[m],
        )
        # The user's row is read at once, the item table a little later: his own last act shows that the stream flows.
        newest_us = max(items.newest_us, query.user["last_event_us"] or 0)
        stale = context.now_us - newest_us > STALE_US
        return SourceLists(lists, fuse(lists, bundle.fusion.source_weights, n), known, bool(stale))

    def _retrieve(self, context: Context, allowed: Mask) -> tuple[Numbers, Said]:
        """The retriever's list, and what it says of any item."""
        vectors = self._vectors
        query = self._encoder.encode(context.tokens, vectors, context.segments, context.now_us)
        try:
            found, scores = self._index.search(np.append(query, np.float32(1)), self._candidates, allowed)
        except IndexAway:
            self._index_away()
            found, scores = np.empty(0, np.intp), np.empty(0, np.float32)
        if not len(found):
            return found, lambda m: np.zeros(len(m), np.float32)
        total = log_total(scores)
        return found, lambda m: vectors.vectors[m] @ query + (vectors.bias[m] - np.float32(total))

    def _context(self, query: Query) -> Context:
        index, n = self.items.index, len(self._vectors)
        tokens = tokens_of(query.user, index)
        if len(tokens.items) and tokens.items.max() >= n:
            tokens = Tokens(*(column[tokens.items < n] for column in tokens))
        seen = [index[item_id] for item_id in query.seen[-LATEST:] if item_id in index]
        return Context(tokens, np.array(seen, np.intp), query.segments, query.now_us)


def all_finite(scores: Floats) -> bool:
    """Whether every score is a finite number; half a microsecond when all are."""
    # The sum of squares is not finite when one of them is not, or, seldom, when they are huge.
    return isfinite(scores.dot(scores)) or bool(np.isfinite(scores).all())


def _strange_first(scores: Floats) -> Floats:
    """What to sort by: a score that is no finite number comes first, where it is seen, not last, where it is cut off.

    Else a model that gives NaN to the best candidates would silently show the others.
    """
    return scores if all_finite(scores) else np.where(np.isfinite(scores), scores, np.float32(np.inf))


def ranker_matrix_of(user: Row, items: ItemTable, pool: Pool, now_us: float) -> Floats:
    """The ranker's rows of a pool: request features, source features, fusion score."""
    if not len(pool.items):
        return np.empty((0, len(ranker_features())), np.float32)
    request = request_features(user, items, pool.items, now_us)
    return np.hstack([request, pool.features, pool.fusion[:, None]]).astype(np.float32)


def popular(items: ItemTable, now_us: float, k: int, allowed: Mask) -> tuple[Numbers, Floats]:
    """The allowed items of most acts of interest lately (7-day decayed), filled up by the all-time count.

    Needs no bundle. Returns item numbers and scores, best first; where all that ever met an act are fewer than k, the
    others follow in order of their numbers.
    """
    some = np.concatenate([items.trends.best(name, k, allowed) for name in ("7d", EVER)])
    some = np.unique(some)
    if len(some) < k:
        rest = allowed.copy()
        rest[some] = False
        some = np.concatenate([some, np.flatnonzero(rest)[: k - len(some)]])
    ever = items.column("event_count")[some]
    score = interest_at(items, some, now_us)[:, _WEEK] + np.float32(1e-6) * ever
    best = top(score, k)
    return some[best], score[best].astype(np.float32)
