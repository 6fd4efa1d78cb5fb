"""Stored messages and dead letters put back into the log, on a real broker."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from feature_repo.events import Event, Item, UserProfile
from flows import dead_letters
from flows.log_source import Source
from flows.log_writer import LogError, Outgoing, publish
from flows.messages import DeadLetter
from flows.metadata import MetadataStore
from flows.replay import main
from flows.sinks import dead_letters as dead_letter_sink
from flows.stream_metrics import StreamMetrics
from infra.settings import Settings

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)


def event(number: int, user: str = "u1", **fields: object) -> Event:
    values = {"user_id": user, "item_id": f"i{number}", "event_type": "click", "event_id": f"e{number:05d}"}
    return Event.model_validate(values | {"timestamp": START + timedelta(seconds=number)} | fields)


def read_all(settings: Settings, topic: str) -> list[Any]:
    """Everything that lies in a topic."""
    servers = settings.kafka_bootstrap_servers
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "test", "fetch.wait.max.ms": 20, "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(settings.topic_partitions)])
    found: list[Any] = []
    unfinished = set(range(settings.topic_partitions))
    while unfinished:
        for message in consumer.consume(1_000, 0.05):
            if message.error() is None:
                found.append(message)
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF
                unfinished.discard(message.partition())
    consumer.close()
    return found


@pytest.fixture
def stored(settings: Settings, log: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two users' events, a catalogue and profiles where they rest; the command line reads these settings."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    log.store.append([event(n, f"u{n % 2}") for n in range(20)])
    metadata = MetadataStore(settings.database_url)
    metadata.upsert_items([Item(item_id="i1", title="Brazil")])
    metadata.upsert_users([UserProfile(user_id="u0", segments=("a",)), UserProfile(user_id="u1")])
    metadata.close()
    return settings


def replayed(settings: Settings) -> tuple[list[str], int, int]:
    """Ids of the events in the log, in order of time, and the numbers of items and profiles."""
    events = [Event.model_validate_json(message.value()) for message in read_all(settings, settings.topic_events)]
    others = (len(read_all(settings, topic)) for topic in (settings.topic_catalog, settings.topic_profiles))
    return [e.event_id for e in sorted(events, key=lambda e: e.time_us)], *others  # type: ignore[return-value]


def test_everything_is_replayed_marked_as_stored_and_in_each_users_order(
    stored: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert replayed(stored) == ([f"e{n:05d}" for n in range(20)], 1, 2)
    by_user: dict[bytes, list[int]] = {}
    for message in read_all(stored, stored.topic_events):
        assert message.headers() == [("stored", b"1")]
        by_user.setdefault(message.key(), []).append(Event.model_validate_json(message.value()).time_us)
    assert all(times == sorted(times) for times in by_user.values()) and set(by_user) == {b"u0", b"u1"}
    assert "replayed 23 messages in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "numbers", "items", "profiles"),
    [
        (["--since", (START + timedelta(seconds=15)).isoformat()], range(15, 20), 0, 0),
        (["--until", str(START.timestamp() + 4)], range(4), 0, 0),
        (["--user", "u1"], range(1, 20, 2), 0, 1),
        (
            ["--user", "u0", "--since", f"{START:%Y-%m-%dT%H:%M:%S}", "--until", str(START.timestamp() + 6)],
            (0, 2, 4),
            0,
            0,
        ),
        (["--user", "nobody"], (), 0, 0),
    ],
)
def test_a_slice_is_replayed_alone(
    stored: Settings, arguments: list[str], numbers: Sequence[int], items: int, profiles: int
) -> None:
    assert main(arguments) == 0
    assert replayed(stored) == ([f"e{n:05d}" for n in numbers], items, profiles)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since: 'yesterday' is no time; give ISO 8601"),
        (["--until", "-1e99"], "--until"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], "--since must be before --until"),
        (["--dead", "--user", "u1"], "--dead takes no --since, --until or --user"),
        (["--reason", "schema"], "--reason goes with --dead only"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_log_that_is_away_is_named(stored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.log_writer.TIMEOUT_S", 1.0)
    away = stored.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(LogError, match=r"KAFKA_BOOTSTRAP_SERVERS=127\.0\.0\.1:1: "):
        publish(away, [Outgoing(stored.topic_events, b"u1", b"{}")])


# Dead letters


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
    settings: Settings, die: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    die("schema", *(b"%d" % n for n in range(50)))
    die("json", b"\xff\x00", topic=settings.topic_catalog)
    assert main(["--dead"]) == 0
    back = read_all(settings, settings.topic_events)
    assert sorted((m.key(), m.value()) for m in back) == sorted((b"key-%d" % n, b"%d" % n) for n in range(50))
    assert {m.value(): dict(m.headers()) for m in back}[b"7"] == {"origin": f"{settings.topic_events}-0-7".encode()}
    assert values(read_all(settings, settings.topic_catalog)) == [b"\xff\x00"]
    told = capsys.readouterr().out
    assert all(word in told for word in ("json", "schema", "50", "replayed 51 dead letters in"))
    assert main(["--dead"]) == 0
    assert len(read_all(settings, settings.topic_events)) == 50
    die("schema", b"later")
    assert dead_letters.resend(settings).sent == Counter(schema=1)
    assert len(read_all(settings, settings.topic_events)) == 51


def test_letters_of_other_reasons_stay_for_later(settings: Settings, die: Callable[..., None]) -> None:
    die("schema", b"s1", b"s2")
    die("late", b"l1", b"l2", b"l3")
    assert dead_letters.resend(settings, "schema") == (Counter(schema=2), Counter(late=3))
    assert dead_letters.resend(settings, "schema") == (Counter(), Counter(late=3))
    assert values(read_all(settings, settings.topic_events)) == [b"s1", b"s2"]
    assert dead_letters.resend(settings) == (Counter(late=3), Counter())
    back = read_all(settings, settings.topic_events)
    assert values(back) == [b"l1", b"l2", b"l3", b"s1", b"s2"]
    assert {m.value(): dict(m.headers()) for m in back}[b"l2"] == {"origin": f"{settings.topic_events}-0-3".encode()}


def test_a_letter_of_no_known_topic_is_kept(settings: Settings, die: Callable[..., None]) -> None:
    die("schema", b"lost", topic="elsewhere")
    assert dead_letters.resend(settings) == (Counter(), Counter(schema=1))
    assert values(read_all(settings, settings.topic_dead))[-1] == b"lost"


def test_a_run_that_is_killed_loses_nothing(settings: Settings, die: Callable[..., None]) -> None:
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
    assert {message.value() for message in read_all(settings, settings.topic_events)} == set(letters)
