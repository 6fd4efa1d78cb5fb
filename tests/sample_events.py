"""Events to store: made by hand, and arbitrary ones for property-based tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from feature_repo.events import EVENT_TYPES, Event

START = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)


def event(number: int, minutes: float = 0.0, user: str = "u1", **fields: Any) -> Event:
    """Event ``e0007`` of a user, so many minutes after START."""
    values: dict[str, Any] = {"user_id": user, "item_id": f"i{number}", "event_type": "view"}
    values |= {"event_id": f"e{number:04d}", "timestamp": START + timedelta(minutes=minutes)}
    return Event(**(values | fields))


def ids(events: Iterable[Event]) -> list[str]:
    """Their event ids."""
    return [e.event_id for e in events]


def in_order(events: Iterable[Event]) -> list[Event]:
    """As a store gives them: each once, by time, event_id and user."""
    once = {(e.user_id, e.event_id, e.time_us): e for e in events}
    return sorted(once.values(), key=lambda e: (e.time_us, e.event_id, e.user_id))


def exactly(events: Iterable[Event]) -> list[bytes]:
    """Every field to the last bit: where Python's ``==`` finds 1, 1.0 and True alike, JSON does not."""
    return [e.encode() for e in events]


_ids = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), exclude_characters="/"), min_size=1, max_size=128
)
_texts = st.text(st.characters(exclude_categories=("Cs",)))
_numbers = st.floats(-1e15, 1e15)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts | st.sampled_from(["a.b", "$set", ""]), inner),
    max_leaves=8,
)

any_event = st.builds(
    Event,
    user_id=_ids,
    item_id=_ids,
    event_type=st.sampled_from(EVENT_TYPES),
    timestamp=st.datetimes(datetime(1971, 1, 1), timezones=st.just(UTC)),
    value=st.none() | _numbers,
    event_id=_ids,
    session_id=st.none() | _ids,
    recommendation_id=st.none() | _ids,
    properties=st.none() | st.dictionaries(_texts, _json, max_size=3),
)
