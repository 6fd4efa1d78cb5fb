"""The stages of one request as calls of the recommender's own parts, and their floors; ``request_path`` times them.

It looks inside the scorer: what it measures is how that puts its parts together.
"""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

import hiredis
import lightgbm as lgb
import numpy as np
import orjson
from numpy.typing import NDArray

from bento.recommender import app, rules
from bento.recommender.ask import Ask, Json
from bento.recommender.runtime import Runtime
from bento.recommender.visitors import SEEN_ITEMS, Visitor
from feature_repo.online import EntityRequest, ViewCodec
from feature_repo.request_features import request_features
from feature_repo.schema import USER_FEATURES, USER_PROFILE
from feature_repo.trends import top
from infra.processes import StackError
from infra.settings import Settings
from models.covisitation import recent_weights
from models.long_term import lasting_weights
from models.scorer import RERANKED, Pool, Scorer, ranker_matrix_of
from models.sources import Context, Query, SourceLists, fuse, listed

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

K = 10
WHOLE = "whole"
STAGES: dict[str, str] = {
    "read the user's rows": "read",
    "what may be shown": "allow",
    "encode the user": "encode",
    "retrieve": "retrieve",
    "item-to-item, lasting taste": "neighbours",
    "trending, popular": "popularity",
    "fuse, source features": "fuse",
    "request features": "features",
    "rank": "rank",
    "answer as JSON": "encode_answer",
}
"""Stage -> the method of Bench that is called in a request."""

FLOORS: dict[str, str] = {
    f"{stage}, bare": f"bare_{call}" for stage, call in STAGES.items() if call not in ("allow", "popularity")
}
"""The same for floors; the mask of what is offered and the popular lists lie ready: their floor is nothing."""


@dataclass(frozen=True)
class Prepared:
    """What every stage of one user's request is given."""

    ask: Ask
    now_us: int
    command: bytes
    visitor: Visitor
    query: Query
    mask: rules.Mask
    context: Context
    vector: Floats
    recent: tuple[Numbers, NDArray[np.float64]]
    lasting: tuple[Numbers, NDArray[np.float64]]
    lists: SourceLists
    pool: Pool
    head: Pool
    matrix: Floats
    answer: Json


