"""Dead letters sent again: a queue from which nothing is lost, and out of which each counts once."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from feature_repo.events import MAX_CLOCK_SKEW_S, Event
from flows import dead_letters
from flows.log_writer import Outgoing, publish
from flows.messages import DeadLetter, Source
from flows.replay import main
from flows.sinks import dead_letters as dead_letter_sink
from flows.stream_metrics import StreamMetrics
from infra.settings import Settings


@pytest.fixture
def die(settings: Settings) -> Callable[..., None]:
    """``die("reason", b"value")`` puts dead letters where the dataflow puts them."""
    sink = dead_letter_sink(settings, StreamMetrics()).build("", 0, 1)
    offsets = itertools.count()

    def die(reason: str, *values: bytes, topic: str = settings.topic_events) -> None:
        sources = [Source(topic, 0, next(offsets), b"key-" + value, value, [], -1) for value in values]
        sink.write_batch([DeadLetter(source, reason, "why") for source in sources])

    return die


def values(messages: Sequence[Any]) -> list[bytes]:
    """Values of messages, without the markers of runs."""
    return sorted(message.value() for message in messages if not any(name == "marker" for name, _ in message.headers()))


def test_letters_go_back_to_their_topics_with_their_bytes_once(
    settings: Settings,
    log: Any,
    die: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    die("schema", *(b"%d" % n for n in range(50)))
    die("json", b"\xff\x00", topic=settings.topic_catalog)
    assert main(["--dead"]) == 0
    back = log.messages(settings.topic_events)
    assert sorted((m.key(), m.value()) for m in back) == sorted((b"key-%d" % n, b"%d" % n) for n in range(50))
    assert {m.value(): dict(m.headers()) for m in back}[b"7"] == {"origin": f"{settings.topic_events}-0-7".encode()}
    assert values(log.messages(settings.topic_catalog)) == [b"\xff\x00"]
    told = capsys.readouterr().out
    assert all(word in told for word in ("json", "schema", "50", "replayed 51 dead letters in"))
    assert main(["--dead"]) == 0
    assert len(log.messages(settings.topic_events)) == 50
    die("schema", b"later")
    assert dead_letters.resend(settings).sent == Counter(schema=1)
    assert len(log.messages(settings.topic_events)) == 51


def test_letters_of_other_reasons_stay_for_later(settings: Settings, log: Any, die: Callable[..., None]) -> None:
    die("schema", b"s1", b"s2")
    die("late", b"l1", b"l2", b"l3")
    assert dead_letters.resend(settings, "schema") == (Counter(schema=2), Counter(late=3))
    assert dead_letters.resend(settings, "schema") == (Counter(), Counter(late=3))
    assert values(log.messages(settings.topic_events)) == [b"s1", b"s2"]
    assert dead_letters.resend(settings) == (Counter(late=3), Counter())
    back = log.messages(settings.topic_events)
    assert values(back) == [b"l1", b"l2", b"l3", b"s1", b"s2"]
    assert {m.value(): dict(m.headers()) for m in back}[b"l2"] == {"origin": f"{settings.topic_events}-0-3".encode()}


def test_a_letter_of_no_known_topic_is_kept(settings: Settings, log: Any, die: Callable[..., None]) -> None:
    die("schema", b"lost", topic="elsewhere")
    assert dead_letters.resend(settings) == (Counter(), Counter(schema=1))
    assert values(log.messages(settings.topic_dead))[-1] == b"lost"


def test_a_run_that_is_killed_loses_nothing(settings: Settings, log: Any, die: Callable[..., None]) -> None:
    letters = [b"%d" % n for n in range(30_000)]
    die("schema", *letters)
    servers = settings.kafka_bootstrap_servers
    watcher = Consumer({"bootstrap.servers": servers, "group.id": "test", "fetch.wait.max.ms": 20})
    watcher.assign([TopicPartition(settings.topic_events, p, 0) for p in range(settings.topic_partitions)])
    environment = {"PATH": "/usr/bin:/bin", **settings.environment()}
    with subprocess.Popen([sys.executable, "-m", "flows.replay", "--dead"], env=environment) as run:
        assert watcher.poll(30) is not None
        run.kill()
    watcher.close()
    sent = dead_letters.resend(settings).sent["schema"]
    assert sent == len(letters)
    assert {message.value() for message in log.messages(settings.topic_events)} == set(letters)


def test_what_was_wrong_for_a_reason_that_has_passed_counts_once(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    def act(number: int, ahead_s: float) -> Event:
        values = {"user_id": "u1", "item_id": "i1", "event_type": "click", "event_id": f"e{number}"}
        return Event.model_validate(values | {"timestamp": datetime.now(UTC) + timedelta(seconds=ahead_s)})

    start_stack(settings, "stream")
    early, far = act(1, MAX_CLOCK_SKEW_S + 2), act(2, 2 * MAX_CLOCK_SKEW_S)
    log.send([early, act(3, 0), early, far])
    log.send_raw([(settings.topic_events, "u1", b"{")])
    log.wait_for(lambda: sorted(map(reason_of, log.messages(settings.topic_dead))), ["future"] * 3 + ["json"])
    time.sleep(max(0.0, early.time_us / 1e6 - MAX_CLOCK_SKEW_S - time.time()))
    assert dead_letters.resend(settings).sent == Counter(future=3, json=1)
    log.wait_for(lambda: log.counts("user_features", ["u1"]), [2])
    log.wait_for(lambda: [e.event_id for e in log.store.scan()], ["e3", "e1"])
    # What is still bad came back, once; and so it does each time.
    for _ in range(2):
        assert dead_letters.resend(settings).sent == Counter(future=1, json=1)
        time.sleep(1)
    assert log.counts("user_features", ["u1"]) == log.counts("item_features", ["i1"]) == [2]


def test_an_event_without_an_id_counts_once_however_often_it_is_sent_again(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    start_stack(settings, "stream")
    ahead = datetime.now(UTC) + timedelta(seconds=MAX_CLOCK_SKEW_S + 5)  # so long it may take to be read
    value = f'{{"user_id":"u1","item_id":"i1","event_type":"view","timestamp":"{ahead.isoformat()}"}}'.encode()
    publish(settings, [Outgoing(settings.topic_events, b"u1", value, [("trace", b"abc")])])
    log.wait_for(lambda: len(log.messages(settings.topic_dead)), 1)
    (letter,) = log.messages(settings.topic_dead)
    again = Outgoing(settings.topic_dead, letter.key(), letter.value(), letter.headers())
    publish(settings, [again, again])  # what a dataflow or a run that is killed leaves behind
    time.sleep(max(0.0, ahead.timestamp() - MAX_CLOCK_SKEW_S - time.time()))
    assert dead_letters.resend(settings).sent == Counter(future=3)
    log.wait_for(lambda: log.counts("user_features", ["u1"]), [1])
    back = log.messages(settings.topic_events)[1:]
    assert [dict(message.headers())["trace"] for message in back] == [b"abc"] * 3


def reason_of(letter: Any) -> str:
    return dict(letter.headers())["reason"].decode()
