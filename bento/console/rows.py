"""Rows of the online store for the console: read beside the services, with patience of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from bento.errors import Unavailable
from feature_repo.events import MICROSECONDS
from feature_repo.online import EntityRequest, OnlineRow, ViewCodec, changed_key, if_fresh
from feature_repo.schema import View
from infra.redis_url import connect_async
from infra.settings import Settings

log = logging.getLogger(__name__)

TIMEOUT_S = 1.0
"""Longest wait for Redis: a person waits behind it, and nothing else does."""

CONNECTIONS = 32
"""Most to Redis; more requests wait for one, for TIMEOUT_S."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Rows = dict[str, OnlineRow | None]
"""View name -> row; None where the entity has none, or one that has expired."""


class Entity(NamedTuple):
    """One entity's rows.

    Attributes:
        written_s: last write of any of them by the stream, seconds since the epoch; None: it wrote none.
    """

    rows: Rows
    written_s: float | None


class OnlineRows:
    """Reads rows over a pool of connections.

    Args:
        settings: redis_url, feature_ttl_s.
    """

    def __init__(self, settings: Settings) -> None:
        self._ttl_s = settings.feature_ttl_s
        self._client: Any = connect_async(
            settings.redis_url,
            max_connections=CONNECTIONS,
            timeout_s=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # once: a connection that lay idle may have died
        )

    async def read(self, request: EntityRequest, entity_ids: Sequence[str], expired: bool = False) -> list[Entity]:
        """Entities' rows, in the order of the ids, in one round trip.

        Args:
            request: made by ``rows_of``.
            expired: whether rows older than their time to live are given too.

        Raises:
            Unavailable: Redis gives no answer.
        """
        if not entity_ids:
            return []
        changed = changed_key(request.views[0].entity)
        async with self._pipeline() as pipe:
            for entity_id in entity_ids:
                pipe.hmget(request.key(entity_id), request.hash_fields)
            pipe.zmscore(changed, entity_ids)
            *raw, written = await pipe.execute()
        now_us = time.time_ns() // 1_000
        found = []
        for values, written_s in zip(raw, written, strict=True):
            rows = request.decode(values)
            if not expired:
                rows = {view.name: if_fresh(view, rows[view.name], now_us, self._ttl_s) for view in request.views}
            found.append(Entity(rows, written_s))
        return found

    async def some(self, entity: str, count: int) -> list[str]:
        """Ids of entities that the stream has written, drawn at random; fewer where there are fewer.

        Raises:
            Unavailable: Redis gives no answer.
        """
        async with self._pipeline() as pipe:
            pipe.zrandmember(changed_key(entity), count)
            (drawn,) = await pipe.execute()
        return [raw.decode() for raw in drawn]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _pipeline(self) -> AsyncIterator[Any]:
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                yield pipe
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            log.warning("the online store is away: %s", error)
            raise Unavailable("the online store (Redis) gives no answer; see REDIS_URL, and try again") from None


def rows_of(*views: View) -> EntityRequest:
    """What is read of each entity: its rows of some views, all of one entity type."""
    return EntityRequest([ViewCodec(view) for view in views])


def part(view: View, *fields: str) -> View:
    """A view with some of its fields only."""
    return replace(view, fields={name: view.fields[name] for name in fields})


def moment(time_us: float) -> datetime:
    """A time in microseconds since the epoch, also one before it."""
    return EPOCH + timedelta(microseconds=time_us)


def moment_of_s(seconds: float | None) -> datetime | None:
    """A time in seconds since the epoch; None stays None."""
    return None if seconds is None else moment(round(seconds * MICROSECONDS))
