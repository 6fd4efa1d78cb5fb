"""Ways for a benchmark's events into the log: over REST, or straight to the broker where ingest cannot speak to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import httpx
from confluent_kafka import KafkaError, KafkaException, Producer

from feature_repo.events import Event
from infra.settings import Settings


class Door(Protocol):
    """Takes events in."""

    LABEL: str
    """What its acknowledgement is."""

    def send(self, events: Sequence[Event]) -> None:
        """Return when all events are acknowledged; raises OSError or the client's own error otherwise."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class RestDoor:
    """``POST /events``, one connection."""

    LABEL = "POST /events answered"

    def __init__(self, settings: Settings) -> None:
        url = f"http://{settings.host}:{settings.ingest_port}"
        self._http = httpx.Client(base_url=url, trust_env=False, headers={"content-type": "application/json"})

    def send(self, events: Sequence[Event]) -> None:
        self._http.post("/events", content=b"[" + b",".join(e.encode() for e in events) + b"]").raise_for_status()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


class LogDoor:
    """A producer that waits for every acknowledgement (acks=all, idempotent)."""

    LABEL = "broker acknowledged (acks=all)"

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic_events
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka_bootstrap_servers,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 0,
                "log_level": 0,
            }
        )

    def send(self, events: Sequence[Event]) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                failures.append(error)

        for event in events:
            self._producer.produce(self._topic, event.encode(), event.user_id.encode(), on_delivery=delivered)
        self._producer.flush()
        if failures:
            raise KafkaException(failures[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.flush()
