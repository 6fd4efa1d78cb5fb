"""MongoDB: documents and indexes are as documented, and a server that dies or refuses loses and doubles nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from mongo_server import MongoServer
from pymongo import MongoClient
from pymongo.collection import Collection
from sample_events import START, event, ids

from flows import mongo_events
from flows.event_store import EventStoreError
from flows.mongo_events import MongoEvents
from infra.settings import Settings


@pytest.fixture
def store(mongo_url: str) -> Iterator[MongoEvents]:
    with closing(MongoEvents(mongo_url, page_events=3)) as store:
        yield store


@pytest.fixture
def collection(mongo_url: str) -> Iterator[Collection[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        yield client.get_default_database().events


def test_a_document_has_a_date_and_the_exact_time(store: MongoEvents, collection: Collection[dict[str, Any]]) -> None:
    moment = START + timedelta(microseconds=1_234_567)
    store.append([event(1, timestamp=moment, properties={"a.b": {"$gt": 2**70}})])
    (document,) = collection.find({}, {"_id": 0})
    assert document == {
        "event_id": "e0001",
        "user_id": "u1",
        "item_id": "i1",
        "event_type": "view",
        "timestamp": START.astimezone(UTC) + timedelta(milliseconds=1_234),
        "time_us": event(1, timestamp=moment).time_us,
        "properties": '{"a.b":{"$gt":1180591620717411303424}}',
    }


def test_indexes_find_an_event_a_history_and_the_order(
    store: MongoEvents, collection: Collection[dict[str, Any]]
) -> None:
    store.append([event(1)])
    indexes = collection.index_information().values()
    assert [[field for field, _ in index["key"]] for index in indexes if index.get("unique")] == [
        ["event_id", "user_id", "time_us"]
    ]
    begins = {tuple(field for field, _ in index["key"])[:2] for index in indexes}
    assert {("user_id", "timestamp"), ("timestamp", "time_us")} <= begins


def test_pages_go_on_behind_the_last_event_of_many_at_one_time(store: MongoEvents) -> None:
    given = [event(n // 2, minutes=n // 8, user=f"u{n % 2}") for n in range(24)]
    store.append(given)
    assert list(store.scan()) == given
    assert [table.num_rows for table in store.tables()] == [3] * 8
    assert list(store.scan(user_id="u1")) == given[1::2]


def test_a_reader_between_two_pages_outlives_the_server(tmp_path: Path) -> None:
    with MongoServer(tmp_path) as server, closing(MongoEvents(server.url("x"), page_events=3)) as store:
        store.append([event(n) for n in range(8)])
        reader = store.scan()
        found = [next(reader).event_id]
        server.kill()
        server.start()
        assert found + ids(reader) == [f"e{n:04d}" for n in range(8)]


def test_a_server_that_is_away_is_an_error_to_try_again_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_events, "PATIENCE_MS", 200)
    server = MongoServer(tmp_path)
    with closing(MongoEvents(server.url("x"))) as store:
        calls: list[Callable[[], object]] = [
            lambda: store.append([event(1)]),
            lambda: list(store.scan()),
            store.count,
            lambda: store.erase("u1", 0),
        ]
        for call in calls:
            with pytest.raises(EventStoreError, match="EVENT_STORE_URL"):
                call()
        with server:
            store.append([event(1)])
            assert ids(store.scan()) == ["e0001"]


def test_an_event_that_the_server_refuses_is_an_error_beside_repeats_too(tmp_path: Path) -> None:
    with MongoServer(tmp_path) as server, closing(MongoEvents(server.url("x"))) as store:
        store.append([event(1)])
        with server.full_disk(), pytest.raises(EventStoreError, match="refuses events") as refused:
            store.append([event(1), event(2)])
        assert "e0002" not in str(refused.value), "a log is no place for what users did"
        assert store.append([event(1), event(2)]) == 2
        assert ids(store.scan()) == ["e0001", "e0002"]


def test_a_server_killed_in_the_middle_of_appends_loses_and_doubles_nothing(tmp_path: Path) -> None:
    events, kills = 800, 3
    done = threading.Event()
    failures = 0

    def append_all(url: str) -> None:
        nonlocal failures
        with closing(MongoEvents(url)) as store:
            for first in range(0, events, 20):
                while True:
                    try:
                        store.append([event(n, minutes=n) for n in range(first, first + 20)])
                        break
                    except OSError:  # as the dataflow's sink does
                        failures += 1
        done.set()

    with MongoServer(tmp_path) as server, closing(MongoEvents(server.url("x"))) as reader:
        writer = threading.Thread(target=append_all, args=[server.url("x")])
        writer.start()
        for kill in range(1, kills + 1):
            while reader.count() < events * kill / (kills + 1):
                time.sleep(0.02)
            server.kill()
            server.start()
        writer.join()
        assert done.is_set()
        assert failures > 0
        assert ids(reader.scan()) == [f"e{n:04d}" for n in range(events)]


def test_the_dataflow_keeps_events_in_mongodb(
    settings: Settings, mongo_url: str, start_stack: Callable[..., Any], make_log: Callable[[Settings], Any]
) -> None:
    settings = settings.model_copy(update={"event_store_url": mongo_url})
    events = [event(n, minutes=n, user=f"u{n % 3}", value=n / 3, properties={"n": n}) for n in range(30)]
    log = make_log(settings)
    start_stack(settings, "stream")
    log.send([*events, *events[:10]])
    log.expect(events)
    assert list(log.store.scan()) == events
