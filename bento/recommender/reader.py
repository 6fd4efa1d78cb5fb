"""The reads of the request path, and how long each may wait for them.

Nobody waits for a Redis that is known to be away: its breaker opens when a connection cannot be had, when replies stand
still, or after several refusals in a row. Then this module's own task tries again and again, no user's request, and
closes the breaker when Redis answers at its usual pace.

With the setting's longest wait T (FRESHET_DEPENDENCY_TIMEOUT_S): after T / 5 without a reply those give up who have
something else to answer from, and others like them do not even ask; such a hiccup opens nothing. After T / 2 the
breaker opens, and everybody goes on without Redis.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import perf_counter
from typing import Any

import hiredis

from bento.recommender.breaker import Breaker
from bento.recommender.connection import Connection, Late, Lost, StoreAway, ask, connect

PAUSE_S = 0.1
"""Between two attempts to reach a Redis that is away."""

ATTEMPT_S = 0.5
"""Longest such attempt, or T if that is longer. One at a time: what hung is given up soon after Redis has come back."""


class Reader:
    """Asks Redis over one connection of its own.

    Args:
        url: of Redis.
        timeout_s: T above; no read takes longer.
        trial: a command that must be answered before Redis counts as back: one like those to come.
        breaker: opened and closed here.
        late: told of replies that came after their request had gone on: key and values.
    """

    def __init__(self, url: str, timeout_s: float, trial: bytes, breaker: Breaker, late: Late) -> None:
        self._url, self._trial, self._late = url, trial, late
        self.breaker = breaker
        self._timeout_s, self._stall_s, self._open_s = timeout_s, timeout_s / 5, timeout_s / 2
        self._tick_s = self._stall_s / 4
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._news: asyncio.Event | None = None
        self._due: float | None = None
        self._excused = False

    async def read(self, key: bytes, command: bytes, hurried: bool = False, within_s: float = float("inf")) -> Any:
        """The reply to a command.

        Args:
            key: what the command reads; ``late`` is told of it.
            hurried: whether to give up early, having something else to answer from.
            within_s: the longest wait, if that is shorter than the setting's.

        Raises:
            StoreAway: there is none in time.
        """
        if self._keeper is None:
            self.start()
        now = perf_counter()
        until = now + min(within_s, self._timeout_s)
        try:
            return await self._read(key, command, hurried, until)
        except Lost:
            return await self._read(key, command, hurried, until)  # over the next connection

    async def _read(self, key: bytes, command: bytes, hurried: bool, until: float) -> Any:
        if not self.breaker.is_closed:
            raise StoreAway("it did not answer lately")
        connection = self._connection
        if connection is None or connection.lost.done():
            connection = await self._connected(until - perf_counter())
        now = perf_counter()
        if hurried:
            until = min(until, now + self._stall_s)
            if connection.silent_for(now) > self._stall_s:
                raise StoreAway("it is silent")
        reply = connection.send(key, command, until)
        if self._due is None or until < self._due:
            self._look_in(min(self._tick_s, until - now))
        value = await reply.future
        if isinstance(value, hiredis.ReplyError):
            error = StoreAway(str(value))
            self.breaker.report(error)
            if not self.breaker.is_closed:
                self._open(str(error))
            raise error
        self.breaker.report(None)
        return value

    def _came_late(self, key: bytes, value: Any) -> None:
        if key and not isinstance(value, hiredis.ReplyError):
            self._late(key, value)

    async def _connected(self, within_s: float) -> Connection:
        assert self._news is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), within_s)
        connection = self._connection
        if connection is None or connection.lost.done():
            raise StoreAway("there is no connection")
        return connection

    def start(self) -> None:
        """Connect, and look after the connection from now on; the first read does it too."""
        self._news = asyncio.Event()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(self._news))

    async def close(self) -> None:
        """End the connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._connection is not None:
            self._connection.abort()

    # Replies that stand still

    def _look_in(self, seconds: float) -> None:
        self._due = perf_counter() + seconds
        asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        now, connection = perf_counter(), self._connection
        was_late = self._due is not None and now > self._due + self._tick_s
        self._due = None
        if connection is None or not connection.waiting:
            self._excused = False
            return
        if was_late and not self._excused:
            # This process stood still, perhaps not Redis: what it answered meanwhile is read before the next look.
            self._excused = True
            self._look_in(0.001)
            return
        self._excused = False
        if connection.silent_for(now) > self._open_s:
            self._open(f"no reply for {connection.silent_for(now) * 1_000:.0f} ms")
            return
        for reply in connection.waiting:
            if reply.until <= now:
                reply.give_up(StoreAway("it did not answer in time"))
        self._look_in(self._tick_s)

    def _open(self, reason: str) -> None:
        self.breaker.trip(reason)
        connection, self._connection = self._connection, None
        if connection is not None:
            for reply in connection.waiting:
                reply.give_up(StoreAway(reason))
            connection.abort()

    # The connection, and its next one

    async def _keep(self, news: asyncio.Event) -> None:
        while True:
            try:
                connection = await asyncio.wait_for(self._reached(), max(ATTEMPT_S, self._timeout_s))
            except Exception as error:  # whatever it is: this task must not end
                self._open(str(error) or "no answer in time")
            else:
                self._connection = connection
                if not self.breaker.is_closed:
                    self.breaker.close()
                news.set()
                await connection.lost
                self._connection = None
            # Whoever waits goes on: with a connection, or because there is none.
            news.set()
            news.clear()
            if not self.breaker.is_closed:
                await asyncio.sleep(PAUSE_S)

    async def _reached(self) -> Connection:
        connection = await connect(self._url, self._came_late)
        try:
            await ask(connection, self._trial)
            # The first reply may have waited for Redis to come back: its pace shows in the next.
            asked_at = perf_counter()
            await ask(connection, self._trial)
            if perf_counter() - asked_at > self._open_s:
                raise StoreAway("it answers too slowly")
        except BaseException:
            connection.abort()
            raise
        return connection
