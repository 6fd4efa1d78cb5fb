"""Real servers for tests, started when the first test asks for them: one set for the whole session.

``settings``      the usual one: real Kafka, Redis and PostgreSQL; topics, database and folders of this test alone,
                  Redis emptied.
``redis_client``  a client of that Redis.
``read_definitions``  lets Feast's definitions be imported anew with a test's settings.
``home``          settings without any server, in a folder of this test alone.
``mongo_url``     a running MongoDB, with a database of this test alone.
``start_stack``   starts more parts (services, the dataflow) against ``settings`` and stops them after the test.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lanes import Lanes, in_order
from mongo_server import MongoServer

from infra.settings import PREFIX, Settings, any_ports, load_settings

SERVERS = ("kafka", "redis", "postgres")


def pytest_configure() -> None:
    """The shell's settings (a sourced .local/env, say) are not the tests'."""
    import prometheus_client  # noqa: F401  before BentoML's import asks it for files shared between processes

    for name in list(os.environ):
        if name in Settings.variables() or name.startswith((PREFIX, "FEAST_")):
            del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers begin with what takes longest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share a system share a worker."""
    config.option.loadscopereorder = False
    return Lanes(config, log)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The Stack with Kafka, Redis and PostgreSQL of the session; its ``settings`` have the real URLs."""
    from infra.local import Stack

    with Stack(load_settings(home=tmp_path_factory.mktemp("servers"), **any_ports()), SERVERS) as stack:
        yield stack


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Settings of a stack that does not run: all ports 0, all state below this test's own folder."""
    return load_settings(home=tmp_path / "home", **any_ports())


@pytest.fixture
def settings(servers: Any, tmp_path: Path) -> Iterator[Settings]:
    """Settings with running servers, and with topics, database and folders that no other test uses."""
    import psycopg
    import redis

    from infra.topics import ensure_topics

    own = uuid.uuid4().hex[:8]
    running: Settings = servers.settings
    topics = {
        field: f"{getattr(running, field)}-{own}"
        for field in Settings.model_fields
        if field.startswith("topic_") and field != "topic_partitions"
    }
    database = f"test_{own}"
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
    with redis.Redis.from_url(running.redis_url) as client:
        client.flushall()
    fresh = load_settings(
        home=tmp_path / "home",
        kafka_bootstrap_servers=running.kafka_bootstrap_servers,
        redis_url=running.redis_url,
        database_url=running.database_url.rsplit("/", 1)[0] + f"/{database}",
        **any_ports(),
        **topics,
    )
    ensure_topics(fresh)
    yield fresh
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture
def redis_client(settings: Settings) -> Iterator[Any]:
    """redis-py's client of the emptied test Redis; answers are bytes."""
    import redis

    with redis.Redis.from_url(settings.redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def read_definitions() -> Callable[[Settings, pytest.MonkeyPatch], None]:
    """Let the definitions, which read the settings once a process when they are imported, be imported with these."""

    import feature_repo

    def read(settings: Settings, patch: pytest.MonkeyPatch) -> None:
        for name, value in settings.environment().items():
            patch.setenv(name, value)
        for name in ("sources", "user_features", "item_features", "services", "definitions"):
            patch.delitem(sys.modules, f"feature_repo.{name}", raising=False)
            patch.delattr(feature_repo, name, raising=False)

    return read


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """The MongoDB of the session."""
    with MongoServer(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture
def mongo_url(mongo_server: MongoServer) -> str:
    """MongoDB's connection string, with a database that no other test uses."""
    return mongo_server.url(f"test_{uuid.uuid4().hex[:8]}")


@pytest.fixture
def start_stack() -> Iterator[Callable[..., Any]]:
    """``start_stack(settings, "ingest", "stream")`` starts these parts and stops them after the test."""
    from infra.local import Stack

    started: list[Any] = []

    def start(settings: Settings, *parts: str) -> Any:
        stack = Stack(settings, parts)
        stack.start()
        started.append(stack)
        return stack

    yield start
    for stack in reversed(started):
        stack.stop()
