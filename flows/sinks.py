"""Where the dataflow writes. Every sink may be given the same items again, and waits while its server is away.

A sink that waits holds the whole worker, so nothing more is read from the log: nothing is lost or skipped.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
import redis
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import KafkaException, Producer

from feature_repo.erasures import DATAFLOW, Erasures
from feature_repo.events import Event, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES, USER_PROFILE, USER_SEEN
from feature_repo.state import Row
from flows.event_store import open_event_store
from flows.flow_metrics import FlowMetrics
from flows.messages import Arrival, DeadLetter, Forgotten, RowRemoval, RowWrite, Withdrawn
from flows.metadata import MetadataStore
from flows.stream_metrics import StreamMetrics
from flows.trails import Trails
from infra import redis_url
from infra.kafka import librdkafka
from infra.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")
Write = Callable[[list[T]], Any]

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 1.0
VIEWS = (USER_FEATURES, USER_SEEN, ITEM_FEATURES, ITEM_CATALOG, USER_PROFILE)


class Sink(DynamicSink[T]):
    """A sink from a function that opens the server and returns how to write one batch.

    Args:
        name: of the sink, for log and metrics.
        connect: called once for each worker.
        errors: what is tried again; anything else ends the dataflow.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Write[T]],
        errors: tuple[type[Exception], ...],
        metrics: FlowMetrics,
    ) -> None:
        self._name, self._connect, self._errors, self._metrics = name, connect, errors, metrics

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Partition[T]:
        return _Partition(self._name, self._connect(), self._errors, self._metrics)


class _Partition(StatelessSinkPartition[T]):
    def __init__(self, name: str, write: Write[T], errors: tuple[type[Exception], ...], metrics: FlowMetrics) -> None:
        self._name, self._write, self._errors, self._metrics = name, write, errors, metrics

    def write_batch(self, items: list[T]) -> None:
        self._metrics.batch_size.labels(self._name).observe(len(items))
        delay_s = FIRST_DELAY_S
        while True:
            try:
                self._write(items)
                return
            except self._errors as error:
                self._metrics.retries.labels(self._name).inc()
                log.warning("cannot write, will try again", extra={"sink": self._name, "error": repr(error)})
                time.sleep(delay_s)
                delay_s = min(2 * delay_s, LONGEST_DELAY_S)


def online_rows(settings: Settings, metrics: StreamMetrics, trails: Trails) -> Sink[RowWrite | RowRemoval]:
    """Feast's rows in Redis, the last of a key in a batch only."""

    def connect() -> Write[RowWrite | RowRemoval]:
        # No retries of the client's own: the sink's are the ones that are logged and counted.
        client = redis_url.connect(settings.redis_url, retry=None, socket_timeout=5, socket_connect_timeout=2)
        store = OnlineStore(client, VIEWS)

        def write(changes: list[RowWrite | RowRemoval]) -> None:
            rows: dict[str, dict[str, tuple[Row, int]]] = defaultdict(dict)
            removed: dict[str, list[str]] = defaultdict(list)
            for change in changes:
                if isinstance(change, RowWrite):
                    rows[change.view][change.entity_id] = (change.row, change.time_us)
                else:
                    rows[change.view].pop(change.entity_id, None)
                    removed[change.view].append(change.entity_id)
            for view, entity_ids in removed.items():
                store.remove(view, entity_ids)
            metrics.rows.inc(store.write(rows))
            metrics.observe_rows(changes)
            trails.tell(changes)

        return write

    return Sink("redis", connect, (redis.RedisError, OSError), metrics)


def raw_events(settings: Settings, metrics: StreamMetrics) -> Sink[Event | Forgotten]:
    """The event store: events, and between them users to be forgotten, in this order."""

    def connect() -> Write[Event | Forgotten]:
        store = open_event_store(settings.event_store_url)

        def write(changes: list[Event | Forgotten]) -> None:
            events: list[Event] = []
            for change in changes:
                if isinstance(change, Event):
                    events.append(change)
                else:
                    store.append(events)
                    events = []
                    store.erase(change.user_id, change.until_us)
            store.append(events)

        return write

    return Sink("event_store", connect, (OSError,), metrics)


def catalogue(settings: Settings, metrics: StreamMetrics) -> Sink[Arrival]:
    """The catalogue in PostgreSQL."""

    def connect() -> Write[Arrival]:
        store = MetadataStore(settings.database_url)

        def write(arrivals: list[Arrival]) -> None:
            last = list({arrival.message.item_id: arrival for arrival in arrivals}.values())
            store.upsert_items([arrival.message for arrival in last], [arrival.logged_us for arrival in last])

        return write

    return Sink("items", connect, (psycopg.Error,), metrics)


def profiles(settings: Settings, metrics: StreamMetrics) -> Sink[Arrival]:
    """The profiles in PostgreSQL, without those that were withdrawn."""

    def connect() -> Write[Arrival]:
        store = MetadataStore(settings.database_url)

        def write(arrivals: list[Arrival]) -> None:
            last = list({arrival.message.user_id: arrival for arrival in arrivals}.values())
            kept = [arrival for arrival in last if isinstance(arrival.message, UserProfile)]
            store.delete_users([arrival.message.user_id for arrival in last if isinstance(arrival.message, Withdrawn)])
            store.upsert_users([arrival.message for arrival in kept], [arrival.logged_us for arrival in kept])

        return write

    return Sink("users", connect, (psycopg.Error,), metrics)


def erasures(settings: Settings, metrics: StreamMetrics) -> Sink[Forgotten]:
    """The dataflow's part in the receipts."""

    def connect() -> Write[Forgotten]:
        receipts = Erasures(settings.database_url)

        def write(forgotten: list[Forgotten]) -> None:
            for _, erasure_id, until_us in forgotten:
                receipts.done(erasure_id, DATAFLOW, until_us)

        return write

    return Sink("erasures", connect, (psycopg.Error,), metrics)


def dead_letters(settings: Settings, metrics: FlowMetrics) -> Sink[DeadLetter]:
    """The dead-letter topic: the original bytes, with reason and origin in the headers."""

    def connect() -> Write[DeadLetter]:
        producer = Producer(librdkafka(settings) | {"acks": "all", "message.timeout.ms": 10_000})

        def write(letters: list[DeadLetter]) -> None:
            failures: list[Any] = []
            for letter in letters:
                producer.produce(
                    settings.topic_dead,
                    letter.source.value,
                    letter.source.key,
                    headers=list(letter.headers),
                    on_delivery=lambda error, _: failures.append(error) if error else None,
                )
            producer.flush()
            if failures:
                raise KafkaException(failures[0])
            for letter in letters:
                metrics.dead.labels(letter.reason).inc()

        return write

    return Sink("dead_letters", connect, (KafkaException, BufferError), metrics)
