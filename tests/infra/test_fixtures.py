"""The servers of conftest.py are real, and one test's things are not another's."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from infra.settings import Settings
from infra.topics import TopicError, ensure_topics, topic_names


@pytest.mark.parametrize("round_trip", [1, 2])
def test_each_test_has_empty_servers(settings: Settings, redis_client: Any, round_trip: int) -> None:
    assert redis_client.dbsize() == 0
    redis_client.set("left", "over")
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("CREATE TABLE left_over (id int)")


def test_a_message_goes_through_the_broker(settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    producer.produce(settings.topic_events, value=b"hello", key=b"u1")
    assert producer.flush(10) == 0
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "t", "auto.offset.reset": "earliest"}
    )
    metadata = consumer.list_topics(settings.topic_events, timeout=5).topics[settings.topic_events]
    assert len(metadata.partitions) == settings.topic_partitions
    consumer.assign([TopicPartition(settings.topic_events, p, 0) for p in metadata.partitions])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None
    assert (message.key(), message.value()) == (b"u1", b"hello")


def test_topics_are_created_once(settings: Settings) -> None:
    assert ensure_topics(settings) == []
    assert len(topic_names(settings)) == 5


def test_absent_brokers_are_named(home: Settings) -> None:
    nowhere = home.with_ports(kafka_port=9)
    with pytest.raises(TopicError, match=r"KAFKA_BOOTSTRAP_SERVERS=127\.0\.0\.1:9"):
        ensure_topics(nowhere, timeout_s=1.0)
