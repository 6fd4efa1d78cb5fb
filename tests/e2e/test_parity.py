"""One definition of every feature: the same events down both roads give the same rows."""

import itertools
import struct

import pyarrow.parquet as pq
import pytest
from sample_shop import sample_events, sample_items, sample_users

from feature_repo import schema
from feature_repo.online import OnlineStore
from flows.backfill import write_history
from flows.dataset import write_dataset
from flows.event_store import open_event_store
from flows.loader import load_dataset
from flows.metadata import MetadataStore

USERS, EACH = 250, 20


@pytest.fixture
def loaded(settings, start_stack, tmp_path):
    """5,000 events through ingest, Kafka and the dataflow, some of them sent again."""
    stack = start_stack(settings, "ingest", "stream")
    events = sample_events(users=USERS, each=EACH)
    assert len(events) == 5_000
    repeated = [*events, *events[100:200]]
    dataset = write_dataset(tmp_path / "shop", sample_items(), sample_users(USERS), repeated)
    load_dataset(stack.settings, dataset)
    return stack.settings, events


def as_float32(row, fields):
    """A row with every float as the four bytes that hold it."""
    packed = {"float32": lambda v: struct.pack("<f", v), "float32s": lambda v: [struct.pack("<f", x) for x in v]}
    return {name: packed.get(dtype, lambda v: v)(row[name]) for name, dtype in fields.items()}


def last_rows(folder, view):
    """The newest row of every entity in a view's file."""
    rows = pq.read_table(folder / f"{view.name}.parquet").sort_by(schema.TIMESTAMP).to_pylist()
    return {row[view.entity]: row for row in rows}


def test_stream_and_backfill_give_equal_rows(loaded, redis_client):
    settings, events = loaded
    store, metadata = open_event_store(settings.event_store_url), MetadataStore(settings.database_url)
    stored = list(store.scan())
    assert [(e.time_us, e.event_id) for e in stored] == sorted((e.time_us, e.event_id) for e in events)
    write_history(settings.offline_dir, stored, metadata.items(), metadata.users())
    online = OnlineStore(redis_client, schema.VIEWS)
    for view in (schema.USER_FEATURES, schema.ITEM_FEATURES, schema.ITEM_CATALOG, schema.USER_PROFILE):
        offline = last_rows(settings.offline_dir, view)
        assert offline
        for entity_id, row in zip(offline, online.read(view.name, list(offline)), strict=True):
            assert as_float32(row.features, view.fields) == as_float32(offline[entity_id], view.fields), entity_id
    seen = last_rows(settings.offline_dir, schema.USER_SEEN)
    for user_id, row in zip(seen, online.read(schema.USER_SEEN.name, list(seen)), strict=True):
        assert set(row.features["seen_items"]) == set(seen[user_id]["seen_items"])
    by_user = itertools.groupby(sorted(event.user_id for event in events))
    counts = {user_id: len(list(group)) for user_id, group in by_user}
    rows = online.read(schema.USER_FEATURES.name, list(counts))
    assert {user: row.features["event_count"] for user, row in zip(counts, rows, strict=True)} == counts
