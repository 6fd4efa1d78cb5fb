"""What was shown, with the feature values it was ranked by, to topic ``impressions``.

The message and its key name the user by pseudonym only (``user_key``), so that an erasure has nothing to find here.
Fire and forget: an answer never waits for the broker, and a dead broker only counts drops.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from bento.recommender.ask import Floats, Json
from bento.recommender.metrics import Metrics
from feature_repo.events import pseudonym
from infra.settings import Settings

log = logging.getLogger(__name__)

WAITING = 10_000
"""Impressions that may wait for the broker, here and again in librdkafka; more are dropped."""


class Shown(NamedTuple):
    """One answer and what it was ranked by.

    Attributes:
        answer: the answer of /recommend.
        feature_names: names of the columns of ``features``.
        features: float32 [m, len(feature_names)] the ranker's rows of the first m items; None: nothing was ranked.
    """

    answer: Json
    feature_names: Sequence[str]
    features: Floats | None


class Impressions:
    """Sends impressions from a thread of its own.

    Args:
        settings: kafka_bootstrap_servers, topic_impressions, broker_timeout_s.
        metrics: ``impressions`` counts sent and dropped.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._count = metrics.impressions
        self._waiting: queue.Queue[Shown | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def offer(self, shown: Shown) -> None:
        """Take one impression, or count it as dropped when too many wait. Never blocks."""
        try:
            self._waiting.put_nowait(shown)
        except queue.Full:
            self._count.labels("dropped").inc()

    def close(self) -> None:
        """Send what waits, for at most two seconds."""
        if self._thread.is_alive():
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(2)

    def _run(self) -> None:
        from confluent_kafka import Producer

        producer = Producer(
            {
                "bootstrap.servers": self._settings.kafka_bootstrap_servers,
                "client.id": "freshet-recommender",
                "compression.type": "lz4",
                "linger.ms": 50,
                "message.timeout.ms": int(self._settings.broker_timeout_s * 1_000),
                "queue.buffering.max.messages": WAITING,
                "log_level": 0,
            }
        )
        while (shown := self._next(producer)) is not None:
            self._send(producer, shown)
        producer.flush(1)

    def _next(self, producer: Any) -> Shown | None:
        while True:
            producer.poll(0)  # delivery reports
            try:
                return self._waiting.get(timeout=0.5)
            except queue.Empty:
                continue

    def _send(self, producer: Any, shown: Shown) -> None:
        try:
            user_key = pseudonym(shown.answer["user_id"])
            value = orjson.dumps(_message(shown, user_key), option=orjson.OPT_SERIALIZE_NUMPY)
            producer.produce(self._settings.topic_impressions, value, user_key.encode(), on_delivery=self._delivered)
        except BufferError:
            self._count.labels("dropped").inc()
        except Exception:
            self._count.labels("dropped").inc()
            log.exception("an impression could not be sent")

    def _delivered(self, error: Any, _: Any) -> None:
        self._count.labels("sent" if error is None else "dropped").inc()


def _message(shown: Shown, user_key: str) -> dict[str, Any]:
    answer, ranked = shown.answer, shown.features is not None
    head = ("recommendation_id", "model_version", "variant", "fallback", "feature_age_ms", "timestamp")
    return {
        "user_key": user_key,
        **{name: answer[name] for name in head},
        "items": [
            {"item_id": item["item_id"], "score": item["score"], "source": item["source"]}
            for item in answer["recommendations"]
        ],
        "feature_names": shown.feature_names if ranked else [],
        "features": np.ascontiguousarray(shown.features) if ranked else [],
    }
