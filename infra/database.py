"""One connection to PostgreSQL that mends itself, for stores that keep a few tables there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

TIMEOUT_S = 5
"""Longest wait, unless another is given."""

NOTICED: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""A network that is cut is noticed within half a minute: else who waits for a reply waits for a quarter of an hour."""

_CREATE_LOCK = 0x46524553  # two processes that start at once must not both create the tables


class Database:
    """Connects when it is first asked, and anew after the connection broke; threads take turns.

    Args:
        url: postgresql://user@host:port/database.
        tables: statements that create what is absent, run once a connection.
        timeout_s: longest wait for a connection, and for another thread that uses it.
    """

    def __init__(self, url: str, tables: str, timeout_s: int = TIMEOUT_S) -> None:
        self._url, self._tables, self._timeout_s = url, tables, timeout_s
        self._connection: psycopg.Connection[Any] | None = None
        self._turn = threading.Lock()

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection, in autocommit mode. Raises psycopg.OperationalError while the server is away."""
        if not self._turn.acquire(timeout=self._timeout_s):
            raise psycopg.OperationalError(f"another thread has waited for the server for {self._timeout_s} s")
        try:
            if self._connection is None or not _lives(self._connection):
                self._drop()
                self._connection = _connect(self._url, self._tables, self._timeout_s)
            yield self._connection
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self._drop()
            raise
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        with self._turn:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _lives(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("")
    except (psycopg.OperationalError, psycopg.InterfaceError):
        return False
    return True


def _connect(url: str, tables: str, timeout_s: int) -> psycopg.Connection[Any]:
    options = "-c timezone=UTC"
    connection = psycopg.connect(url, autocommit=True, connect_timeout=timeout_s, options=options, **NOTICED)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_CREATE_LOCK,))
        connection.execute(tables)
    return connection
