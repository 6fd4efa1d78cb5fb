"""The raw events, kept for ever: what every feature, label and model can be computed from again.

One contract; the URL says which implementation keeps it. ``file:///folder`` is Parquet files
(``flows.parquet_events``), ``mongodb://host/database`` a collection of MongoDB (``flows.mongo_events``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlparse

from feature_repo.events import Event
from infra.settings import SettingsError

if TYPE_CHECKING:
    import pyarrow as pa


class EventStoreError(OSError):
    """The store's server cannot be reached, or refuses. Trying again is safe: a repeat changes nothing."""


class EventStore(Protocol):
    """Append-only events, but for erasure. Many processes may write and read at once.

    User, event_id and time name an event: what has all in common with an event that is stored is a repeat of it,
    which may be appended and is read once. (The dataflow lets an id count once for as long as lateness is allowed; one
    that a client uses again later counts again, and is kept here too.) Times are microseconds UTC. Every method
    raises OSError (``EventStoreError`` or the file system's own) when the store is away.
    """

    def append(self, events: Sequence[Event]) -> int:
        """Keep events; when this returns, every reader sees them and no kill of a process loses them.

        Returns the number of events given. After an error any part of them may have been kept: append all again.
        """

    def scan(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[Event]:
        """Events ordered by (time_us, event_id), each once, with ``since_us <= time_us < until_us``.

        It holds a small part of the events at a time, and may take as long as it likes. Of those that are
        appended or erased while it reads it may give some.
        """

    def tables(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[pa.Table]:
        """The same events as columns (``flows.event_columns.SCHEMA``), in consecutive tables ordered as ``scan`` is."""

    def count(self) -> int:
        """Number of distinct events."""

    def erase(self, user_id: str, until_us: int) -> int:
        """Remove a user's events with ``time_us < until_us``; returns how many there were.

        When this returns, whoever begins to read sees none of them, and no file or document holds them. Erasing
        again is harmless, and finishes what a kill interrupted.
        """

    def compact(self) -> None:
        """Bring what was appended into its best form for reading."""

    def close(self) -> None:
        """Let go of files and connections."""


def open_event_store(url: str) -> EventStore:
    """The event store at a URL; its server is first asked by the first call. Raises SettingsError for a wrong URL."""
    parts = urlparse(url)
    if parts.scheme == "file" and parts.path:
        from flows.parquet_events import ParquetEvents

        return ParquetEvents(unquote(parts.path))
    if parts.scheme in ("mongodb", "mongodb+srv"):
        from flows.mongo_events import MongoEvents

        return MongoEvents(url)
    raise SettingsError(
        f"EVENT_STORE_URL: cannot open {parts.scheme}://{parts.hostname or ''}; "
        "use file:///folder or mongodb://host/database"
    )
