"""The event store as one collection, ``events``, of a MongoDB database; without one in the URL: ``freshet``.

A document has the columns of ``flows.event_columns`` (absent ones left out) and ``timestamp``, the event time as
MongoDB's date. Dates count milliseconds, so ``time_us`` has the exact time; ``properties`` is JSON text.

Three indexes:

``event``    (event_id, user_id, time_us), unique: makes a repeat harmless. The client chooses the event_id, so it means
             something only together with its user, and may come again after it was forgotten; it comes first
             because an event is looked up by it.
``history``  (user_id, timestamp, ...): a user's events in the order of ``scan``; also finds what is to be erased.
``order``    (timestamp, ...): all events in the order of ``scan``, which therefore never sorts.

Writes wait until a majority of the servers has them in their journals, unless the URL says otherwise
(``?w=1&journal=false``). Erased documents live on in backups and, until it has turned over, in the oplog.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pymongo import ASCENDING, IndexModel, MongoClient, WriteConcern
from pymongo.errors import BulkWriteError, PyMongoError

from feature_repo.events import Event, to_us
from flows.event_columns import SCHEMA, events_of, row_of
from flows.event_store import EventStoreError
from infra.settings import SettingsError

DATABASE = "freshet"
COLLECTION = "events"
PAGE_EVENTS = 10_000
PATIENCE_MS = 5_000
"""How long a call looks for a server before it fails."""

ORDER = ("timestamp", "time_us", "event_id", "user_id")
INDEXES = [
    IndexModel([(field, ASCENDING) for field in ("event_id", "user_id", "time_us")], name="event", unique=True),
    IndexModel([("user_id", ASCENDING), *((field, ASCENDING) for field in ORDER[:3])], name="history"),
    IndexModel([(field, ASCENDING) for field in ORDER], name="order"),
]
_DUPLICATE_KEY = 11000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = to_us(datetime.max.replace(tzinfo=UTC))
_COLUMNS = {"_id": 0, **dict.fromkeys(SCHEMA.names, 1)}

Document = dict[str, Any]


class MongoEvents:
    """Raw events in MongoDB; many processes may write and read at once.

    Args:
        url: MongoDB's connection string.
        page_events: events that a read fetches at a time.

    Raises:
        SettingsError: the URL is no connection string.
    """

    def __init__(self, url: str, page_events: int = PAGE_EVENTS) -> None:
        try:
            # Connects at the first call: whoever opens the store may be waiting for a server that is just starting.
            self._client: MongoClient[Document] = MongoClient(
                url, connect=False, serverSelectionTimeoutMS=PATIENCE_MS, connectTimeoutMS=PATIENCE_MS
            )
            self._events = self._client.get_default_database(DATABASE)[COLLECTION]
        except (PyMongoError, ValueError) as error:
            raise SettingsError(f"EVENT_STORE_URL: {error}") from None
        if self._client.write_concern.is_server_default:
            self._events = self._events.with_options(write_concern=WriteConcern("majority", j=True))
        self._page_events = page_events
        self._indexed = False

    def append(self, events: Sequence[Event]) -> int:
        """Keep events and return their number."""
        if not events:
            return 0
        with _named_errors():
            if not self._indexed:
                self._events.create_indexes(INDEXES)
                self._indexed = True
            try:
                self._events.insert_many([_document(event) for event in events], ordered=False)
            except BulkWriteError as error:
                if not _only_repeats(error):
                    raise
        return len(events)

    def scan(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[Event]:
        """Events ordered by (time_us, event_id), each once."""
        for table in self.tables(since_us, until_us, user_id):
            yield from events_of(table)

    def tables(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[pa.Table]:
        """The events as tables, one a page.

        Every page is a query of its own that goes on behind the last event: a cursor would be lost with its
        connection, and after ten minutes in which its reader asked for nothing.
        """
        query = _query(since_us, until_us, user_id)
        while True:
            with _named_errors():
                found = self._events.find(query, _COLUMNS, limit=self._page_events, batch_size=self._page_events)
                page = list(found.sort([(field, ASCENDING) for field in ORDER]))
            if page:
                yield pa.table({name: [row.get(name) for row in page] for name in SCHEMA.names}, schema=SCHEMA)
            if len(page) < self._page_events:
                return
            query = {"$and": [_query(page[-1]["time_us"], until_us, user_id), _behind(page[-1])]}

    def count(self) -> int:
        """Number of events."""
        with _named_errors():
            return self._events.count_documents({})

    def erase(self, user_id: str, until_us: int) -> int:
        """Remove a user's events before a moment; returns their number."""
        with _named_errors():
            return self._events.delete_many(_query(None, until_us, user_id)).deleted_count

    def compact(self) -> None:
        """Nothing to do: the indexes keep events in order as they come."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _document(event: Event) -> Document:
    return {**row_of(event), "timestamp": event.timestamp}


def _query(since_us: int | None, until_us: int | None, user_id: str | None) -> Document:
    """Bounds on ``timestamp`` for the index, and on ``time_us`` for the microseconds that a date lacks."""
    bounds: dict[str, Document] = {"timestamp": {}, "time_us": {}}
    if since_us is not None:
        bounds["timestamp"]["$gte"], bounds["time_us"]["$gte"] = _date(since_us), since_us
    if until_us is not None:
        bounds["timestamp"]["$lte"], bounds["time_us"]["$lt"] = _date(until_us), until_us
    query: Document = {field: bound for field, bound in bounds.items() if bound}
    return query if user_id is None else {"user_id": user_id, **query}


def _behind(last: Document) -> Document:
    """What follows an event among those of its own time, and everything later."""
    return {
        "$or": [
            {"time_us": {"$gt": last["time_us"]}},
            {"event_id": {"$gt": last["event_id"]}},
            {"event_id": last["event_id"], "user_id": {"$gt": last["user_id"]}},
        ]
    }


def _date(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(max(time_us, 0), _LAST_US))


def _only_repeats(error: BulkWriteError) -> bool:
    details = error.details or {}
    refused = details.get("writeErrors", [])
    return not details.get("writeConcernErrors") and all(one["code"] == _DUPLICATE_KEY for one in refused)


@contextmanager
def _named_errors() -> Iterator[None]:
    """The contract's error for the driver's; without the documents, which are nobody's business in a log."""
    try:
        yield
    except BulkWriteError as error:
        details = error.details or {}
        problems = [*details.get("writeErrors", []), *details.get("writeConcernErrors", [])]
        reasons = {one.get("errmsg") for one in problems if one.get("code") != _DUPLICATE_KEY}
        raise EventStoreError(f"EVENT_STORE_URL: MongoDB refuses events: {reasons}") from None
    except PyMongoError as error:
        raise EventStoreError(f"EVENT_STORE_URL: {error}") from error
