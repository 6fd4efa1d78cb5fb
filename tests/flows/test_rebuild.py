"""A dataflow that lost its states, and an online store that lost its rows: one start brings back every bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import redis

from feature_repo.events import Event, Item, UserProfile
from feature_repo.online import ViewCodec
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES, USER_SEEN
from feature_repo.state import States
from infra.servers import recovery_folder
from infra.settings import Settings

START = datetime.now(UTC) - timedelta(days=9)
"""Far more than the allowed lateness ago."""


def history(count: int, since: int = 0) -> list[Event]:
    random = Random(since)
    return [
        Event.model_validate(
            {
                "user_id": f"u{random.randrange(40)}",
                "item_id": f"i{random.randrange(60)}",
                "event_type": random.choice(("view", "click", "rate")),
                "value": random.choice((None, 0.1, 3)),
                "timestamp": START + timedelta(seconds=(since + n) * 300),
                "event_id": f"e{since + n}",
            }
        )
        for n in range(count)
    ]


def rows(client: redis.Redis) -> dict[bytes, dict[bytes, bytes]]:
    """Every row of Redis; the change feed, which holds the times of writing, left out."""
    return {key: client.hgetall(key) for key in client.scan_iter(_type="hash")}  # type: ignore[misc]


def different(
    found: dict[bytes, dict[bytes, bytes]], wanted: dict[bytes, dict[bytes, bytes]]
) -> list[tuple[bytes, bytes, bytes | None, bytes | None]]:
    """Key, field and both values wherever two sets of rows differ."""
    return [
        (key, field, found.get(key, {}).get(field), wanted.get(key, {}).get(field))
        for key in found.keys() | wanted.keys()
        for field in found.get(key, {}).keys() | wanted.get(key, {}).keys()
        if found.get(key, {}).get(field) != wanted.get(key, {}).get(field)
    ]


def recount(events: Sequence[Event]) -> dict[bytes, dict[bytes, bytes]]:
    states, found = States(), {}
    for event in events:
        states.apply(event)
    users, seen, items = (ViewCodec(view) for view in (USER_FEATURES, USER_SEEN, ITEM_FEATURES))
    for user_id, user in states.users.items():
        found[users.key(user_id)] = users.encode(user.row(), user.last_us) | seen.encode(user.seen_row(), user.last_us)
    for item_id, item in states.items.items():
        found[items.key(item_id)] = items.encode(item.row(), item.last_us)
    return found


def test_one_start_rebuilds_every_row_to_the_bit(
    home: Settings, make_log: Callable[[Settings], Any], start_stack: Callable[..., Any]
) -> None:
    stack = start_stack(home, "kafka", "redis", "postgres", "stream")
    log, client = make_log(stack.settings), redis.Redis.from_url(stack.settings.redis_url)
    before, meanwhile = history(2_000), history(300, since=2_000)
    mixed = Random(1).sample(before[-200:], 200)  # out of order, within the allowed lateness
    log.send([Item(item_id="i1", title="Brazil"), UserProfile(user_id="u1", segments=("a",))])
    log.send([*before[:-200], *mixed, *before[-50:]])
    log.expect(before)
    # Entries come by topics of their own, and may arrive after the events' counts.
    log.wait_for(lambda: None in [*log.rows("item_catalog", ["i1"]), *log.rows("user_profile", ["u1"])], False)
    shown = rows(client)
    assert {key: {f: row[f] for f in recount(before)[key]} for key, row in shown.items()} == recount(before)

    def lose_everything() -> None:
        stack.kill("stream")
        shutil.rmtree(recovery_folder(stack.settings))
        client.flushall()

    lose_everything()
    stack.restart("stream")
    log.expect(before)
    log.wait_for(lambda: different(rows(client), shown), [])

    lose_everything()
    log.send(meanwhile)
    stack.restart("stream")
    log.expect([*before, *meanwhile])
    wanted = recount([*before, *meanwhile])
    assert {key: {f: row[f] for f in wanted[key]} for key, row in rows(client).items()} == wanted

    shown = rows(client)
    stack.restart("kafka")
    log.expect([*before, *meanwhile])
    client.flushall()
    stack.restart("kafka")
    log.expect([*before, *meanwhile])
    log.wait_for(lambda: different(rows(client), shown), [])
    assert list(log.store.scan()) == [*before, *meanwhile]
