"""A shop in Redis and the recommender over HTTP, for the recommender's tests.

``bundle_dir``   a real bundle of the sample shop, trained once a session.
``second_dir``   another one of the same shop.
``shop``         the sample shop's rows in the test's Redis, as the stream writes them.
``steady_api``   one such application for the whole session, for requests that are refused.
``impressions``  ``impressions(settings, count)``: the first messages of topic impressions.
``serve``        ``serve(settings)`` runs the real application in this process behind a real HTTP server.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import uvicorn
from confluent_kafka import Consumer

from feature_repo.events import Event, Item, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import VIEWS
from feature_repo.state import ItemState, UserState
from infra.settings import Settings


class Shop:
    """Applies events and writes the rows that the stream would write."""

    def __init__(self, redis_url: str) -> None:
        self.client = redis.Redis.from_url(redis_url)
        self.store = OnlineStore(self.client, VIEWS)
        self.users: dict[str, UserState] = {}
        self.items: dict[str, ItemState] = {}

    def act(self, events: Sequence[Event]) -> None:
        """Take events in."""
        for event in events:
            self.users.setdefault(event.user_id, UserState()).apply(event)
            self.items.setdefault(event.item_id, ItemState()).apply(event)
        users = {event.user_id: self.users[event.user_id] for event in events}
        items = {event.item_id: self.items[event.item_id] for event in events}
        self.store.write(
            {
                "user_features": {name: (state.row(), state.last_us) for name, state in users.items()},
                "user_seen": {name: (state.seen_row(), state.last_us) for name, state in users.items()},
                "item_features": {name: (state.row(), state.last_us) for name, state in items.items()},
            }
        )

    def click(self, user_id: str, *item_ids: str) -> list[Event]:
        """Clicks of now, in this order."""
        start = time.time() - len(item_ids)
        events = [
            Event.model_validate(
                {"user_id": user_id, "item_id": item_id, "event_type": "click", "timestamp": start + n}
            )
            for n, item_id in enumerate(item_ids)
        ]
        self.act(events)
        return events

    def put_items(self, items: Sequence[Item]) -> None:
        """What PUT /items/{id} ends in."""
        now_us = time.time_ns() // 1_000
        self.store.write({"item_catalog": {item.item_id: (item.row(), now_us) for item in items}})

    def put_users(self, users: Sequence[UserProfile]) -> None:
        """What PUT /users/{id} ends in."""
        now_us = time.time_ns() // 1_000
        self.store.write({"user_profile": {user.user_id: (user.row(), now_us) for user in users}})


def _stocked(redis_url: str) -> Shop:
    """The sample shop, its events moved so that the last one is now."""
    from sample_shop import sample_events, sample_items, sample_users

    shop = Shop(redis_url)
    events = sample_events()
    shift = datetime.now(UTC) - events[-1].timestamp
    shop.act([event.model_copy(update={"timestamp": event.timestamp + shift}) for event in events])
    shop.put_items(sample_items())
    shop.put_users(sample_users())
    return shop


@pytest.fixture(scope="session")
def bundle_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle of the sample shop."""
    from sample_shop import sample_bundle

    return sample_bundle().save(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def second_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another bundle of the same shop."""
    from sample_shop import sample_bundle

    return sample_bundle(seed=1).save(tmp_path_factory.mktemp("second"))


@pytest.fixture
def stocked() -> Callable[[str], Shop]:
    """``stocked(redis_url)``: the sample shop in another Redis."""
    return _stocked


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As everywhere, but lists are not left to chance: no place is given to new items."""
    return settings.model_copy(update={"explore_share": 0.0})


@pytest.fixture
def shop(settings: Settings) -> Shop:
    """The sample shop in the test's own Redis."""
    return _stocked(settings.redis_url)


@contextmanager
def served(settings: Settings) -> Iterator[Any]:
    """An httpx.Client of the running application; ``client.runtime`` is what it answers with."""
    from bento.access.connection import bounded
    from bento.recommender.app import bind, create_app
    from bento.recommender.door import observed
    from bento.recommender.runtime import Runtime

    runtime, app = Runtime(settings), create_app()
    runtime.start()
    bind(app, runtime)
    config = uvicorn.Config(observed(app), port=0, http=bounded(settings), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)

    async def main() -> None:
        await server.serve()
        await runtime.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            client.runtime = runtime  # type: ignore[attr-defined]
            yield client
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[[Settings], Any]]:
    """Runs the application with given settings until the test ends."""
    with ExitStack() as running:
        yield lambda settings: running.enter_context(served(settings))


@pytest.fixture
def api(settings: Settings, shop: Shop, bundle_dir: Path, serve: Callable[[Settings], Any]) -> Any:
    """The usual case: the sample shop, its bundle, everything up."""
    return serve(settings.model_copy(update={"bundle_dir": bundle_dir, "item_refresh_s": 0.1}))


@pytest.fixture(scope="session")
def steady_api(servers: Any, bundle_dir: Path) -> Iterator[Any]:
    """One application for all tests that only look at how requests are refused; other tests empty its Redis."""
    _stocked(servers.settings.redis_url)
    with served(servers.settings.model_copy(update={"bundle_dir": bundle_dir})) as client:
        yield client


@pytest.fixture
def impressions() -> Callable[[Settings, int], list[Any]]:
    """``impressions(settings, count)``: the first messages of topic impressions, fewer if no more come."""
    return _impressions


def _impressions(settings: Settings, count: int) -> list[Any]:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
        }
    )
    consumer.subscribe([settings.topic_impressions])
    found: list[Any] = []
    until = time.monotonic() + 30
    while len(found) < count and time.monotonic() < until:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message)
    consumer.close()
    return found


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """``eventually(check, within_s)``: the first true answer of a check; fails when there is none in time."""

    def wait(check: Callable[[], Any], within_s: float) -> Any:
        until = time.monotonic() + within_s
        while not (answer := check()):
            assert time.monotonic() < until, f"not within {within_s} s"
            time.sleep(0.01)
        return answer

    return wait
