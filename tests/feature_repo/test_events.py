"""An event is read alike wherever it is read, and a bad one is named."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from feature_repo.events import MAX_CLOCK_SKEW_S, BadEvent, Event, Item, check_clock, decode, describe, to_us

GOOD = {"user_id": "u", "item_id": "i", "event_type": "click"}


def test_an_encoded_event_reads_back_equal():
    event = Event(**GOOD, value=3.5, properties={"page": 2}, timestamp="2026-01-02T03:04:05.678901+02:00")
    assert decode(Event, event.encode()) == event
    assert event.timestamp.utcoffset() == timedelta(0)


def test_absent_timestamp_is_now_and_absent_id_is_new():
    before = datetime.now(UTC)
    first, second = Event(**GOOD), Event(**GOOD)
    assert before <= first.timestamp <= datetime.now(UTC)
    assert first.event_id != second.event_id


def test_a_timestamp_without_offset_is_utc_and_numbers_are_seconds():
    naive = Event(**GOOD, timestamp="2026-01-02T03:04:05")
    number = Event(**GOOD, timestamp=naive.timestamp.timestamp())
    assert naive.time_us == number.time_us == to_us(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


def test_microseconds_are_exact():
    moment = datetime(2026, 11, 23, 12, 0, 0, 123457, tzinfo=timezone(timedelta(hours=5)))
    assert to_us(moment) % 1_000_000 == 123457


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a b"}, "user_id"),
        ({"item_id": "x" * 129}, "item_id"),
        ({"event_type": "buy"}, "event_type"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "1969-12-31T23:59:59Z"}, "timestamp"),
        ({"value": "much"}, "value"),
        ({"value": float("nan")}, "value"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named(change, field):
    with pytest.raises(ValidationError) as error:
        Event(**{**GOOD, **change})
    assert describe(error.value).startswith(f"{field}:")


def test_broken_json_and_wrong_schema_are_told_apart():
    with pytest.raises(BadEvent) as broken:
        decode(Event, b'{"user_id": ')
    with pytest.raises(BadEvent) as wrong:
        decode(Event, b'{"user_id": "u"}')
    assert broken.value.reason == "json"
    assert wrong.value.reason == "schema"
    assert "item_id" in wrong.value.detail


def test_the_future_is_refused_beyond_the_skew():
    event = Event(**GOOD)
    check_clock(event, event.time_us - int(MAX_CLOCK_SKEW_S * 1e6))
    with pytest.raises(BadEvent, match="timestamp is 301 s ahead"):
        check_clock(event, event.time_us - 301_000_000)


def test_a_catalogue_row_has_neutral_values_for_what_is_unknown():
    assert Item(item_id="i").row() == {
        "title": "",
        "categories": [],
        "published_us": 0,
        "price": 0.0,
        "in_stock": 1,
        "expires_us": 0,
    }
    row = Item(item_id="i", in_stock=False, expires_at="2026-01-01T00:00:00+01:00").row()
    assert (row["in_stock"], row["expires_us"]) == (0, 1_767_222_000_000_000)
    assert Item(item_id="i", expires_at="1970-01-01").row()["expires_us"] == 1  # 0 would say never
