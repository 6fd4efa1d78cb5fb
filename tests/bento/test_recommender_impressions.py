"""What was shown is in the log with the values it was ranked by."""

from __future__ import annotations

import time
from typing import Any

import orjson
from confluent_kafka import Consumer

from feature_repo.events import pseudonym
from models.ranker import ranker_features


def messages(settings: Any, count: int) -> list[Any]:
    """The first messages of topic impressions."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": "test",
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
        }
    )
    consumer.subscribe([settings.topic_impressions])
    found, until = [], time.monotonic() + 30
    while len(found) < count and time.monotonic() < until:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message)
    consumer.close()
    return found


def test_every_answer_is_logged_with_its_items_and_feature_values(api: Any, settings: Any) -> None:
    personal = api.get("/recommend?user_id=user-1&k=4").json()
    popular = api.get("/recommend?user_id=nobody-yet&k=3").json()
    logged = messages(settings, 2)
    found = {message.key().decode(): orjson.loads(message.value()) for message in logged}
    shown = found[pseudonym("user-1")]
    assert [b"user-1" in message.value() for message in logged] == [False, False], "an erasure has nothing to find here"
    assert {key: message["user_key"] for key, message in found.items()} == {key: key for key in found}
    assert shown["recommendation_id"] == personal["recommendation_id"]
    assert shown["model_version"] == personal["model_version"] and shown["fallback"] is None
    assert [item["item_id"] for item in shown["items"]] == [item["item_id"] for item in personal["recommendations"]]
    assert shown["feature_names"] == list(ranker_features())
    assert [len(row) for row in shown["features"]] == [len(ranker_features())] * 4
    column = shown["feature_names"].index("user_log_events")
    assert len({row[column] for row in shown["features"]}) == 1 and shown["features"][0][column] > 2
    assert found[pseudonym("nobody-yet")]["fallback"] == "popular" == popular["fallback"]
    assert len(found[pseudonym("nobody-yet")]["items"]) == 3 and found[pseudonym("nobody-yet")]["features"] == []
