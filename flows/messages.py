"""What travels through the dataflow: arrived messages, rows to write, dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from feature_repo.erasures import KIND_HEADER
from feature_repo.events import MICROSECONDS, BadEvent, Erasure, Event, Message, UserProfile, check_clock, decode
from feature_repo.state import Row
from infra.tracing import TRACEPARENT

STORED = "stored"
"""Header of a message that a replay took from a store, where it need not be written again."""


ORIGIN = "origin"
"""Header of a message that was a dead letter before: topic, partition and offset at which it first lay."""


class Source(NamedTuple):
    """A message as it lies in the log; ``logged_ms`` since the epoch, -1 when the log does not say."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    logged_ms: int

    @property
    def origin(self) -> str:
        """Where the message lies, or first lay when it was a dead letter since: ``topic-partition-offset``."""
        before = next((value for name, value in self.headers if name == ORIGIN), None)
        return before.decode() if before else f"{self.topic}-{self.partition}-{self.offset}"


class Trail(NamedTuple):
    """Of a message that is traced: its ``traceparent``, where it lay, and when it entered the log and was read."""

    traceparent: bytes
    origin: str
    event_id: str
    logged_us: int
    read_ns: int


class Arrival(NamedTuple):
    """A valid message.

    Attributes:
        message: Event, Erasure, Item, UserProfile, Withdrawn, ErasedBefore or Refresh.
        logged_us: when it entered the log.
        source: where it lay in the log, as long as that matters.
        stored: it was taken from a store, where it need not be written again.
        quiet: rows need not follow it; a Refresh will come when all of its kind have passed.
        trail: it is traced.
    """

    message: Any
    logged_us: int
    source: Source | None = None
    stored: bool = False
    quiet: bool = False
    trail: Trail | None = None


class Withdrawn(NamedTuple):
    """The log's tombstone of a profile."""

    user_id: str


class ErasedBefore(NamedTuple):
    """An erasure that is over: nothing of the user from before ``until_us`` counts, wherever it is still met."""

    user_key: str
    until_us: int


class Refresh(NamedTuple):
    """The row of the user, or of one of his items, is to be written although nothing has changed."""

    user_id: str
    item_id: str | None = None


class RowWrite(NamedTuple):
    """One entity's new row of one view, as of ``time_us``.

    ``logged_us``: when the newest message in it entered the log; 0: it is no news. ``trails``: of the traced messages
    that are news in it, and ``applied_ns`` when its state had them all.
    """

    view: str
    entity_id: str
    row: Row
    time_us: int
    logged_us: int
    trails: tuple[Trail, ...] = ()
    applied_ns: int = 0


class RowRemoval(NamedTuple):
    """One entity's row of one view, to be removed."""

    view: str
    entity_id: str


class Forgotten(NamedTuple):
    """A user's state is gone; everything of his before ``until_us`` must go everywhere else too."""

    user_id: str
    erasure_id: str
    until_us: int


VERDICT = ("reason", "detail", "topic", "partition", "offset")
"""Headers that a message gets when it dies."""


class DeadLetter(NamedTuple):
    """A message that could not be used, and why."""

    source: Source
    reason: str
    detail: str

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The message's own headers, then why it died and where it lay (the names in VERDICT)."""
        source = self.source
        verdict = (self.reason, self.detail, source.topic, str(source.partition), str(source.offset))
        kept = [(name, value) for name, value in source.headers if name not in VERDICT]
        return [*kept, *zip(VERDICT, (text.encode() for text in verdict), strict=True)]


def read_messages(kind: type[Message], found: Iterable[Source | Arrival]) -> Iterator[Arrival | DeadLetter]:
    """Decode a batch of the log's messages; one that is wrong becomes a dead letter and stops nothing."""
    now_us = time.time_ns() // 1_000
    for source in found:
        if isinstance(source, Arrival):
            yield source
            continue
        logged_us = source.logged_ms * 1_000 if source.logged_ms > 0 else now_us
        try:
            message = _read(kind, source, logged_us, now_us)
            yield Arrival(
                message, logged_us, source, _stored(source), trail=_trail(source, message) if source.headers else None
            )
        except BadEvent as error:
            yield DeadLetter(source, error.reason, error.detail)


def _read(kind: type[Message], source: Source, logged_us: int, now_us: int) -> Any:
    if kind is UserProfile and source.value is None and source.key:
        return Withdrawn(source.key.decode())
    if kind is Event and KIND_HEADER in source.headers:
        return decode(Erasure, source.value or b"")
    message = decode(kind, source.value or b"")
    if isinstance(message, Event):
        message = _completed(message, source, logged_us)
        # By the log's clock, so that reading again judges alike; not beyond ours, if a producer's is wrong.
        check_clock(message, min(now_us, logged_us))
    return message


def _stored(source: Source) -> bool:
    return bool(source.headers) and any(name == STORED for name, _ in source.headers)


def _trail(source: Source, message: Any) -> Trail | None:
    traceparent = next((value for name, value in source.headers if name == TRACEPARENT), None)
    if traceparent is None or not isinstance(message, Event):
        return None
    return Trail(traceparent, source.origin, message.event_id, source.logged_ms * 1_000, time.time_ns())


def _completed(event: Event, source: Source, logged_us: int) -> Event:
    """The event with an id and a time that reading it again gives again, should its writer have left them out."""
    missing: dict[str, Any] = {}
    if "event_id" not in event.model_fields_set:
        missing["event_id"] = source.origin
    if "timestamp" not in event.model_fields_set:
        missing["timestamp"] = datetime.fromtimestamp(logged_us / MICROSECONDS, UTC)
    return event.model_copy(update=missing) if missing else event
