"""A cluster and a master behind sentinels: the same rows by our own code, by the recommender's reads, and by Feast."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import redis
import redis_servers

from bento.console.rows import OnlineRows, rows_of
from bento.recommender.breaker import Breaker
from bento.recommender.cluster_reader import ClusterReader, reader_for
from bento.recommender.connection import StoreAway
from bento.recommender.metrics import Metrics
from bento.recommender.reader import Reader
from feature_repo.erasures import Bounds
from feature_repo.events import Event
from feature_repo.online import EntityRequest, OnlineStore, ViewCodec
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES, USER_PROFILE, USER_SEEN
from feature_repo.state import States
from feature_repo.store import apply_definitions, open_store
from flows.remains import remove_remains
from infra.redis_url import connect
from infra.settings import Settings
from models.announce import Announcements, announce

VIEWS = (USER_FEATURES, USER_SEEN, ITEM_FEATURES)
IDS = [f"u{n}" for n in range(40)]
NOW_US = time.time_ns() // 1_000


def rows() -> dict[str, Any]:
    states = States()
    for n, user in enumerate(IDS):
        states.apply(Event(user_id=user, item_id=f"i{n % 7}", event_type="click", timestamp=NOW_US / 1e6, value=n))
    return {
        USER_FEATURES.name: {user: (state.row(), state.last_us) for user, state in states.users.items()},
        USER_SEEN.name: {user: (state.seen_row(), state.last_us) for user, state in states.users.items()},
        ITEM_FEATURES.name: {item: (state.row(), state.last_us) for item, state in states.items.items()},
    }


@pytest.fixture(scope="module", params=["cluster", "sentinel"])
def served(request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Servers that hold the rows, written by our own code."""
    folder = tmp_path_factory.mktemp(request.param)
    with getattr(redis_servers, request.param)(servers.settings, folder) as found:
        with connect(found.url) as client:
            assert OnlineStore(client, VIEWS).write(rows()) == 2 * len(IDS) + 7
        yield found


@pytest.fixture
def on(served: Any, home: Settings) -> Settings:
    return home.model_copy(update={"redis_url": served.url})


