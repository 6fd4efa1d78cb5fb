"""What travels through the dataflow: arrived messages, rows to write, dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from feature_repo.events import MICROSECONDS, BadEvent, Event, Message, check_clock, decode
from feature_repo.state import Row
from flows.log_source import Source

STORED = "stored"
"""Header of a message that a replay took from the event store, where it need not be written again."""


class Arrival(NamedTuple):
    """A valid message; ``logged_us`` is when it entered the log."""

    message: Any
    logged_us: int
    source: Source

    @property
    def stored(self) -> bool:
        """Whether a replay took it from the event store."""
        return any(name == STORED for name, _ in self.source.headers)


class RowWrite(NamedTuple):
    """One entity's new row of one view, as of ``time_us``; ``logged_us``: when its newest message entered the log."""

    view: str
    entity_id: str
    row: Row
    time_us: int
    logged_us: int


class DeadLetter(NamedTuple):
    """A message that could not be used, and why."""

    source: Source
    reason: str
    detail: str


def read_messages(kind: type[Message], sources: Iterable[Source]) -> Iterator[Arrival | DeadLetter]:
    """Decode a batch of the log's messages; one that is wrong becomes a dead letter and stops nothing."""
    now_us = time.time_ns() // 1_000
    for source in sources:
        logged_us = _logged_us(source, now_us)
        try:
            message = decode(kind, source.value or b"")
            if isinstance(message, Event):
                message = _completed(message, source, logged_us)
                # By the log's clock, so that reading again judges alike; not beyond ours, if a producer's is wrong.
                check_clock(message, min(now_us, logged_us))
            yield Arrival(message, logged_us, source)
        except BadEvent as error:
            yield DeadLetter(source, error.reason, error.detail)


def _logged_us(source: Source, now_us: int) -> int:
    return source.logged_ms * 1_000 if source.logged_ms > 0 else now_us


def _completed(event: Event, source: Source, logged_us: int) -> Event:
    """The event with an id and a time that reading it again gives again, should its writer have left them out."""
    missing: dict[str, Any] = {}
    if "event_id" not in event.model_fields_set:
        missing["event_id"] = f"{source.topic}-{source.partition}-{source.offset}"
    if "timestamp" not in event.model_fields_set:
        missing["timestamp"] = datetime.fromtimestamp(logged_us / MICROSECONDS, UTC)
    return event.model_copy(update=missing) if missing else event