class Bench:
    """The recommender in this process. Use ``opened``.

    Args:
        runtime: started; its release has a model.
    """

    def __init__(self, runtime: Runtime, scorer: Scorer) -> None:
        self.runtime, self.scorer = runtime, scorer
        self._bundle, self._table = scorer.bundle, scorer.items
        self._ranker = self._bundle.ranker
        self._booster = lgb.Booster(model_str=self._ranker.text) if self._ranker and self._ranker.trees else None
        self._request = EntityRequest([ViewCodec(view) for view in (USER_FEATURES, SEEN_ITEMS, USER_PROFILE)])
        url = urlparse(runtime.settings.redis_url)
        self._socket = socket.create_connection((url.hostname or "", url.port or 6379))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = hiredis.Reader()

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings) -> AsyncIterator[Bench]:
        """The recommender of these settings, started as its service starts it. Raises StackError without a model."""
        runtime = Runtime(settings)
        runtime.start()
        # As the service does.
        sys.setswitchinterval(0.0005)
        gc.collect()
        gc.freeze()
        try:
            if runtime.releases.current.scorer is None:
                raise StackError("no model is served; FRESHET_BUNDLE_DIR names none")
            yield cls(runtime, runtime.releases.current.scorer)
        finally:
            await runtime.close()

    async def prepare(self, user_id: str) -> Prepared | None:
        """Everything that a request of a user passes on from stage to stage; None for one without acts."""
        scorer, table, now_us = self.scorer, self._table, time.time_ns() // 1_000
        ask = Ask(user_id, K)
        visitor = await self.runtime.visitors.read(user_id, now_us)
        if visitor.row is None:
            return None
        query = Query(visitor.row, now_us, visitor.segments, visitor.seen)
        mask = rules.allowed(self.runtime.releases.current.catalog, now_us, seen=visitor.seen)
        context = scorer._context(query)
        lists = scorer.ask(query, mask)
        pool = scorer.pool_from(lists)
        head = pool.of(top(pool.fusion, RERANKED))
        return Prepared(
            ask=ask,
            now_us=now_us,
            command=self._request.command(self._request.key(user_id)),
            visitor=visitor,
            query=query,
            mask=mask,
            context=context,
            vector=np.append(self._encoded(context), np.float32(1)),
            recent=recent_weights(context.tokens),
            lasting=lasting_weights(context.seen),
            lists=lists,
            pool=pool,
            head=head,
            matrix=ranker_matrix_of(query.user, table, head, now_us),
            answer=await self.runtime.pipeline.recommend(ask),
        )

    def _encoded(self, context: Context) -> Floats:
        scorer = self.scorer
        return scorer._encoder.encode(context.tokens, scorer._vectors, context.segments, context.now_us)

    async def whole(self, of: Prepared) -> bytes:
        """A request from the question to the answer's bytes."""
        return orjson.dumps(await self.runtime.pipeline.recommend(of.ask))

    def calls(self, names: Mapping[str, str]) -> dict[str, Callable[[Prepared], Any]]:
        """STAGES or FLOORS, ready to be called."""
        return {name: getattr(self, call) for name, call in names.items()}

    # Stages

    async def read(self, of: Prepared) -> Visitor:
        return await self.runtime.visitors.read(of.ask.user_id, of.now_us)

    def allow(self, of: Prepared) -> rules.Mask:
        return rules.allowed(self.runtime.releases.current.catalog, of.now_us, seen=of.visitor.seen)

    def encode(self, of: Prepared) -> Floats:
        return self._encoded(self.scorer._context(of.query))

    def retrieve(self, of: Prepared) -> tuple[Numbers, Floats]:
        return self.scorer._index.search(of.vector, self.runtime.settings.candidates, of.mask)

    def neighbours(self, of: Prepared) -> object:
        bundle, n, depth = self._bundle, len(of.mask), self.runtime.settings.candidates
        visited = bundle.covisitation.sums(*recent_weights(of.context.tokens), n)
        lasting = bundle.long_term.sums(*lasting_weights(of.context.seen), n)
        return listed(*visited.entries(), of.mask, depth), listed(*lasting.entries(), of.mask, depth)

    def popularity(self, of: Prepared) -> object:
        depth = self.runtime.settings.candidates
        return [self._table.trends.best(name, depth, of.mask) for name in ("7d", "30d")]

    def fuse(self, of: Prepared) -> Pool:
        fused = fuse(of.lists.lists, self._bundle.fusion.source_weights, len(of.mask))
        return self.scorer.pool_from(SourceLists(of.lists.lists, fused, of.lists.known, of.lists.stale))

    def features(self, of: Prepared) -> Floats:
        return ranker_matrix_of(of.query.user, self._table, of.head, of.now_us)

    def rank(self, of: Prepared) -> Numbers:
        scores = of.pool.fusion.copy()
        if self._ranker is not None and self._ranker.trees:
            head = top(scores, RERANKED)
            scores[head] += self._ranker.correct(of.matrix)
        return top(scores, K)

    def encode_answer(self, of: Prepared) -> object:
        return app.answer(of.answer)

    # Floors

    def bare_read(self, of: Prepared) -> Any:
        self._socket.sendall(of.command)
        while (reply := self._replies.gets()) is False:
            self._replies.feed(self._socket.recv(65_536))
        return reply

    def bare_encode(self, of: Prepared) -> Floats:
        return self._encoded(of.context)

    def bare_retrieve(self, of: Prepared) -> tuple[Numbers, Floats]:
        return self.scorer._index.search(of.vector, self.runtime.settings.candidates)

    def bare_neighbours(self, of: Prepared) -> object:
        n = len(of.mask)
        return self._bundle.covisitation.sums(*of.recent, n), self._bundle.long_term.sums(*of.lasting, n)

    def bare_fuse(self, of: Prepared) -> Floats:
        return self._bundle.fusion.score(of.lists.features(of.pool.items))

    def bare_features(self, of: Prepared) -> Floats:
        return request_features(of.query.user, self._table, of.head.items, of.now_us)

    def bare_rank(self, of: Prepared) -> object:
        if self._booster is not None:
            return self._booster.predict(of.matrix, num_threads=1, raw_score=True)
        return None

    def bare_encode_answer(self, of: Prepared) -> bytes:
        return orjson.dumps(of.answer)
