"""Says, through Redis, that an alias moved in the registry, so that nobody waits for the next look at it.

Redis forgets what nobody hears: an announcement only hurries; whoever listens looks at the registry now and then all
the same, and Redis may go away and come back.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.redis_url import connect
from infra.settings import Settings

log = logging.getLogger(__name__)

TIMEOUT_S = 0.5
"""Longest wait for Redis of whoever announces: it has something better to do."""

LOOK_S = 0.2
"""How often a listener looks up from Redis, to be stopped or woken."""

AGAIN_S = 1.0
"""Until a Redis that is away is tried again."""


def channel(settings: Settings) -> str:
    """Where moves of this model's aliases are announced."""
    return f"freshet:aliases:{settings.model_name}"


def announce(settings: Settings) -> bool:
    """Tell all that follow this model's aliases to look now. Never raises; returns whether Redis took it."""
    try:
        with _client(settings, socket_timeout=TIMEOUT_S) as client:
            client.publish(channel(settings), b"")
    except (redis.RedisError, OSError) as error:
        log.warning("that an alias moved is found out by looking only, Redis is away: %s", error)
        return False
    return True


class Announcements:
    """Waits for announcements, over a connection that is made anew where it broke. For one thread.

    Args:
        settings: redis_url, model_name.
    """

    def __init__(self, settings: Settings) -> None:
        # Kept: a client that is dropped takes its listeners' connections with it.
        self._client = _client(settings, socket_keepalive=True)
        self._channel = channel(settings)
        self._woken = threading.Event()
        self._heard_by: Any = None
        self._again_at = 0.0
        self._was_away = False

    def wake(self) -> None:
        """Let ``wait`` return now, as if something was announced. From any thread."""
        self._woken.set()

    def wait(self, within_s: float, stop: threading.Event) -> bool:
        """Whether something was announced within a time, or may have been while Redis was away. Never raises.

        Args:
            stop: ends the waiting soon after it is set.
        """
        until = time.monotonic() + within_s
        while not stop.is_set():
            left = until - time.monotonic()
            if self._woken.is_set() or self._heard(min(max(left, 0.0), LOOK_S)):
                self._woken.clear()
                return True
            if left <= 0:
                return False
        return False

    def close(self) -> None:
        """Leave the channel."""
        if self._heard_by is not None:
            self._heard_by.close()
            self._heard_by = None

    def _heard(self, within_s: float) -> bool:
        try:
            if self._heard_by is None:
                if time.monotonic() < self._again_at:
                    return self._woken.wait(within_s)
                self._subscribe()
                if self._was_away:
                    log.info("announcements of aliases are heard again")
                    self._was_away = False
                    return True
            return self._heard_by.get_message(ignore_subscribe_messages=True, timeout=within_s) is not None
        except (redis.RedisError, OSError) as error:
            self._lose(error)
            return False

    def _subscribe(self) -> None:
        listener = self._client.pubsub()
        try:
            listener.subscribe(self._channel)
            listener.get_message(timeout=TIMEOUT_S)  # else what is announced right after may still be missed
        except BaseException:
            listener.close()
            raise
        self._heard_by = listener

    def _lose(self, error: Exception) -> None:
        if not self._was_away:
            log.warning("announcements of aliases are not heard, Redis is away: %s", error)
        self._was_away = True
        self._again_at = time.monotonic() + AGAIN_S
        try:
            self.close()
        except (redis.RedisError, OSError):
            self._heard_by = None


def _client(settings: Settings, **options: Any) -> Any:
    # Without retries of its own: who waits for Redis here has a limit.
    return connect(settings.redis_url, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0), **options)
