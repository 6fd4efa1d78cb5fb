"""The event: what a user did to an item, and how it is written in the log.

One class serves REST validation, the Kafka message, the event store and the backfill, so an event
that one of them takes is an event that all of them read alike.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

EventType = Literal["view", "click", "add_to_cart", "remove_from_cart", "purchase", "rate"]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)

MAX_CLOCK_SKEW_S = 300.0
"""How far ahead of the receiver's clock an event's own time may lie."""

Id = Annotated[str, StringConstraints(pattern=r"^[^\s/\x00-\x1f]{1,128}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Number = Annotated[float, Field(ge=-1e15, le=1e15)]
"""A measure that survives float32, in which features are kept."""
MICROSECONDS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class BadEvent(ValueError):
    """A message that is no usable event. ``reason`` is a short stable word for counters."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Message(BaseModel):
    """What all messages of the log share: closed, immutable, JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    def encode(self) -> bytes:
        """UTF-8 JSON without the fields that are not set."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class Event(Message):
    """One act of one user on one item.

    ``timestamp`` is the client's event time (ISO 8601 with offset, or seconds since the epoch; without an
    offset it is read as UTC; absent: now). ``event_id`` makes a repeat harmless (absent: a new one).
    """

    user_id: Id
    item_id: Id
    event_type: EventType
    timestamp: datetime = Field(default_factory=lambda: datetime.now(UTC))
    value: Number | None = Field(None, description="a rating, a price, a dwell time: whatever the type measures")
    event_id: Id = Field(default_factory=lambda: uuid.uuid4().hex)
    session_id: Id | None = None
    recommendation_id: Id | None = None
    properties: dict[str, Any] | None = None

    @field_validator("timestamp")
    @classmethod
    def _utc(cls, value: datetime) -> datetime:
        if value.year < 1971:
            raise ValueError("must be a date after 1970, as ISO 8601 or seconds since the epoch")
        return as_utc(value)

    @property
    def time_us(self) -> int:
        """Event time in microseconds since the epoch."""
        return to_us(self.timestamp)


class Item(Message):
    """A catalogue entry; the last write for an id wins."""

    item_id: Id
    title: str = Field("", max_length=500, pattern=r"^[^\x00]*$")
    categories: tuple[Label, ...] = Field((), max_length=100)
    published_at: datetime | None = None
    price: Number | None = Field(None, ge=0)
    in_stock: bool = Field(default=True, description="false: not recommended until it is in stock again")
    expires_at: datetime | None = Field(
        default=None, description="not recommended from this moment on; absent: never ends"
    )

    def row(self) -> dict[str, Any]:
        """This entry as a row of the item_catalog view."""
        return {
            "title": self.title,
            "categories": list(self.categories),
            # 0 says unknown; the epoch itself gives way by a microsecond.
            "published_us": (to_us(self.published_at) or 1) if self.published_at else 0,
            "price": self.price or 0.0,
            "in_stock": int(self.in_stock),
            "expires_us": (to_us(self.expires_at) or 1) if self.expires_at else 0,
        }

    @field_validator("published_at", "expires_at")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        return None if value is None else as_utc(value)


class UserProfile(Message):
    """What is known of a user beside the events: segments such as ``age:25-34``; the last write wins."""

    user_id: Id
    segments: tuple[Label, ...] = Field((), max_length=100)

    def row(self) -> dict[str, Any]:
        """This profile as a row of the user_profile view."""
        return {"segments": list(self.segments)}


class Erasure(Message):
    """A user's wish to be forgotten; it follows his events through the log and ends them."""

    user_id: Id
    erasure_id: Id
    requested_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @field_validator("requested_at")
    @classmethod
    def _utc(cls, value: datetime) -> datetime:
        return as_utc(value)


def pseudonym(user_id: str) -> str:
    """A stable name for a user that does not show his id: 32 hex digits (BLAKE2b, 128 bits)."""
    return blake2b(user_id.encode(), digest_size=16, person=b"freshet").hexdigest()


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC; one without an offset is taken to be UTC already."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a date between the years 1 and 9999 in UTC") from None


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch, exact (a float of seconds is not)."""
    return (moment - _EPOCH) // _MICROSECOND


def iso_seconds(time_us: int) -> str:
    """A time in microseconds for people: ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(time_us // MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_clock(event: Event, now_us: int) -> None:
    """Raise BadEvent(``future``) when the event claims a time that has not come yet."""
    ahead = (event.time_us - now_us) / MICROSECONDS
    if ahead > MAX_CLOCK_SKEW_S:
        raise BadEvent(
            "future",
            f"timestamp is {ahead:.0f} s ahead of this server's clock; at most {MAX_CLOCK_SKEW_S:.0f} s is taken",
        )


def decode(message_type: type[Message], raw: bytes) -> Any:
    """Read one message of the log.

    Args:
        message_type: Event, Item or UserProfile.
        raw: the message's value, UTF-8 JSON.

    Raises:
        BadEvent: ``json`` when it is no JSON object, ``schema`` when a field is wrong; the detail names the field.
    """
    try:
        return message_type.model_validate_json(raw)
    except ValidationError as error:
        kind = "json" if error.errors()[0]["type"] == "json_invalid" else "schema"
        raise BadEvent(kind, describe(error)) from None


def describe(error: ValidationError) -> str:
    """A validation error as one readable line: every offending field and what it wants."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors(include_url=False))