def asked(url: str, story: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        trial = user_request().command(user_request().key(""))
        reader = reader_for(url, 2.0, trial, Breaker("redis", Metrics()), lambda *_: None)
        try:
            await story(reader)
        finally:
            await reader.close()

    asyncio.run(main())


def user_request() -> EntityRequest:
    return EntityRequest([ViewCodec(USER_FEATURES), ViewCodec(USER_SEEN)])


def test_our_own_rows_are_on_all_nodes_and_read_back(on: Settings, served: Any) -> None:
    with connect(on.redis_url) as client:
        store, given = OnlineStore(client, VIEWS), rows()
        assert [row.features["mean_value"] for row in store.read(USER_FEATURES.name, IDS)] == [*map(float, range(40))]
        assert store.times_us(USER_SEEN.name, IDS) == [time_us for _, time_us in given[USER_SEEN.name].values()]
        assert store.read_entity("u3", [USER_SEEN.name])[USER_SEEN.name].features == given[USER_SEEN.name]["u3"][0]
        assert {user for user, _ in store.changed_since("user_id", 0)} == set(IDS)
        assert store.read(USER_FEATURES.name, ["nobody"]) == [None]
    if "cluster" in on.redis_url:
        sizes = [redis.Redis(port=port).dbsize() for port in served.ports]
        assert min(sizes) > 5, "every node has some"


def test_the_request_path_reads_them(on: Settings) -> None:
    request = user_request()

    async def story(reader: Reader | ClusterReader) -> None:
        read = [reader.read(request.key(user), request.command(request.key(user))) for user in IDS]
        found = [request.decode(raw)[USER_FEATURES.name] for raw in await asyncio.gather(*read)]
        assert [row.features["mean_value"] for row in found] == [*map(float, range(40))]
        assert reader.breaker.is_closed

    asked(on.redis_url, story)


def test_the_console_reads_them(on: Settings) -> None:
    async def main() -> None:
        reader = OnlineRows(on)
        found = await reader.read(rows_of(USER_FEATURES), IDS)
        assert [each.rows[USER_FEATURES.name].features["mean_value"] for each in found] == [*map(float, range(40))]
        assert all(each.written_s for each in found)
        assert set(await reader.some("user_id", 5)) <= set(IDS)
        await reader.close()

    asyncio.run(main())


def test_feast_reads_our_rows_and_we_read_feasts(
    on: Settings, monkeypatch: pytest.MonkeyPatch, read_definitions: Callable[..., None]
) -> None:
    read_definitions(on, monkeypatch)
    store = open_store(on)
    apply_definitions(store)
    answer = store.get_online_features([f"{USER_FEATURES.name}:mean_value"], [{"user_id": user} for user in IDS])
    assert answer.to_dict()["mean_value"] == [*map(float, range(40))]
    frame = pd.DataFrame({"user_id": ["new"], "segments": [["a", "b"]], "event_timestamp": [pd.Timestamp.now("UTC")]})
    store.push("user_profile_push", frame)
    with connect(on.redis_url) as client:
        (row,) = OnlineStore(client, [USER_PROFILE]).read(USER_PROFILE.name, ["new"])
    assert row.features["segments"] == ["a", "b"]


def test_announcements_are_heard(on: Settings) -> None:
    heard = Announcements(on)
    assert not heard.wait(0.3, threading.Event())
    assert announce(on)
    assert heard.wait(10, threading.Event())
    heard.close()


def test_remains_of_an_erased_user_go(on: Settings) -> None:
    with connect(on.redis_url) as client:
        store = OnlineStore(client, VIEWS)
        store.write({USER_FEATURES.name: {"gone": rows()[USER_FEATURES.name]["u1"]}})
        assert remove_remains(client, "gone", Bounds(NOW_US + 10**7, NOW_US + 10**7))
        assert not remove_remains(client, "gone", Bounds(NOW_US + 10**7, NOW_US + 10**7))
        assert store.read(USER_FEATURES.name, ["gone", "u1"])[0] is None
        assert "gone" not in {user for user, _ in store.changed_since("user_id", 0)}
        assert store.remove(USER_SEEN.name, ["u39"]) == 1
        store.write(rows())


def test_a_failover_is_followed(servers: Any, tmp_path: Path) -> None:
    request = user_request()
    command = request.command(request.key("u5"))
    with redis_servers.sentinel(servers.settings, tmp_path) as own, connect(own.url, socket_timeout=1) as client:
        store = OnlineStore(client, VIEWS)
        store.write(rows())
        client.wait(1, 5_000)

        async def story(reader: Any) -> None:
            before = await reader.read(b"", command)
            own.processes[0].kill()
            until = time.monotonic() + 30
            while True:
                try:
                    assert await reader.read(b"", command) == before
                    break
                except StoreAway:
                    assert time.monotonic() < until
                    await asyncio.sleep(0.05)

        asked(own.url, story)
        redis_servers.eventually(lambda: _written(store))
        assert redis.Redis(port=own.ports[1]).info("replication")["role"] == "master"


def _written(store: OnlineStore) -> bool:
    try:
        return bool(store.write(rows()))
    except redis.RedisError:
        return False


def test_a_cluster_that_is_away_holds_nobody_up(servers: Any, tmp_path: Path) -> None:
    url = "redis+cluster://127.0.0.1:1,127.0.0.1:2"
    client = connect(url, socket_connect_timeout=0.2)  # nothing is asked yet
    with pytest.raises(redis.ConnectionError):
        client.get("a")

    async def story(reader: Any) -> None:
        for _ in range(20):
            with pytest.raises(StoreAway):
                await reader.read(b"", user_request().command(b"x"))
        assert not reader.breaker.is_closed

    asked(url, story)
