"""The reads of the request path where Redis is a cluster: by redis-py, which knows the nodes and their slots.

It follows moved slots and failovers by itself, and costs several times what ``reader.Reader`` does, which has one
connection to one server. A reply that is given up is not waited for any more, so none comes late.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import hiredis
from redis.exceptions import RedisClusterException, RedisError

from bento.recommender.breaker import Breaker
from bento.recommender.connection import Late, StoreAway
from bento.recommender.reader import Reader
from infra.redis_url import connect_async, parse

PAUSE_S = 0.5
"""While the breaker is open: how often one request is let through on trial."""

CONNECTIONS = 64
"""Most to each node."""


def reader_for(url: str, timeout_s: float, trial: bytes, breaker: Breaker, late: Late) -> Reader | ClusterReader:
    """The reader for a URL of Redis; arguments as of Reader."""
    if parse(url).kind == "redis_cluster":
        return ClusterReader(url, timeout_s, breaker)
    return Reader(url, timeout_s, trial, breaker, late)


class ClusterReader:
    """Asks the nodes of a cluster.

    Args:
        url: of the cluster.
        timeout_s: no read takes longer; with something else to answer from, a fifth of it.
        breaker: counts what fails; after several in a row nobody asks but one request each PAUSE_S.
    """

    def __init__(self, url: str, timeout_s: float, breaker: Breaker) -> None:
        self._client = connect_async(url, CONNECTIONS, timeout_s, socket_connect_timeout=timeout_s)
        self._timeout_s = timeout_s
        self.breaker = breaker
        self._trial_at = 0.0

    async def read(self, _key: bytes, command: bytes, hurried: bool = False, within_s: float = float("inf")) -> Any:
        """The reply to a command, as of Reader. Raises StoreAway when there is none in time."""
        if not self.breaker.is_closed:
            now = perf_counter()
            if now < self._trial_at:
                raise StoreAway("it did not answer lately")
            self._trial_at = now + PAUSE_S
        parser = hiredis.Reader()
        parser.feed(command)
        name, *arguments = parser.gets()
        wait_s = min(within_s, self._timeout_s / 5 if hurried else self._timeout_s)
        try:
            value = await asyncio.wait_for(self._client.execute_command(name.decode(), *arguments), wait_s)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            away = StoreAway(str(error) or "it did not answer in time")
            # A wait that the caller cut short says nothing of Redis.
            if self.breaker.is_closed and (wait_s >= self._timeout_s or not isinstance(error, TimeoutError)):
                self.breaker.report(away)
            raise away from None
        if not self.breaker.is_closed:
            self.breaker.close()
        self.breaker.report(None)
        return value

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()
