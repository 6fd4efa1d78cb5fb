"""The core of one recommendation: the same code for serving and for evaluation, without I/O.

read the user's last acts -> ask the sources -> pool -> features -> fusion and trees -> the best k
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.item_table import ItemTable
from feature_repo.request_features import request_features
from feature_repo.state import Row
from models.bundle import Bundle
from models.content import content
from models.covisitation import recent_weights
from models.encoder import ItemVectors, Tokens, tokens_of
from models.index import FaissIndex, VectorIndex
from models.long_term import lasting_weights
from models.ranker import ranker_features
from models.sources import (
    Context,
    Query,
    SourceList,
    SourceLists,
    fuse,
    listed,
    popularity,
    top,
)

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]

DEPTH = 200
"""Items that each source may name."""

RERANKED = 60
"""Candidates that the trees judge: the first of the fusion. The others keep their order after them."""


STALE_US = 6 * 3_600 * 1_000_000
"""Where nothing is known of anyone for so long, the stream is taken to be away, and the stale fusion answers."""


class Ranked(NamedTuple):
    """A list of recommendations, best first.

    Attributes:
        items: intp [k] item numbers; scores: float32 [k]; sources: the loudest source of each item.
        features: float32 [k, len(ranker_features())]; [k, 0] where nothing was ranked.
    """

    items: Numbers
    scores: Floats
    sources: list[str]
    features: Floats


class Pool(NamedTuple):
    """Candidates before the trees: numbers, their source features, the fusion's score, the loudest source.

    ``stale``: whether the score is the stale fusion's, which no tree has learned to correct.
    """

    items: Numbers
    features: Floats
    fusion: Floats
    sources: list[str]
    stale: bool


class Scorer:
    """Scores users against the items of one table with one bundle.

    Args:
        bundle: the release.
        items: a table made by ``bundle.new_item_table()``; kept up to date by its owner.
        candidates: size of the pool that the ranker sees.
        index: where item vectors are searched; exact FAISS in memory by default.
    """

    def __init__(self, bundle: Bundle, items: ItemTable, candidates: int, index: VectorIndex | None = None) -> None:
        if tuple(items.ids[: len(bundle.item_ids)]) != bundle.item_ids:
            raise ValueError("items: not a table made by bundle.new_item_table()")
        self.bundle = bundle
        self.items = items
        self._candidates = candidates
        self._encoder = bundle.encoder()
        self._vectors: ItemVectors = self._encoder.items()
        self._index: VectorIndex = index or FaissIndex(self._vectors.vectors.shape[1] + 1)
        self._upsert(self._vectors, 0)
        self.sync()

    def sync(self) -> int:
        """Give items that came after the training their vectors, from content. Returns how many there are.

        To be called when the table has grown or a later item's catalogue row has changed; until then such
        items are neither retrieved nor scored.
        """
        first = len(self.bundle.item_ids)
        later = np.arange(first, len(self.items))
        vectors = self._encoder.extend(content(self.items, later))
        self._upsert(vectors, first)
        self._vectors = vectors
        return len(later)

    def _upsert(self, vectors: ItemVectors, first: int) -> None:
        with_bias = np.hstack([vectors.vectors, vectors.bias[:, None]])
        if len(with_bias) > first:
            self._index.upsert(np.arange(first, len(with_bias)), with_bias[first:])

    def knows(self, query: Query) -> bool:
        """Whether there is anything to be personal by: acts, or a segment that the training met."""
        return bool(query.user["event_count"] or self._encoder.segment_numbers(query.segments))

    def recommend(self, query: Query, k: int, allowed: Mask) -> Ranked:
        """The best k allowed items for a user at a moment; fewer when the sources do not name k.

        Args:
            query: who asks, and when.
            allowed: bool [len(items)]; what may be recommended.
        """
        pool = self.pool(query, allowed)
        scores, matrix = self.score(query, pool)
        best = top(scores, k)
        return Ranked(pool.items[best], scores[best], [pool.sources[n] for n in best], matrix[best])

    def rank(self, query: Query, items: Numbers) -> Ranked:
        """Given items, best first."""
        asked = np.asarray(items, np.intp)
        asked = asked[asked < len(self._vectors)]
        pool = self._pool(self.ask(query, np.ones(len(self.items), bool)), asked)
        scores, matrix = self.score(query, pool)
        best = top(scores, len(scores))
        return Ranked(asked[best], scores[best], [pool.sources[n] for n in best], matrix[best])

    def similar(self, item: int, k: int, allowed: Mask) -> Ranked:
        """The items that people go on to after an item, filled up by nearness of vectors (the item itself left out)."""
        allowed = allowed[: len(self._vectors)].copy()
        if item >= len(allowed):
            return Ranked(np.empty(0, np.intp), np.empty(0, np.float32), [], np.empty((0, 0), np.float32))
        allowed[item] = False
        scores = np.zeros(len(allowed), np.float32)
        indices, data = self.bundle.covisitation.of(item)
        scores[indices] = data
        visited = listed(scores, allowed, k)
        vectors = self._vectors.vectors[: len(allowed)]
        norms = np.linalg.norm(vectors, axis=1) + np.float32(1e-9)
        near = vectors @ vectors[item] / (norms * norms[item])
        rest = allowed.copy()
        rest[visited.items] = False
        filler = top(np.where(rest, near, -np.inf), min(k - len(visited.items), int(rest.sum())))
        peak = scores[visited.items].max() if len(visited.items) else np.float32(1)
        # Co-visited items stand above all others: scores 1..2, nearness below 1.
        return Ranked(
            np.concatenate([visited.items, filler]),
            np.concatenate([1 + scores[visited.items] / peak, near[filler]]).astype(np.float32),
            ["item_to_item"] * len(visited.items) + ["content"] * len(filler),
            np.empty((len(visited.items) + len(filler), 0), np.float32),
        )

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
        sources = lists.main_source(items, fusion.source_weights)
        return Pool(items, features, fusion.score(features), sources, lists.stale)

    def score(self, query: Query, pool: Pool) -> tuple[Floats, Floats]:
        """Final scores [n] and the ranker's rows [n, len(ranker_features())] of a pool."""
        if not len(pool.items):
            return np.empty(0, np.float32), np.empty((0, len(ranker_features())), np.float32)
        matrix = ranker_matrix_of(query.user, self.items, pool, query.now_us)
        scores = pool.fusion.astype(np.float32)
        if self.bundle.ranker is None or not self.bundle.ranker.trees or pool.stale:
            return scores, matrix
        head = top(scores, RERANKED)
        rest = np.setdiff1d(np.arange(len(scores)), head)
        scores[head] += self.bundle.ranker.correct(matrix[head]).astype(np.float32)
        if len(rest):
            scores[rest] += min(0, scores[head].min() - scores[rest].max())
        return scores, matrix

    def ask(self, query: Query, allowed: Mask) -> SourceLists:
        """What every source answers, among the allowed items that have vectors."""
        context, allowed = self._context(query), allowed[: len(self._vectors)]
        n = len(allowed)
        trending, popular_scores, today = (counts[:n] for counts in popularity(self.items, context.now_us))
        ever = self.items.column("event_count")[:n].astype(np.float32)
        visited = self.bundle.covisitation.scores(*recent_weights(context.tokens), n)
        lasting = self.bundle.long_term.scores(context.seen, lasting_weights(context.seen), n)
        lists: dict[str, SourceList] = {
            "retriever": self._retrieve(context, allowed),
            "item_to_item": listed(visited, allowed, DEPTH),
            "long_term": listed(lasting, allowed, DEPTH),
            "trending": listed(trending, allowed, DEPTH),
            "popular": listed(popular_scores, allowed, DEPTH),
        }
        ranks, fused = fuse(lists, self.bundle.fusion.source_weights, n)
        # The user's row is read at once, the item table a little later: his own last act shows that the stream flows.
        newest_us = max(self.items.column("last_event_us").max(initial=0), query.user["last_event_us"] or 0)
        stale = query.now_us - newest_us > STALE_US
        return SourceLists(lists, ranks, fused, today, ever, bool(stale))

    def _retrieve(self, context: Context, allowed: Mask) -> SourceList:
        vectors = self._vectors
        query = self._encoder.encode(context.tokens, vectors, context.segments, context.now_us)
        found, _ = self._index.search(np.append(query, np.float32(1)), DEPTH, allowed)
        return SourceList(found, vectors.vectors[: len(allowed)] @ query + vectors.bias[: len(allowed)])

    def _context(self, query: Query) -> Context:
        index, n = self.items.index, len(self._vectors)
        tokens = tokens_of(query.user, index)
        if len(tokens.items) and tokens.items.max() >= n:
            tokens = Tokens(*(column[tokens.items < n] for column in tokens))
        seen = [number for item_id in query.seen if (number := index.get(item_id)) is not None]
        return Context(tokens, np.array(seen, np.intp), query.segments, query.now_us)


def ranker_matrix_of(user: Row, items: ItemTable, pool: Pool, now_us: float) -> Floats:
    """The ranker's rows of a pool: request features, source features, fusion score."""
    request = request_features(user, items, pool.items, now_us)
    return np.hstack([request, pool.features, pool.fusion[:, None]]).astype(np.float32)


def popular(items: ItemTable, now_us: float, k: int, allowed: Mask) -> tuple[Numbers, Floats]:
    """The allowed items of most acts of interest lately (7-day decayed), filled up by the all-time count.

    Needs no bundle. Returns item numbers and scores, best first.
    """
    trending, _, _ = popularity(items, now_us)
    ever = items.column("event_count")[: len(allowed)].astype(np.float32)
    score = trending[: len(allowed)] + np.float32(1e-6) * ever
    best = top(np.where(allowed, score, -np.inf), min(k, int(allowed.sum())))
    return best, score[best].astype(np.float32)
