"""How many requests each caller may make: counted in Redis for all processes together, here while Redis is away."""

from __future__ import annotations

import ipaddress
import logging
import time
from functools import lru_cache
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from bento.access.keys import check_rate
from infra.redis_url import connect_async
from infra.settings import Settings, SettingsError

log = logging.getLogger(__name__)

PREFIX = "freshet-rate"
AWAY_S = 2.0
"""How long Redis is not asked again after it has failed: nobody waits for its time-out more often."""
REMEMBERED_S = 0.25
"""How long a caller who asked too often is refused without asking Redis: a flood costs it four looks a second."""
CONNECTIONS = 32
MOST = 4_096
"""Callers that are counted here. The library looks through all of them at every count: more would slow all down."""

_of = lru_cache(maxsize=MOST)(parse)


class Rates:
    """Counts requests and says who must wait.

    Args:
        settings: redis_url, dependency_timeout_s, rate_limit.

    Raises:
        SettingsError: FRESHET_RATE_LIMIT is none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        if settings.rate_limit:
            try:
                check_rate(settings.rate_limit)
            except SettingsError as error:
                raise SettingsError(f"FRESHET_RATE_LIMIT: {error}") from None
        self._memory = MemoryStorage()
        self._here = SlidingWindowCounterRateLimiter(self._memory)
        self._together: SlidingWindowCounterRateLimiter | None = None
        self._away_until = 0.0
        self._refused: dict[str, float] = {}

    def rate(self, own: str) -> str:
        """The rate that holds for somebody; empty: none does, and nothing is counted."""
        return own or self._settings.rate_limit

    async def wait_s(self, rate: str, who: str) -> float:
        """Count a request. Returns how long its sender must wait before he sends it again; 0: it is let in."""
        now = time.monotonic()
        if (until := self._refused.get(who, 0.0)) > now:
            return until - now
        limit = _of(rate)
        if now >= self._away_until:
            try:
                return await self._counted(self._redis(), limit, who, now)
            except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
                self._away_until = now + AWAY_S
                log.warning("Redis is away, each process counts requests by itself", extra={"error": repr(error)})
        if len(self._memory.storage) > MOST:
            await self._memory.reset()
        return await self._counted(self._here, limit, who, now)

    async def _counted(
        self, limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, who: str, now: float
    ) -> float:
        if await limiter.hit(limit, who):
            return 0.0
        free_at = (await limiter.get_window_stats(limit, who)).reset_time
        wait_s = max(0.001, free_at - time.time())
        if len(self._refused) >= MOST:
            self._refused.clear()
        self._refused[who] = now + min(wait_s, REMEMBERED_S)
        return wait_s

    def _redis(self) -> SlidingWindowCounterRateLimiter:
        # At the first request that is counted: without rates there is no connection.
        if self._together is None:
            self._together = SlidingWindowCounterRateLimiter(_Storage(self._settings))
        return self._together


class _Storage(RedisStorage):
    """The library's, on the client that every part of Freshet has: a server, a cluster, or a sentinels' master."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__("async+redis://", implementation="redispy", key_prefix=PREFIX)

    def configure_bridge(self) -> None:
        """What the library would make of its own URL, which knows neither TLS to a cluster nor to a master."""
        wait_s = self._settings.dependency_timeout_s
        client = connect_async(
            self._settings.redis_url,
            CONNECTIONS,
            wait_s,
            socket_timeout=wait_s,
            socket_connect_timeout=wait_s,
            retry=Retry(NoBackoff(), 0),
        )
        bridge: Any = self.bridge
        bridge.storage, bridge.connection_getter = client, lambda _readonly: client


def address(client: tuple[str, int] | None) -> str:
    """What counts as one sender without a key: an address, of IPv6 the network that one subscriber has (RFC 6177)."""
    host = client[0] if client else ""
    if ":" not in host:
        return host
    try:
        return str(ipaddress.ip_network((host.partition("%")[0], 64), strict=False))
    except ValueError:
        return host
