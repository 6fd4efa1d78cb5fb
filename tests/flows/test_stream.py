"""The dataflow as it runs: Bytewax on a real log, writing to real servers, killed and cut off on purpose."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from confluent_kafka import Producer

from feature_repo.erasures import DATAFLOW, KIND_HEADER, Erasures
from feature_repo.events import Event, Item, UserProfile
from feature_repo.state import States
from flows.metadata import MetadataStore
from infra.servers import recovery_folder
from infra.settings import Settings, load_settings

START = datetime.now(UTC) - timedelta(hours=6)


def event(number: int, user: str = "u1", item: str = "i1", **fields: object) -> Event:
    values = {"user_id": user, "item_id": item, "event_type": "click", "event_id": f"e{number:05d}"}
    return Event.model_validate(values | {"timestamp": START + timedelta(seconds=number)} | fields)


def history(count: int, users: int = 40, items: int = 60) -> list[Event]:
    random = Random(3)
    return [event(n, f"u{random.randrange(users)}", f"i{random.randrange(items)}", value=n % 5) for n in range(count)]


def metrics(stack: Any) -> dict[str, float]:
    url = f"http://{stack.settings.host}:{stack.settings.stream_metrics_port}/metrics"
    with closing(urllib.request.urlopen(url, timeout=5)) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_an_event_becomes_rows_and_a_stored_event(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    given = history(300)
    log.send(given)
    start_stack(settings, "stream")
    log.expect(given)
    states = States()
    for each in given:
        states.apply(each)
    for user, state in states.users.items():
        (row,) = log.rows("user_features", [user])
        assert row == log.as_stored("user_features", state.row(), state.last_us)
        (seen,) = log.rows("user_seen", [user])
        assert seen.features == state.seen_row()
    for item, item_state in states.items.items():
        (row,) = log.rows("item_features", [item])
        assert row.features == pytest.approx(item_state.row(), rel=1e-6)
    assert list(log.store.scan()) == given


def test_bad_late_and_repeated_messages_stop_nothing(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    old = event(1, timestamp=START - timedelta(days=3))
    broken = b'{"user_id": "u1", "item'
    wrong = b'{"user_id":"u1","item_id":"i1","event_type":"stare"}'
    future = event(2, timestamp=datetime.now(UTC) + timedelta(hours=1))
    log.send([event(10), event(11), event(10)])
    log.send_raw([(settings.topic_events, "u1", broken), (settings.topic_events, "u1", wrong)])
    log.send([future, old, event(12)])
    log.send_raw([(settings.topic_catalog, "i1", b"[1]"), (settings.topic_catalog, "i1", None)])
    stack = start_stack(settings, "stream")
    log.expect([event(10), event(11), event(12)])
    dead = log.dead_letters(6)
    by_reason = sorted((headers["reason"], headers["topic"], value) for value, headers in dead)
    assert by_reason == [
        ("future", settings.topic_events, future.encode()),
        ("json", settings.topic_catalog, None),
        ("json", settings.topic_events, broken),
        ("late", settings.topic_events, old.encode()),
        ("schema", settings.topic_catalog, b"[1]"),
        ("schema", settings.topic_events, wrong),
    ]
    details = {headers["reason"]: headers for _, headers in dead if headers["topic"] == settings.topic_events}
    assert "event_type" in details["schema"]["detail"]
    assert details["schema"]["offset"].isdecimal()
    found = metrics(stack)
    assert found['freshet_stream_events_total{result="new"}'] == 3
    assert found['freshet_stream_events_total{result="duplicate"}'] == 1
    assert found['freshet_stream_events_total{result="late"}'] == 1
    assert found['freshet_stream_dead_letters_total{reason="schema"}'] == 2
    assert found['freshet_stream_freshness_seconds_count{view="user_features"}'] >= 1
    assert found['freshet_stream_event_freshness_seconds_count{view="item_features"}'] >= 1
    assert found["freshet_stream_rows_total"] >= 3
    read = [f'{{partition="{p}",topic="{settings.topic_events}"}}' for p in range(settings.topic_partitions)]
    _eventually(lambda: [metrics(stack).get(f"freshet_stream_lag_messages{labels}") for labels in read], [0.0] * 4)


def test_repeats_count_once_in_another_partition_and_after_a_restart(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    given = history(200)
    stack = start_stack(settings, "stream")
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for number, each in enumerate(given + given):  # as after the number of partitions was changed
        producer.produce(settings.topic_events, each.encode(), each.user_id.encode(), number % 3)
    assert producer.flush(20) == 0
    log.expect(given)
    assert metrics(stack)['freshet_stream_events_total{result="duplicate"}'] == 200
    stack.kill("stream")
    stack.restart("stream")
    log.send(given)
    duplicates = 'freshet_stream_events_total{result="duplicate"}'
    _eventually(lambda: metrics(stack)[duplicates] >= 200, True)  # stored before the kill, read again, sent again
    log.expect(given)


def test_a_user_who_wishes_it_is_forgotten(settings: Settings, log: Any, start_stack: Callable[..., Any]) -> None:
    given = [event(n, user) for n, user in enumerate(("ann", "bob") * 20)]
    people = [UserProfile(user_id=user, segments=("s",)) for user in ("ann", "bob")]
    receipts = Erasures(settings.database_url)
    wish = receipts.request("ann")
    start_stack(settings, "stream")
    log.send([*people, *given])
    log.expect(given)
    _eventually(lambda: log.rows("user_profile", ["ann"]) == [None], False)  # a topic of its own
    header = [KIND_HEADER]
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "partitioner": "murmur2_random"})
    producer.produce(settings.topic_profiles, None, b"ann")
    producer.produce(settings.topic_events, wish.encode(), b"ann", headers=header)
    assert producer.flush(20) == 0
    log.send([event(90, "ann", timestamp=datetime.now(UTC) + timedelta(seconds=2))])
    _eventually(lambda: log.counts("user_features", ["ann", "bob"]), [1, 20])
    _eventually(lambda: log.rows("user_profile", ["ann"]), [None])
    _eventually(lambda: [user.user_id for user in MetadataStore(settings.database_url).users()], ["bob"])
    _eventually(lambda: [e.event_id for e in log.store.scan(user_id="ann")], ["e00090"])
    _eventually(lambda: [store.store for store in receipts.receipt(wish.erasure_id).stores if store.at], [DATAFLOW])
    assert log.rows("user_seen", ["ann"])[0].features["seen_items"] == ["i1"]
    assert log.store.count() == 21


def test_catalogue_and_profiles_reach_postgres_and_redis(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    film = Item.model_validate({"item_id": "i1", "title": "Brazil", "categories": ["Drama"], "price": 3})
    person = UserProfile(user_id="u1", segments=("gender:F",))
    log.send([film.model_copy(update={"title": "Brasil"}), film, person])
    before_us = time.time_ns() // 1_000
    start_stack(settings, "stream")
    metadata = MetadataStore(settings.database_url)
    _eventually(lambda: (metadata.items(), metadata.users()), ([film], [person]))
    _eventually(lambda: [row and row.features for row in log.rows("item_catalog", ["i1"])], [film.row()])
    _eventually(lambda: [row and row.features for row in log.rows("user_profile", ["u1"])], [person.row()])
    (row,) = log.rows("item_catalog", ["i1"])
    assert before_us - 60_000_000 < row.time_us < before_us, "the row is as of the moment it entered the log"


def test_kills_leave_counts_exact(settings: Settings, log: Any, start_stack: Callable[..., Any]) -> None:
    # a snapshot each second, so that a restart goes on from states in the middle
    settings = load_settings(**_values(settings) | {"snapshot_interval_s": 1.0})
    given = history(3_000)
    stack = start_stack(settings, "stream")
    for first in range(0, 3_000, 100):
        log.send(given[first : first + 100])
        time.sleep(0.08)
        if first in (1_000, 2_000):
            stack.kill("stream")
            stack.restart("stream")
    log.expect(given)
    assert list(log.store.scan()) == given


def test_two_workers_share_the_work(settings: Settings, log: Any) -> None:
    given = history(2_000)
    log.send(given)
    settings = settings.with_ports(stream_metrics_port=0)
    recovery = recovery_folder(settings)
    recovery.mkdir(parents=True)
    run = [sys.executable, "-m", "bytewax.run", "flows.stream:flow", "-r", str(recovery), "-s", "1", "-b", "0"]
    environment = {"PATH": "/usr/bin:/bin", **settings.environment()}
    subprocess.run([sys.executable, "-m", "bytewax.recovery", str(recovery), "2"], check=True)
    with subprocess.Popen([*run, "-w", "2"], env=environment) as workers:
        try:
            log.expect(given)
        finally:
            workers.kill()


def test_outages_and_a_lost_log_lose_nothing(
    home: Settings, make_log: Callable[[Settings], Any], start_stack: Callable[..., Any]
) -> None:
    stack = start_stack(home, "kafka", "redis", "postgres", "stream")
    log = make_log(stack.settings)
    film = Item.model_validate({"item_id": "i1", "title": "Brazil"})
    given = [event(n, f"u{n % 3}", f"i{n % 5}") for n in range(30)]
    log.send(given[:10])
    log.expect(given[:10])

    stack.kill("redis")
    log.send(given[10:20])
    time.sleep(1)
    stack.restart("redis")
    log.expect(given[:20])

    stack.kill("postgres")
    log.send([film])
    log.send(given[20:25])
    time.sleep(1)
    stack.restart("postgres")
    metadata = MetadataStore(stack.settings.database_url)
    _eventually(metadata.items, [film])
    log.expect(given[:25])
    assert metrics(stack)['freshet_stream_sink_retries_total{sink="redis"}'] >= 1
    assert metrics(stack)['freshet_stream_sink_retries_total{sink="items"}'] >= 1
    assert "cannot write, will try again" in stack.process("stream").log.read_text()

    stack.restart("kafka")
    log.send(given[25:])
    log.expect(given)


def test_the_dataflow_imports_neither_feast_nor_torch_nor_prefect() -> None:
    heavy = "[name for name in ('feast', 'torch', 'prefect', 'mlflow', 'bentoml', 'pandas') if name in sys.modules]"
    code = f"import sys, json; import flows.stream, flows.replay; print(json.dumps({heavy}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(found.stdout) == []


def _values(settings: Settings) -> dict[str, Any]:
    return {
        str(info.validation_alias or field): getattr(settings, field) for field, info in Settings.model_fields.items()
    }


def _eventually(read: Callable[[], Any], wanted: Any, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if read() == wanted:
                break
        except Exception:  # a server on its way up
            time.sleep(0.1)
        time.sleep(0.05)
    assert read() == wanted
