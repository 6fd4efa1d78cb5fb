"""Whatever is written and read, Feast's SDK writes the same bytes and reads the same values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from pydantic import ValidationError

from feature_repo.events import Event, Item
from feature_repo.online import OnlineStore
from feature_repo.schema import SEGMENT_FAVOURITES, TIMESTAMP, VIEWS, View
from feature_repo.state import Dtype, Row
from infra.settings import load_settings

ids = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1, max_size=12)
times_us = st.integers(31_536_000_000_000, 7_258_118_400_000_000)  # 1971 to 2200
texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
integers = st.integers(-(2**63), 2**63 - 1)
# What NaN is to the SDK, a missing value, no message can carry; and minus zero, which no feature is, we write as zero.
floats = st.floats(width=32, allow_nan=False).map(lambda value: value or 0.0)
VALUES: dict[Dtype, st.SearchStrategy[Any]] = {
    "string": texts,
    "int64": integers,
    "float32": floats,
    "strings": st.lists(texts, max_size=5),
    "int64s": st.lists(integers, max_size=5) | st.lists(st.integers(0, 130), max_size=5),
    "float32s": st.lists(floats, max_size=5),
}
few = limits(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows(view: View) -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries({name: VALUES[dtype] for name, dtype in view.fields.items()})


@pytest.fixture(scope="module")
def stores(
    servers: Any, tmp_path_factory: pytest.TempPathFactory, read_definitions: Any
) -> Iterator[tuple[Any, OnlineStore, Any]]:
    """Feast's store, ours, and the client of the Redis that both write to."""
    from feature_repo.store import apply_definitions, open_store

    settings = load_settings(home=tmp_path_factory.mktemp("online"), redis_url=servers.settings.redis_url)
    with pytest.MonkeyPatch.context() as patch, redis.Redis.from_url(settings.redis_url) as client:
        read_definitions(settings, patch)
        store = open_store(settings)
        apply_definitions(store)
        yield store, OnlineStore(client, VIEWS), client


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@few
@given(st.data())
def test_we_write_the_bytes_that_the_sdk_writes(stores: Any, view: View, data: st.DataObject) -> None:
    store, online, client = stores
    written = data.draw(st.dictionaries(ids, st.tuples(rows(view), times_us), min_size=1, max_size=4))
    client.flushall()
    frame = pd.DataFrame(
        [
            {view.entity: entity, TIMESTAMP: pd.Timestamp(time_us, unit="us", tz="UTC"), **row}
            for entity, (row, time_us) in written.items()
        ]
    )
    if view is SEGMENT_FAVOURITES:  # batch: nothing pushes it
        store.write_to_online_store(view.name, frame)
    else:
        store.push(f"{view.name}_push", frame)
    keys = [online.codecs[view.name].key(entity) for entity in written]
    theirs = [client.hgetall(key) for key in keys]
    client.flushall()
    assert online.write({view.name: written}) == len(written)
    assert [client.hgetall(key) for key in keys] == theirs
    assert all(len(row) == len(view.fields) + 1 for row in theirs)


@few
@given(st.data())
def test_many_views_at_once_are_written_as_one_by_one(stores: Any, data: st.DataObject) -> None:
    _, online, client = stores
    entities = data.draw(st.lists(ids, min_size=1, max_size=3, unique=True))
    written = {
        view.name: data.draw(st.dictionaries(st.sampled_from(entities), st.tuples(rows(view), times_us)))
        for view in VIEWS
    }
    keys = [codec.key(entity) for codec in online.codecs.values() for entity in entities]
    client.flushall()
    for name, each in written.items():
        for entity, row in each.items():
            online.write({name: {entity: row}})
    separate = [client.hgetall(key) for key in keys]
    told = {view.entity: [name for name, _ in online.changed_since(view.entity, 0)] for view in VIEWS}
    client.flushall()
    assert online.write(written) == sum(map(len, written.values()))
    assert [client.hgetall(key) for key in keys] == separate
    for entity, names in told.items():
        assert sorted(name for name, _ in online.changed_since(entity, 0)) == sorted(names)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@few
@given(st.data())
def test_we_read_what_the_sdk_reads(stores: Any, view: View, data: st.DataObject) -> None:
    store, online, client = stores
    written = data.draw(st.dictionaries(ids, st.tuples(rows(view), times_us), max_size=4))
    missing = data.draw(st.lists(ids, min_size=1, max_size=2))
    client.flushall()
    online.write({view.name: written})
    fields = dict(zip(view.fields, online.codecs[view.name].hash_fields, strict=False))
    for entity in written:
        # A row from before the view had these fields.
        if lost := data.draw(st.sets(st.sampled_from(list(fields)))):
            client.hdel(online.codecs[view.name].key(entity), *(fields[name] for name in lost))
    asked = list({**written, **dict.fromkeys(missing)})
    answer = store.get_online_features(
        [f"{view.name}:{name}" for name in fields], [{view.entity: entity} for entity in asked]
    ).to_dict()
    theirs = dict(zip(answer[view.entity], zip(*(answer[name] for name in fields), strict=True), strict=True))
    for entity, row in zip(asked, online.read(view.name, asked), strict=True):
        ours = tuple(row.features.values()) if row else (None,) * len(fields)
        assert ours == theirs[entity]
        assert (row is not None) == (entity in written)
        if row is not None:
            assert row.time_us == written[entity][1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_message_brings_a_number_that_is_none(value: float) -> None:
    with pytest.raises(ValidationError, match="value"):
        Event.model_validate({"user_id": "u", "item_id": "i", "event_type": "rate", "value": value})
    with pytest.raises(ValidationError, match="price"):
        Item(item_id="i", price=value)
