"""Receipts of erasures in PostgreSQL: who wants to be forgotten, and which store has forgotten him since when.

A receipt holds the user's id only while the erasure is pending; afterwards his pseudonym. Errors are psycopg's:
OperationalError while the server is away.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field

from feature_repo.events import Erasure, pseudonym, to_us
from infra.database import Database
from infra.settings import Settings

DATAFLOW = "dataflow_state"
LOG = "log"
STORES = (
    DATAFLOW,
    "online_store",
    "event_store",
    "profile",
    "offline_store",
    "impressions",
    "served_rows",
    "outcomes",
    "caches",
    LOG,
)
"""Every place where a user may have left something, in the order of a receipt."""

KIND_HEADER = ("kind", b"erasure")
"""Header of an erasure among the events of the log."""

TABLES = """
CREATE TABLE IF NOT EXISTS erasures (
    erasure_id text PRIMARY KEY,
    user_key text NOT NULL,
    user_id text UNIQUE,
    requested_at timestamptz NOT NULL,
    repeated_at timestamptz NOT NULL,
    until_us bigint,
    done_at timestamptz
);
CREATE TABLE IF NOT EXISTS erasure_stores (
    erasure_id text NOT NULL REFERENCES erasures ON DELETE CASCADE,
    store text NOT NULL,
    at timestamptz NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (erasure_id, store)
);
"""

# A repeat while one is pending begins it anew: what the user did in between is to be forgotten, too.
REQUEST = """
INSERT INTO erasures (erasure_id, user_key, user_id, requested_at, repeated_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (user_id) DO UPDATE
SET repeated_at = greatest(erasures.repeated_at, excluded.repeated_at), until_us = NULL
RETURNING erasure_id, repeated_at
"""

# Not by the report of an earlier message, when the request was repeated since.
REPORT = """
UPDATE erasures SET until_us = %(until_us)s
WHERE erasure_id = %(erasure_id)s AND done_at IS NULL AND repeated_at < %(until)s
    AND (until_us IS NULL OR until_us < %(until_us)s)
"""

ENTER = """
INSERT INTO erasure_stores (erasure_id, store, at, detail)
SELECT erasure_id, %(store)s, clock_timestamp(), %(detail)s FROM erasures
WHERE erasure_id = %(erasure_id)s AND done_at IS NULL AND until_us = %(until_us)s
ON CONFLICT (erasure_id, store) DO NOTHING
"""

FINISH = """
UPDATE erasures SET done_at = clock_timestamp(), user_id = NULL
WHERE erasure_id = %(erasure_id)s AND done_at IS NULL AND until_us = %(until_us)s AND %(stores)s = (
    SELECT count(*) FROM erasure_stores WHERE erasure_stores.erasure_id = erasures.erasure_id
)
"""

PENDING = """
SELECT user_id, erasure_id, repeated_at, until_us,
    ARRAY(SELECT store FROM erasure_stores WHERE erasure_stores.erasure_id = erasures.erasure_id)
FROM erasures WHERE done_at IS NULL ORDER BY requested_at
"""

RECEIPT = """
SELECT requested_at, done_at, store, at, detail FROM erasures LEFT JOIN erasure_stores USING (erasure_id)
WHERE erasure_id = %s
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS_DIFFER = timedelta(minutes=1)


class Bounds(NamedTuple):
    """What is older than this belonged to the forgotten user; what is not, to one who came back.

    Attributes:
        events_us: by the time of events, microseconds since the epoch.
        messages_us: by the time at which a message entered the log.
    """

    events_us: int
    messages_us: int


class Pending(NamedTuple):
    """An erasure that is not over.

    Attributes:
        erasure: as it was asked for last.
        until_us: the dataflow has forgotten events before this time; None until it says so.
        stores: those that have an entry in the receipt.
    """

    erasure: Erasure
    until_us: int | None
    stores: frozenset[str]


class StoreEntry(BaseModel):
    """One store's line in a receipt; ``expires``: it forgets by its retention, which nothing can hurry."""

    store: str
    status: Literal["pending", "done", "expires"]
    at: datetime | None = Field(None, description="when the store was looked at and held nothing of the user")
    detail: str | None = None


class Receipt(BaseModel):
    """How far an erasure has come, store by store."""

    erasure_id: str
    status: Literal["pending", "done"]
    requested_at: datetime
    done_at: datetime | None = None
    stores: list[StoreEntry]


class LogMessage(NamedTuple):
    """A message on its way into the log."""

    topic: str
    key: str
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Erasures:
    """The receipts of one database; the tables are created when they are absent.

    Args:
        database_url: postgresql://user@host:port/database.
    """

    def __init__(self, database_url: str) -> None:
        self._database = Database(database_url, TABLES)

    def request(self, user_id: str) -> Erasure:
        """Open a receipt. While one of this user is pending it is begun anew, under its own id."""
        now = datetime.now(UTC)
        row = (uuid.uuid4().hex, pseudonym(user_id), user_id, now, now)
        with self._database.connected() as connection, connection.transaction():
            [(erasure_id, requested_at)] = connection.execute(REQUEST, row).fetchall()
            connection.execute("DELETE FROM erasure_stores WHERE erasure_id = %s", (erasure_id,))
        return Erasure(user_id=user_id, erasure_id=erasure_id, requested_at=requested_at)

    def withdraw(self, erasure_id: str) -> None:
        """Remove the receipt of a request that did not enter the log, unless another one was made under its id."""
        with self._database.connected() as connection:
            connection.execute(
                "DELETE FROM erasures WHERE erasure_id = %s AND repeated_at = requested_at AND done_at IS NULL",
                (erasure_id,),
            )

    def done(self, erasure_id: str, store: str, until_us: int, detail: str = "") -> None:
        """Enter a store into a receipt, with the present time; again or for an unknown erasure: no effect.

        Args:
            erasure_id: the receipt's.
            store: one of STORES. The first is DATAFLOW, which sets the time that the other looks must be made for.
            until_us: the store holds none of the user's events with an earlier time, microseconds since the epoch.
            detail: what a reader of the receipt should know besides.
        """
        if store not in STORES:
            raise ValueError(f"store: {store!r} is none of {', '.join(STORES)}")
        entry = {"erasure_id": erasure_id, "store": store, "until_us": until_us, "detail": detail}
        with self._database.connected() as connection, connection.transaction():
            if store == DATAFLOW:
                until = _EPOCH + timedelta(microseconds=until_us)
                if not connection.execute(REPORT, entry | {"until": until}).rowcount:
                    return
                connection.execute("DELETE FROM erasure_stores WHERE erasure_id = %s", (erasure_id,))
            connection.execute(ENTER, entry)

    def finish(self, pending: Pending) -> bool:
        """Close a receipt in which every store is entered, and take the user's id out of it. Returns whether it is."""
        values = {"erasure_id": pending.erasure.erasure_id, "until_us": pending.until_us, "stores": len(STORES)}
        with self._database.connected() as connection:
            return connection.execute(FINISH, values).rowcount == 1

    def pending(self) -> list[Pending]:
        """Erasures that are not over, oldest first."""
        with self._database.connected() as connection:
            rows = connection.execute(PENDING).fetchall()
        return [
            Pending(Erasure(user_id=user_id, erasure_id=erasure_id, requested_at=at), until_us, frozenset(stores))
            for user_id, erasure_id, at, until_us, stores in rows
        ]

    def erased_since(self, moment: datetime) -> dict[str, Bounds]:
        """Pseudonyms of the users whose erasure was pending at a moment or asked for after it, with its bounds.

        Whoever read a store at ``moment`` may hold something of theirs.
        """
        query = "SELECT user_key, until_us, repeated_at FROM erasures WHERE done_at IS NULL OR done_at >= %s"
        with self._database.connected() as connection:
            rows = connection.execute(query + " ORDER BY repeated_at", (moment - _CLOCKS_DIFFER,)).fetchall()
        return {key: bounds(requested_at, until_us) for key, until_us, requested_at in rows}

    def reported(self) -> dict[str, int]:
        """Pseudonym -> time before which the dataflow has forgotten the user, for every erasure it ever reported."""
        query = "SELECT user_key, max(until_us) FROM erasures WHERE until_us IS NOT NULL GROUP BY user_key"
        with self._database.connected() as connection:
            return dict(connection.execute(query).fetchall())

    def receipt(self, erasure_id: str) -> Receipt | None:
        """A receipt as far as it has come; None when there is none."""
        with self._database.connected() as connection:
            rows = connection.execute(RECEIPT, (erasure_id,)).fetchall()
        if not rows:
            return None
        requested_at, done_at = rows[0][:2]
        entries = {store: (at, detail) for _, _, store, at, detail in rows}
        return Receipt(
            erasure_id=erasure_id,
            status="done" if done_at else "pending",
            requested_at=requested_at,
            done_at=done_at,
            stores=[_entry(store, *entries.get(store, (None, None))) for store in STORES],
        )

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._database.close()


def _entry(store: str, at: datetime | None, detail: str | None) -> StoreEntry:
    status: Literal["pending", "done", "expires"] = "pending" if at is None else "expires" if store == LOG else "done"
    return StoreEntry(store=store, status=status, at=at, detail=detail or None)


def bounds(requested_at: datetime, until_us: int | None) -> Bounds:
    """The bounds of an erasure; before the dataflow's report the time of the request stands for both."""
    requested_us = to_us(requested_at)
    return Bounds(requested_us if until_us is None else until_us, requested_us)


def erasure_messages(settings: Settings, erasure: Erasure) -> Iterator[LogMessage]:
    """What tells the dataflow to forget a user: the end of his profile, and the end of his events."""
    yield LogMessage(settings.topic_profiles, erasure.user_id, None)
    yield LogMessage(settings.topic_events, erasure.user_id, erasure.encode(), (KIND_HEADER,))
