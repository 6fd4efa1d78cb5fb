"""One at a time, whoever started it: work that holds an advisory lock of PostgreSQL while it runs.

Prefect's limits hold for its own runs only; this holds also for ``make train`` and for a second machine. The lock is
its connection's: it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zlib import crc32

import psycopg

from infra.database import TIMEOUT_S
from infra.settings import Settings

LOCKS = 0x46524553
"""First half of the keys of all these locks; the second is the work's."""

TRY = "SELECT pg_try_advisory_lock(%s, %s)"

# A lock is a database's own; classid and objid are the key's halves, and unsigned there.
HOLDER = """
SELECT application_name, client_addr::text, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = %s AND objid::bigint = %s
"""

# A holder whose machine vanished without a word is noticed within a minute.
KEEPALIVE = "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class AlreadyRuns(RuntimeError):
    """The work is under way elsewhere; the message says where, and since when."""


class LockLost(RuntimeError):
    """PostgreSQL went away meanwhile, and with it the promise that nobody else does the same."""


class Holder(NamedTuple):
    """Who holds a lock: the process that took it, its address as PostgreSQL sees it, and when it began."""

    process: str
    address: str | None
    since: datetime


class Held:
    """A lock that is held."""

    def __init__(self, name: str, connection: psycopg.Connection[Any]) -> None:
        self.name = name
        self._connection = connection

    def check(self) -> None:
        """To be called before what must not be done twice. Raises LockLost."""
        try:
            self._connection.execute("")
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LockLost(
                f"{self.name}: PostgreSQL (DATABASE_URL) went away, another may have begun: {error}"
            ) from None


@contextmanager
def alone(settings: Settings, name: str) -> Iterator[Held]:
    """Do the work of this name alone.

    Args:
        settings: database_url; a pooler in between must give each client a connection of its own.
        name: the work's, "train" say.

    Raises:
        AlreadyRuns: another process does it now.
        psycopg.OperationalError: PostgreSQL is away.
    """
    key = crc32(name.encode()) & 0x7FFFFFFF
    with psycopg.connect(
        settings.database_url,
        autocommit=True,
        connect_timeout=TIMEOUT_S,
        options=f"-c timezone=UTC {KEEPALIVE}",
        application_name=_this_process(name),
    ) as connection:
        [(taken,)] = connection.execute(TRY, (LOCKS, key)).fetchall()
        if not taken:
            raise AlreadyRuns(_who(name, _holder(connection, key)))
        yield Held(name, connection)


def holder(settings: Settings, name: str) -> Holder | None:
    """Who does the work of this name now; None: nobody. Raises psycopg.OperationalError while PostgreSQL is away."""
    with psycopg.connect(
        settings.database_url, autocommit=True, connect_timeout=TIMEOUT_S, options="-c timezone=UTC"
    ) as connection:
        return _holder(connection, crc32(name.encode()) & 0x7FFFFFFF)


def _holder(connection: psycopg.Connection[Any], key: int) -> Holder | None:
    found = connection.execute(HOLDER, (LOCKS, key)).fetchone()
    return None if found is None else Holder(*found)


def _this_process(name: str) -> str:
    # PostgreSQL keeps 63 bytes of it.
    return f"{name} (pid {os.getpid()} on {socket.gethostname()})"[:63]


def _who(name: str, holder: Holder | None) -> str:
    if holder is None:  # it has ended between the two questions
        return f"{name} ran until a moment ago; start it again"
    gone = datetime.now(UTC) - holder.since
    return (
        f"{name} already runs: {holder.process}, since {holder.since:%Y-%m-%d %H:%M:%S} UTC "
        f"({gone.total_seconds():.0f} s); wait for its end, or stop that process"
    )
