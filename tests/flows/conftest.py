"""The log from outside: ``log`` writes messages as any producer would and reads dead letters and rows.

``prefect_server``  a real Prefect server on the tests' PostgreSQL and a process worker, once a session (about 20 s).
``in_prefect``      ``settings`` as this process's environment, Prefect's server among them: a flow that a test calls
                    runs there, and leaves its runs and artifacts.
``prefect_client``  Prefect's own client of that server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from feature_repo.events import Event, Message
from feature_repo.online import OnlineRow, OnlineStore
from feature_repo.schema import VIEWS
from feature_repo.state import Row, States
from flows.event_store import open_event_store
from infra.redis_url import connect
from infra.settings import Settings, any_ports, load_settings

PATIENCE_S = 40.0


class Log:
    """A stack's log, and what the dataflow made of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.online = OnlineStore(connect(settings.redis_url), VIEWS)
        self.store = open_event_store(settings.event_store_url)

    def send(self, messages: Iterable[Message]) -> None:
        """Write messages to their topics, keyed as ingest keys them."""
        topics = {
            "Event": (self.settings.topic_events, "user_id"),
            "Item": (self.settings.topic_catalog, "item_id"),
            "UserProfile": (self.settings.topic_profiles, "user_id"),
        }
        routed = ((*topics[type(m).__name__], m) for m in messages)
        self.send_raw((topic, getattr(m, key), m.encode()) for topic, key, m in routed)

    def send_raw(self, messages: Iterable[tuple[str, str, bytes | None]]) -> None:
        """Write (topic, key, value) to the log."""
        producer = Producer(
            {"bootstrap.servers": self.settings.kafka_bootstrap_servers, "partitioner": "murmur2_random"}
        )
        for topic, key, value in messages:
            producer.produce(topic, value, key.encode())
            producer.poll(0)
        assert producer.flush(20) == 0

    def dead_letters(self, count: int) -> list[tuple[bytes, dict[str, str]]]:
        """The first ``count`` dead letters: value and headers."""
        topic = self.settings.topic_dead
        consumer = Consumer(
            {"bootstrap.servers": self.settings.kafka_bootstrap_servers, "group.id": "test", "fetch.wait.max.ms": 50}
        )
        consumer.assign([TopicPartition(topic, p, 0) for p in range(self.settings.topic_partitions)])
        try:
            found = consumer.consume(count, PATIENCE_S)
            found += consumer.consume(1, 1.0)  # not more than that
        finally:
            consumer.close()
        return [(m.value(), {name: value.decode() for name, value in m.headers()}) for m in found]

    def messages(self, topic: str) -> list[Any]:
        """Everything that lies in a topic, each partition in its order."""
        servers, count = self.settings.kafka_bootstrap_servers, self.settings.topic_partitions
        consumer = Consumer(
            {"bootstrap.servers": servers, "group.id": "test", "fetch.wait.max.ms": 20, "enable.partition.eof": True}
        )
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(count)])
        found: list[Any] = []
        unfinished = set(range(count))
        while unfinished:
            for message in consumer.consume(1_000, 0.05):
                if message.error() is None:
                    found.append(message)
                else:
                    assert message.error().code() == KafkaError._PARTITION_EOF
                    unfinished.discard(message.partition())
        consumer.close()
        return found

    def hashes(self) -> dict[bytes, dict[bytes, bytes]]:
        """Every row of the online store, as raw as it lies there."""
        client = self.online._client
        return {key: client.hgetall(key) for key in client.scan_iter(_type="HASH")}

    def wait_for(self, read: Callable[[], Any], wanted: Any) -> None:
        """Wait until something is what it should be, and a moment longer to see that it stays so."""
        wait_for(read, wanted)

    def rows(self, view: str, ids: Sequence[str]) -> list[OnlineRow | None]:
        return self.online.read(view, ids)

    def as_stored(self, view: str, row: Row, time_us: int) -> OnlineRow | None:
        """A row as it reads after it was written: numbers are float32 then."""
        codec = self.online.codecs[view]
        encoded = codec.encode(row, time_us)
        return codec.decode([encoded[field] for field in codec.hash_fields])

    def counts(self, view: str, ids: Sequence[str]) -> list[int]:
        """``event_count`` of each; 0 without a row."""
        return [row.features["event_count"] if row else 0 for row in self.rows(view, ids)]

    def expect(self, events: Sequence[Event]) -> None:
        """Wait until every user's and item's count is exactly that of these events, and the store has them."""
        states = States()
        for event in events:
            states.apply(event)
        users, items = list(states.users), list(states.items)
        wanted = [state.event_count for state in states.users.values()]
        wait_for(lambda: self.counts("user_features", users), wanted)
        wait_for(lambda: self.counts("item_features", items), [states.items[item].event_count for item in items])
        wait_for(self.store.count, len({(event.user_id, event.event_id) for event in events}))


def wait_for(read: Callable[[], Any], wanted: Any) -> None:
    """Wait until something is what it should be, and a moment longer to see that it stays so."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := read()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == wanted
    time.sleep(0.2)
    assert read() == wanted


@pytest.fixture
def log(settings: Settings) -> Log:
    return Log(settings)


@pytest.fixture
def make_log() -> Callable[[Settings], Log]:
    """``make_log(settings)`` for a stack of the test's own."""
    return Log


@pytest.fixture(scope="session")
def prefect_server(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The Stack with Prefect's server and a process worker; its ``settings`` have the URL."""
    import psycopg

    from infra.local import Stack

    url = servers.settings.database_url.rsplit("/", 1)[0] + "/prefect"
    with psycopg.connect(servers.settings.database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE prefect")
    # A run that waits for its turn looks every 30 s else.
    quick = {"PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1"}
    own = load_settings(
        home=tmp_path_factory.mktemp("prefect"),
        prefect_database_url=url.replace("postgresql://", "postgresql+asyncpg://"),
        **any_ports(),
    )
    with pytest.MonkeyPatch.context() as environment:
        for name, value in quick.items():
            environment.setenv(name, value)
        with Stack(own, ("prefect", "worker")) as stack:
            yield stack


@pytest.fixture
def in_prefect(prefect_server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The test's settings, with Prefect's server."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    whole = settings.model_copy(update={"prefect_api_url": prefect_server.settings.prefect_api_url})
    for name, value in whole.environment().items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: whole.prefect_api_url}):
        yield whole


@pytest.fixture
def prefect_client(in_prefect: Settings) -> Iterator[Any]:
    """Prefect's synchronous client."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client
