"""One connection to Redis that carries many requests at once: commands go out as they come, replies come in that order.

For the request path: a pool takes, locks and times each connection for each command, which costs several times what the
read itself does. How to connect (address, database, password, TLS, Unix socket) is what redis-py makes of the URL.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

import hiredis
import redis.asyncio
from redis.credentials import UsernamePasswordCredentialProvider

from infra.redis_url import RedisUrl, parse, sentinels

Late = Callable[[bytes, Any], object]


class StoreAway(Exception):
    """Redis gave no answer in time, or refused; the message says which."""


class Lost(StoreAway):
    """The connection broke before the answer came; another may bring it."""


class Reply:
    """A reply that is waited for until ``until`` (perf_counter's clock), by whoever sent ``key``'s command."""

    __slots__ = ("future", "key", "sent_at", "until")

    def __init__(self, future: asyncio.Future[Any], key: bytes, sent_at: float, until: float) -> None:
        self.future, self.key, self.sent_at, self.until = future, key, sent_at, until

    def give_up(self, error: StoreAway) -> None:
        """Let the waiting one go; the reply may still come, late."""
        if not self.future.done():
            self.future.set_exception(error)


class Connection(asyncio.Protocol):
    """Commands out, replies in.

    Args:
        late: told of replies that nobody waits for any more: key and value.

    Attributes:
        waiting: replies that have not come, oldest first; also those that nobody waits for any more.
        lost: done when the connection has ended.
    """

    def __init__(self, late: Late) -> None:
        self.waiting: deque[Reply] = deque()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._late = late
        self._parser = hiredis.Reader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        parser, waiting = self._parser, self.waiting
        try:
            parser.feed(data)
            while (value := parser.gets()) is not False:
                reply = waiting.popleft()
                if reply.future.done():
                    self._late(reply.key, value)
                else:
                    reply.future.set_result(value)
        except (hiredis.ProtocolError, IndexError):
            self.abort()  # no Redis at the other end

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        while self.waiting:
            self.waiting.popleft().give_up(Lost(f"the connection broke: {error or 'closed'}"))

    def send(self, key: bytes, command: bytes, until: float) -> Reply:
        """Send a command; its reply comes in ``future``, a ``hiredis.ReplyError`` as a value."""
        assert self._transport is not None
        reply = Reply(asyncio.get_running_loop().create_future(), key, perf_counter(), until)
        self.waiting.append(reply)
        self._transport.write(command)
        return reply

    def silent_for(self, now: float) -> float:
        """Seconds for which the oldest reply is due; 0 when none is."""
        return now - self.waiting[0].sent_at if self.waiting else 0.0

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()


async def connect(url: str, late: Late) -> Connection:
    """A connection that may be used, to the server of a URL; with sentinels, to the one they call the master now.

    Args:
        late: as of Connection.

    Raises:
        OSError, StoreAway: it cannot be had.
    """
    parts = parse(url)
    plan: Any = redis.asyncio.ConnectionPool.from_url(parts.server).make_connection()
    loop = asyncio.get_running_loop()
    if hasattr(plan, "path"):
        _, connection = await loop.create_unix_connection(lambda: Connection(late), plan.path)
    else:
        tls = plan.ssl_context.get() if hasattr(plan, "ssl_context") else None
        host, port = await _master(parts) if parts.kind == "redis_sentinel" else (plan.host, int(plan.port))
        _, connection = await loop.create_connection(lambda: Connection(late), host, port, ssl=tls)
    try:
        for command in await _greeting(plan):
            await ask(connection, command)
    except BaseException:
        connection.abort()
        raise
    return connection


async def _master(parts: RedisUrl) -> tuple[str, int]:
    asked: Any = sentinels(parts, redis.asyncio)
    try:
        host, port = await asked.discover_master(parts.service)
    except redis.RedisError as error:
        raise StoreAway(str(error)) from None
    finally:
        for each in asked.sentinels:
            await each.aclose()
    return host, int(port)


async def _greeting(plan: Any) -> list[bytes]:
    commands: list[tuple[Any, ...]] = []
    if plan.credential_provider or plan.username or plan.password:
        given = plan.credential_provider or UsernamePasswordCredentialProvider(plan.username, plan.password)
        commands.append(("AUTH", *await given.get_credentials_async()))
    if plan.db:
        commands.append(("SELECT", str(plan.db)))
    return [hiredis.pack_command(command) for command in commands]


async def ask(connection: Connection, command: bytes) -> Any:
    """One reply, however long it takes. Raises StoreAway when it is an error."""
    value = await connection.send(b"", command, float("inf")).future
    if isinstance(value, hiredis.ReplyError):
        raise StoreAway(str(value))
    return value
