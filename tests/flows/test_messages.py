"""Decoding: what is wrong becomes a dead letter with a reason, and reading again gives the same again."""

from __future__ import annotations

import time
from typing import Any

import pytest

from feature_repo.events import Event
from flows.log_source import Source
from flows.messages import Arrival, DeadLetter, read_messages

NOW_MS = int(time.time() * 1000)
GOOD = b'{"user_id":"u","item_id":"i","event_type":"view"}'


def read(value: bytes | None, **fields: Any) -> Arrival | DeadLetter:
    source = Source("events", 2, 7, b"u", value, [], NOW_MS)._replace(**fields)
    (found,) = read_messages(Event, [source])
    return found


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (b"{broken", "json", "Invalid JSON"),
        (b"\xff\xfe", "json", "Invalid JSON"),
        (b"", "json", "Invalid JSON"),
        (None, "json", "Invalid JSON"),
        (b"[]", "schema", "object"),
        (GOOD.replace(b"view", b"stare"), "schema", "event_type"),
        (GOOD.replace(b"user_id", b"usr"), "schema", "usr"),
        (GOOD[:-1] + b',"timestamp":"2999-01-01T00:00:00Z"}', "future", "timestamp"),
        (GOOD[:-1] + b',"value":1e300}', "schema", "value"),
    ],
)
def test_a_wrong_message_is_a_dead_letter_with_its_reason(value: bytes | None, reason: str, detail: str) -> None:
    found = read(value)
    assert isinstance(found, DeadLetter)
    assert found.reason == reason
    assert detail in found.detail
    assert found.source.value == value


def test_an_event_without_id_and_time_is_the_same_event_when_read_again() -> None:
    first, second = read(GOOD), read(GOOD)
    assert isinstance(first, Arrival)
    assert isinstance(second, Arrival)
    assert first.message == second.message
    assert first.message.event_id == "events-2-7"
    assert first.message.time_us == first.logged_us == NOW_MS * 1_000


def test_the_future_is_judged_by_the_time_of_the_log() -> None:
    ten_minutes_ago = NOW_MS - 600_000
    stamped = GOOD[:-1] + b',"timestamp":%d}' % (NOW_MS // 1_000)
    assert isinstance(read(stamped), Arrival)
    found = read(stamped, logged_ms=ten_minutes_ago)
    assert isinstance(found, DeadLetter)
    assert found.reason == "future"


def test_a_producer_cannot_move_the_clock_forward() -> None:
    ahead = NOW_MS + 86_400_000
    found = read(GOOD[:-1] + b',"timestamp":%d}' % (ahead // 1_000), logged_ms=ahead)
    assert isinstance(found, DeadLetter)


def test_one_bad_message_does_not_stop_the_others() -> None:
    found = list(
        read_messages(
            Event, [Source("events", 0, n, None, value, [], NOW_MS) for n, value in enumerate((GOOD, b"no", GOOD))]
        )
    )
    assert [type(each) for each in found] == [Arrival, DeadLetter, Arrival]
