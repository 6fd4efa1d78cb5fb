"""Events as columns: one layout of tables, whatever keeps the events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json, to_json

from feature_repo.events import Event

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("event_type", pa.string()),
        ("time_us", pa.int64()),
        ("value", pa.float64()),
        ("session_id", pa.string()),
        ("recommendation_id", pa.string()),
        ("properties", pa.string()),
    ]
)
"""Columns of every table; ``time_us`` is the event time in microseconds UTC, ``properties`` a JSON object."""

EMPTY = SCHEMA.empty_table()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = set(Event.model_fields)


def row_of(event: Event) -> dict[str, str | int | float]:
    """An event's columns, without those that are not set."""
    row: dict[str, str | int | float] = {
        "event_id": event.event_id,
        "user_id": event.user_id,
        "item_id": event.item_id,
        "event_type": event.event_type,
        "time_us": event.time_us,
    }
    if event.value is not None:
        row["value"] = event.value
    if event.session_id is not None:
        row["session_id"] = event.session_id
    if event.recommendation_id is not None:
        row["recommendation_id"] = event.recommendation_id
    if event.properties is not None:
        # As text: no store then limits an integer to 64 bits or gives dots and dollars in keys a meaning.
        row["properties"] = to_json(event.properties).decode()
    return row


def events_of(table: pa.Table) -> Iterator[Event]:
    """The rows of a table as events."""
    # Built without validation: only validated events were appended, and a million are read at a time.
    for row in zip(*(table[name].to_pylist() for name in SCHEMA.names), strict=True):
        values = dict(zip(SCHEMA.names, row, strict=True))
        values["timestamp"] = _EPOCH + timedelta(microseconds=values.pop("time_us"))
        if values["properties"] is not None:
            values["properties"] = from_json(values["properties"])
        yield Event.model_construct(_FIELDS, **values)


def between(table: pa.Table, since_us: int | None, until_us: int | None) -> pa.Table:
    """The rows with ``since_us <= time_us < until_us``."""
    if since_us is not None:
        table = table.filter(pc.greater_equal(table["time_us"], since_us))
    return table if until_us is None else table.filter(pc.less(table["time_us"], until_us))


def of_user(table: pa.Table, user_id: str | None) -> pa.Table:
    """One user's rows, or all."""
    return table if user_id is None else table.filter(pc.equal(table["user_id"], user_id))


def distinct(table: pa.Table) -> pa.Table:
    """The rows ordered by (time_us, event_id, user_id), the first of every three alike only."""
    table = table.sort_by([(name, "ascending") for name in ("time_us", "event_id", "user_id")])
    repeats = np.ones(max(table.num_rows - 1, 0), bool)
    for name in ("time_us", "event_id", "user_id"):
        values = pc.dictionary_encode(table[name].combine_chunks()).indices.to_numpy()
        repeats &= values[1:] == values[:-1]
    return table.filter(pa.array(np.insert(~repeats, 0, [True] * min(table.num_rows, 1)))) if repeats.any() else table
