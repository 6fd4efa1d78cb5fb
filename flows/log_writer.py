"""Writes messages to the log by hand, and knows that they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from infra.kafka import librdkafka
from infra.settings import Settings

ANY_PARTITION = -1
TIMEOUT_S = 30.0


class Outgoing(NamedTuple):
    """A message on its way into the log.

    Attributes:
        partition: the key chooses one where it is ANY_PARTITION.
        time_ms: when it entered the log, since the epoch; 0: now.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int = ANY_PARTITION
    time_ms: int = 0


class LogError(RuntimeError):
    """The brokers did not take, or did not give, a message; it names the setting or the topic."""


def publish(
    settings: Settings, messages: Iterable[Outgoing], written: Callable[[Message], object] | None = None
) -> int:
    """Write messages; return their number once all are acknowledged.

    Args:
        settings: kafka_bootstrap_servers.
        messages: in the order in which those of one partition will lie.
        written: called with each acknowledged message, which knows its partition and offset.

    Raises:
        LogError: one was not acknowledged within TIMEOUT_S; those before it may have been written.
    """
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(error)
        elif written is not None:
            written(message)

    # The partitioner is that of kafka-python and Java: a user's events must meet in one partition, whoever wrote them.
    producer = Producer(
        {
            **librdkafka(settings),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "message.timeout.ms": round(1_000 * TIMEOUT_S),
            "log_level": 4,
        }
    )
    count = 0
    for message in messages:
        _produce(producer, message, delivered)
        count += 1
        producer.poll(0)
        if failures:
            break
    producer.flush()
    if failures:
        raise LogError(f"KAFKA_BOOTSTRAP_SERVERS={settings.kafka_bootstrap_servers}: {failures[0].str()}")
    return count


def _produce(producer: Producer, message: Outgoing, delivered: Callable[[KafkaError | None, Message], None]) -> None:
    topic, key, value, headers, partition, time_ms = message
    while True:
        try:
            return producer.produce(topic, value, key, partition, delivered, timestamp=time_ms, headers=list(headers))
        except BufferError:  # the queue to the brokers is full
            producer.poll(0.1)
