"""Stored messages put back into the log, on a real broker; and what a living dataflow makes of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_repo.events import Event, Item, UserProfile, to_us
from feature_repo.schema import SEGMENT_FAVOURITES
from flows.batch_views import restore_batch_views
from flows.log_writer import LogError, Outgoing, publish
from flows.metadata import MetadataStore
from flows.offline import write_view
from flows.replay import main
from infra.settings import Settings

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)


def event(number: int, user: str = "u1", **fields: object) -> Event:
    values = {"user_id": user, "item_id": f"i{number}", "event_type": "click", "event_id": f"e{number:05d}"}
    return Event.model_validate(values | {"timestamp": START + timedelta(seconds=number)} | fields)


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


def replayed(log: Any) -> tuple[list[str], int, int]:
    """Ids of the events in the log, in order of time, and the numbers of items and profiles."""
    settings = log.settings
    events = [Event.model_validate_json(message.value()) for message in log.messages(settings.topic_events)]
    others = (len(log.messages(topic)) for topic in (settings.topic_catalog, settings.topic_profiles))
    return [e.event_id for e in sorted(events, key=lambda e: e.time_us)], *others  # type: ignore[return-value]


def test_everything_is_replayed_marked_as_stored_and_in_each_users_order(
    stored: Settings, log: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert replayed(log) == ([f"e{n:05d}" for n in range(20)], 1, 2)
    by_user: dict[bytes, list[int]] = {}
    for message in log.messages(stored.topic_events):
        assert message.headers() == [("stored", b"1")]
        by_user.setdefault(message.key(), []).append(Event.model_validate_json(message.value()).time_us)
    assert all(times == sorted(times) for times in by_user.values()) and set(by_user) == {b"u0", b"u1"}
    assert "replayed 23 messages in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", (START + timedelta(seconds=15)).isoformat()], (range(15, 20), 0, 0)),
        (["--until", str(START.timestamp() + 4)], (range(4), 0, 0)),
        (["--user", "u1"], (range(1, 20, 2), 0, 1)),
        (
            ["--user", "u0", "--since", f"{START:%Y-%m-%dT%H:%M:%S}", "--until", str(START.timestamp() + 6)],
            ((0, 2, 4), 0, 0),
        ),
        (["--user", "nobody"], ((), 0, 0)),
    ],
)
def test_a_slice_is_replayed_alone(
    stored: Settings, log: Any, arguments: list[str], expected: tuple[Sequence[int], int, int]
) -> None:
    assert main(arguments) == 0
    numbers, *others = expected
    assert replayed(log) == ([f"e{n:05d}" for n in numbers], *others)


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


@pytest.fixture
def shop(settings: Settings, log: Any, start_stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A living dataflow that has counted a shop's events, repeated and in disorder, and its batch rows."""
    stack = start_stack(settings, "stream")
    for name, value in stack.settings.environment().items():
        monkeypatch.setenv(name, value)
    chance = random.Random(1)
    events = [
        event(n, f"u{chance.randrange(30)}", item_id=f"i{chance.randrange(50)}", value=chance.choice((None, 0.1 * n)))
        for n in range(1_500)
    ]
    told = [*events, *chance.sample(events, 100)]
    chance.shuffle(told)
    log.send([Item(item_id=f"i{n}", title=f"Item {n}", price=n) for n in range(40)])
    log.send([UserProfile(user_id=f"u{n}", segments=(f"s{n % 3}",)) for n in range(35)])
    log.send(told)
    log.expect(events)
    write_view(
        settings.offline_dir, SEGMENT_FAVOURITES, [("s1", 5_000_001, {"items": ["i1", "i2"], "scores": [0.7, 0.1]})]
    )
    restore_batch_views(settings)
    log.wait_for(lambda: len(log.hashes()), 35 + 50 + 1)
    return stack


def test_a_replay_repairs_redis_to_the_bit_while_the_dataflow_lives(shop: Any, log: Any) -> None:
    before, counted = log.hashes(), log.store.count()
    log.online._client.flushall()
    assert main([]) == 0
    log.wait_for(lambda: log.hashes() == before, True)
    assert {item for item, _ in log.online.changed_since("item_id", 0)} == {f"i{n}" for n in range(50)}
    assert main([]) == 0
    time.sleep(1)
    assert log.hashes() == before and log.store.count() == counted


def test_a_slice_repairs_its_rows_and_changes_no_other(shop: Any, log: Any) -> None:
    before = log.hashes()
    log.online._client.flushall()
    assert main(["--user", "u3"]) == 0
    touched = {"user_id": {"u3"}, "item_id": {e.item_id for e in log.store.scan(user_id="u3")}}
    keys = {
        codec.key(entity_id)
        for view, entity in (("user_features", "user_id"), ("item_features", "item_id"))
        for entity_id in touched[entity]
        for codec in (log.online.codecs[view],)
    }
    log.wait_for(lambda: set(log.hashes()), keys)
    found = log.hashes()
    user = log.online.codecs["user_features"].key("u3")
    assert found[user] == before[user]
    for key in keys:
        assert found[key].items() <= before[key].items()
    since = START + timedelta(seconds=1_400)
    assert main(["--since", since.isoformat()]) == 0
    recent = list(log.store.scan(since_us=to_us(since)))
    users, items = sorted({e.user_id for e in recent}), sorted({e.item_id for e in recent})
    assert 0 < len(items) < 50
    log.wait_for(lambda: None not in log.rows("user_features", users) + log.rows("item_features", items), True)
    for key, row in log.hashes().items():
        assert row.items() <= before[key].items()
