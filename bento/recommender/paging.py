"""Lists that were shown, so that a later page goes on with the very same list, whichever worker is asked.

A list is kept in this process, and a moment later, by a thread of its own, in Redis for FRESHET_PAGE_TTL_S; both
forget it then. Only ids, scores and the user's pseudonym are kept.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bento.errors import NotFound
from bento.recommender.ask import Ask, Choice, Floats, Json
from bento.recommender.explain import SOURCE_WORDS
from bento.recommender.impressions import Origin
from bento.recommender.metrics import Metrics
from feature_repo.events import pseudonym
from feature_repo.item_table import ItemTable
from infra.redis_url import connect
from infra.settings import Settings

log = logging.getLogger(__name__)

KEPT = 10_000
"""Lists kept in a process; the oldest make room, and are found in Redis."""

PAUSE_S = 0.05
"""Between two looks for new lists."""

AT_ONCE = 20
"""Lists packed without a pause: the thread takes turns with the requests."""

AWAY_S = 1.0
"""For so long a Redis that gave no answer is not asked again."""

PREFIX = "freshet:page:2:"
HEAD = ("model_version", "variant", "fallback", "feature_age_ms", "timestamp")


class Listed(NamedTuple):
    """A list that was shown to a user, whole.

    Attributes:
        head: fields of the answer that hold for all of its pages.
        origin: where the list came from.
        ids, sources: of each item; scores: float32 [n].
    """

    user_key: str
    head: Json
    origin: Origin
    ids: list[str]
    sources: list[str]
    scores: Floats

    def packed(self) -> bytes:
        """As bytes."""
        names = list(dict.fromkeys(self.sources))
        codes = [names.index(source) for source in self.sources]
        head = orjson.dumps([self.user_key, self.head, self.origin[:3], self.ids, names, codes])
        return head + b"\n" + self.scores.astype("<f4").tobytes()

    @classmethod
    def unpacked(cls, raw: bytes) -> Listed:
        """From what ``packed`` gave; ValueError for anything else."""
        head, _, scores = raw.partition(b"\n")
        user_key, shared, origin, ids, names, codes = orjson.loads(head)
        sources = [names[code] for code in codes]
        return cls(user_key, shared, Origin(*origin), ids, sources, np.frombuffer(scores, "<f4"))

    def page(self, ask: Ask, table: ItemTable) -> Json:
        """The answer: ``ask.k`` items from ``ask.offset`` on, fewer at the end of the list."""
        part = slice(ask.offset, ask.offset + ask.k)
        items: list[Json] = []
        for item_id, score, source in zip(self.ids[part], self.scores[part].tolist(), self.sources[part], strict=True):
            item = {"item_id": item_id, "score": score, "source": source}
            number = table.index.get(item_id)
            title = "" if number is None else table.titles[number]
            why = {"reasons": [SOURCE_WORDS[source]]} if ask.explain else {}
            items.append(item | ({"title": title} if title else {}) | why)
        return {
            "recommendation_id": ask.recommendation_id,
            "user_id": ask.user_id,
            "recommendations": items,
            "count": len(items),
            **self.head,
            "took_ms": 0.0,
            "offset": ask.offset,
            "exhausted": len(items) < ask.k,
        }


class _Fresh(NamedTuple):
    """A list as the request left it, not packed yet."""

    answer: Json
    origin: Origin
    table: ItemTable
    choice: Choice

    def listed(self) -> Listed:
        head = {name: self.answer[name] for name in HEAD}
        ids = [self.table.ids[n] for n in self.choice.numbers.tolist()]  # numbers never change, ids only grow
        user_key, choice = pseudonym(self.answer["user_id"]), self.choice
        return Listed(user_key, head, self.origin, ids, choice.sources, choice.scores)


class Pages:
    """Keeps lists and finds them again.

    Args:
        settings: page_items (0: nothing is kept), page_ttl_s, redis_url, dependency_timeout_s.
        metrics: ``pages`` counts where lists were found, ``failures`` what could not be written.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._on = settings.page_items > 0
        self._ttl_s = settings.page_ttl_s
        self._metrics = metrics
        timeout = settings.dependency_timeout_s
        self._client: Any = connect(
            settings.redis_url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
        )
        self._fresh: OrderedDict[str, _Fresh] = OrderedDict()
        self._packed: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._away_until = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pages", daemon=True)

    def start(self) -> None:
        """Start writing lists to Redis."""
        if self._on:
            self._thread.start()

    def close(self) -> None:
        """Write what waits, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2)
        self._client.close()

    def keep(self, answer: Json, origin: Origin, table: ItemTable, choice: Choice) -> None:
        """Take the list of an answer. Never blocks.

        Args:
            answer: of /recommend; its head and user are kept.
            origin: where the list came from.
            choice: the whole list, of which the answer shows the first.
        """
        if self._on:
            self._fresh[answer["recommendation_id"]] = _Fresh(answer, origin, table, choice)
            if len(self._fresh) > KEPT:
                self._fresh.popitem(last=False)

    async def find(self, user_id: str, recommendation_id: str) -> Listed:
        """The list that was made under an id for a user.

        Raises:
            NotFound: there is none, or no longer, or it was made for someone else.
        """
        found, place = self._mine(recommendation_id), "process"
        if found is None and self._on:
            found, place = await asyncio.to_thread(self._stored, recommendation_id), "redis"
        if found is None or found.user_key != pseudonym(user_id):
            self._metrics.pages.labels("nowhere").inc()
            raise NotFound(
                f"recommendation_id: {recommendation_id} is no list of user {user_id} of the last {self._ttl_s:g} s "
                "(FRESHET_PAGE_TTL_S); ask without recommendation_id and offset for a new one"
            )
        self._metrics.pages.labels(place).inc()
        return found

    def _mine(self, recommendation_id: str) -> Listed | None:
        fresh = self._fresh.get(recommendation_id)
        if fresh is not None:
            return fresh.listed()
        until, raw = self._packed.get(recommendation_id, (0.0, b""))
        return Listed.unpacked(raw) if until > time.monotonic() else None

    def _stored(self, recommendation_id: str) -> Listed | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            raw = self._client.get(PREFIX + recommendation_id)
            return None if raw is None else Listed.unpacked(raw)
        except (redis.RedisError, OSError, ValueError) as error:
            self._failed("read_page", error)
            return None

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_S):
            self._write()
        self._write()

    def _write(self) -> None:
        for batch in self._batches():
            self._packed.update(batch)
            while len(self._packed) > KEPT:
                self._packed.popitem(last=False)
            for recommendation_id in batch:
                self._fresh.pop(recommendation_id, None)
            if time.monotonic() >= self._away_until:
                self._send({name: raw for name, (_, raw) in batch.items()})

    def _batches(self) -> Iterator[dict[str, tuple[float, bytes]]]:
        while self._fresh:
            until = time.monotonic() + self._ttl_s
            fresh = list(islice(self._fresh.copy().items(), AT_ONCE))
            yield {name: (until, each.listed().packed()) for name, each in fresh}

    def _send(self, lists: dict[str, bytes]) -> None:
        try:
            pipeline = self._client.pipeline(transaction=False)
            for recommendation_id, raw in lists.items():
                pipeline.set(PREFIX + recommendation_id, raw, px=int(self._ttl_s * 1_000))
            pipeline.execute()
        except (redis.RedisError, OSError) as error:
            self._failed("write_pages", error)

    def _failed(self, step: str, error: Exception) -> None:
        if time.monotonic() >= self._away_until + AWAY_S:
            log.warning("lists for later pages are not shared: %s", error)
        self._metrics.failures.labels(step).inc()
        self._away_until = time.monotonic() + AWAY_S
