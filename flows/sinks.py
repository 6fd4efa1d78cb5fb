"""Where the dataflow writes. Every sink may be given the same items again, and waits while its server is away.

A sink that waits holds the whole worker, so nothing more is read from the log: nothing is lost or skipped.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
import redis
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from confluent_kafka import KafkaException, Producer

from feature_repo.events import MICROSECONDS, Event, Item, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES, USER_PROFILE, USER_SEEN
from feature_repo.state import Row
from flows.event_store import open_event_store
from flows.messages import DeadLetter, RowWrite
from flows.metadata import MetadataStore
from flows.stream_metrics import StreamMetrics
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
        metrics: StreamMetrics,
    ) -> None:
        self._name, self._connect, self._errors, self._metrics = name, connect, errors, metrics

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Partition[T]:
        return _Partition(self._name, self._connect(), self._errors, self._metrics)


class _Partition(StatelessSinkPartition[T]):
    def __init__(self, name: str, write: Write[T], errors: tuple[type[Exception], ...], metrics: StreamMetrics) -> None:
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


def online_rows(settings: Settings, metrics: StreamMetrics) -> Sink[RowWrite]:
    """Feast's rows in Redis, the last of a key in a batch only."""

    def connect() -> Write[RowWrite]:
        # No retries of the client's own: the sink's are the ones that are logged and counted.
        client = redis.Redis.from_url(settings.redis_url, retry=None, socket_timeout=5, socket_connect_timeout=2)
        store = OnlineStore(client, VIEWS)
        ages = {view.name: metrics.freshness.labels(view.name) for view in VIEWS if view is not USER_SEEN}

        def write(writes: list[RowWrite]) -> None:
            rows: dict[str, dict[str, tuple[Row, int]]] = defaultdict(dict)
            for w in writes:
                rows[w.view][w.entity_id] = (w.row, w.time_us)
            store.write(rows)
            now_us = time.time_ns() // 1_000
            for w in writes:
                if w.view in ages:
                    ages[w.view].observe(max(now_us - w.logged_us, 0) / MICROSECONDS)

        return write

    return Sink("redis", connect, (redis.RedisError, OSError), metrics)


def raw_events(settings: Settings, metrics: StreamMetrics) -> Sink[Event]:
    """The event store."""
    return Sink("event_store", lambda: open_event_store(settings.event_store_url).append, (OSError,), metrics)


def catalogue(settings: Settings, metrics: StreamMetrics) -> Sink[Item]:
    """The catalogue in PostgreSQL."""
    return Sink(
        "items",
        lambda: _last_of_each(MetadataStore(settings.database_url).upsert_items, "item_id"),
        (psycopg.Error,),
        metrics,
    )


def profiles(settings: Settings, metrics: StreamMetrics) -> Sink[UserProfile]:
    """The profiles in PostgreSQL."""
    return Sink(
        "users",
        lambda: _last_of_each(MetadataStore(settings.database_url).upsert_users, "user_id"),
        (psycopg.Error,),
        metrics,
    )


def dead_letters(settings: Settings, metrics: StreamMetrics) -> Sink[DeadLetter]:
    """The dead-letter topic: the original bytes, with reason and origin in the headers."""

    def connect() -> Write[DeadLetter]:
        producer = Producer(
            {"bootstrap.servers": settings.kafka_bootstrap_servers, "acks": "all", "message.timeout.ms": 10_000}
        )

        def write(letters: list[DeadLetter]) -> None:
            failures: list[Any] = []
            for letter in letters:
                source = letter.source
                headers = {
                    "reason": letter.reason,
                    "detail": letter.detail,
                    "topic": source.topic or "",
                    "partition": str(source.partition),
                    "offset": str(source.offset),
                }
                producer.produce(
                    settings.topic_dead,
                    source.value,
                    source.key,
                    headers={name: value.encode() for name, value in headers.items()},
                    on_delivery=lambda error, _: failures.append(error) if error else None,
                )
            producer.flush()
            if failures:
                raise KafkaException(failures[0])
            for letter in letters:
                metrics.dead.labels(letter.reason).inc()

        return write

    return Sink("dead_letters", connect, (KafkaException, BufferError), metrics)


def _last_of_each(upsert: Callable[[Sequence[T]], None], id_field: str) -> Write[T]:
    return lambda messages: upsert(list({getattr(m, id_field): m for m in messages}.values()))
