"""The raw events, kept for ever: what every feature, label and model can be computed from again.

One contract; the URL says which implementation keeps it. ``file:///folder`` is Parquet files
(``flows.parquet_events``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlparse

from feature_repo.events import Event
from infra.settings import SettingsError

if TYPE_CHECKING:
    import pyarrow as pa


class EventStore(Protocol):
    """Append-only events. A repeat (same user and event_id) may be appended and is read once."""

    def append(self, events: Sequence[Event]) -> int:
        """Keep events; when this returns, every reader sees them and no kill of a process loses them."""

    def scan(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[Event]:
        """Events ordered by (time_us, event_id), each once, with ``since_us <= time_us < until_us``."""

    def tables(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[pa.Table]:
        """The same events as columns: consecutive tables whose concatenation has the order of ``scan``."""

    def count(self) -> int:
        """Number of distinct events."""

    def compact(self) -> None:
        """Bring what was appended into its best form for reading."""

    def close(self) -> None:
        """Let go of files and connections."""


def open_event_store(url: str) -> EventStore:
    """The event store at a URL. Raises SettingsError when there is none for its scheme."""
    parts = urlparse(url)
    if parts.scheme == "file" and parts.path:
        from flows.parquet_events import ParquetEvents

        return ParquetEvents(unquote(parts.path))
    raise SettingsError(f"EVENT_STORE_URL: cannot open {url!r}; use file:///folder")
