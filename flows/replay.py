"""Puts everything that is stored back into the log: ``python -m flows.replay``.

For a broker that lost its log (the embedded one keeps it in memory only) and for a dataflow that lost its states.
Catalogue and profiles come from PostgreSQL, events from the event store, in order of time and marked as stored, so
that they are not stored again. It must be over before ingest takes new events: a user's older event that arrives
more than the allowed lateness after a newer one is late.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivered
from psycopg import OperationalError
from rich.console import Console

from feature_repo.events import Event
from flows.console import tracked
from flows.event_store import open_event_store
from flows.messages import STORED
from flows.metadata import MetadataStore
from infra.settings import Settings, SettingsError, load_settings

console = Console()

Outgoing = tuple[str, str, bytes]
"""Topic, key, value."""


class ReplayError(RuntimeError):
    """The broker did not take a message."""


def replay(settings: Settings) -> int:
    """Publish catalogue, profiles and events; return the number of messages. Raises ReplayError."""
    store, metadata = open_event_store(settings.event_store_url), MetadataStore(settings.database_url)
    items, users = metadata.items(), metadata.users()
    metadata.close()
    messages: Iterable[Outgoing] = chain(
        ((settings.topic_catalog, item.item_id, item.encode()) for item in items),
        ((settings.topic_profiles, user.user_id, user.encode()) for user in users),
        (_outgoing(settings, event) for event in store.scan()),
    )
    total = len(items) + len(users) + store.count()
    if total:
        publish(settings, tracked(messages, "replay", total=total, unit="messages"))
    return total


def _outgoing(settings: Settings, event: Event) -> Outgoing:
    return settings.topic_events, event.user_id, event.encode()


def publish(settings: Settings, messages: Iterable[Outgoing]) -> None:
    """Write messages to the log and wait until all are acknowledged. Raises ReplayError."""
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Delivered) -> None:
        if error is not None:
            failures.append(error)

    # The partitioner is that of kafka-python and Java: a user's events must meet in one partition, whoever wrote them.
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "message.timeout.ms": 30_000,
        }
    )
    for topic, key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key.encode(), headers={STORED: b"1"}, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        if failures:
            break
    producer.flush()
    if failures:
        raise ReplayError(f"{settings.kafka_bootstrap_servers}: {failures[0].str()}")


def main() -> int:
    """The command line."""
    try:
        count = replay(load_settings())
    except (SettingsError, ReplayError, KafkaException, OperationalError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(f"replayed {count:,} messages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
