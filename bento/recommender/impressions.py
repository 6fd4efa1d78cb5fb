"""What was shown, with the feature values it was ranked by, to topic ``impressions``.

The message and its key name the user by pseudonym only (``user_key``), so that an erasure has nothing to find here.
Fire and forget: an answer never waits for the broker. A dead broker only counts drops: once its breaker is open not
even messages are made for it, and this thread finds out when it is back.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import orjson
import pybreaker
from confluent_kafka import KafkaException, Producer

from bento.recommender.ask import Floats, Json
from bento.recommender.breaker import Breaker
from bento.recommender.metrics import Metrics
from feature_repo.events import pseudonym
from infra.kafka import librdkafka
from infra.settings import Settings

log = logging.getLogger(__name__)

WAITING = 10_000
"""Impressions that may wait for the broker, here and again in librdkafka; more are dropped."""

EVERY_S = 0.05
"""How often what waits is sent: a thread that woke for each would take the interpreter from each request."""

TRIAL_EVERY_S, TRIAL_S = 1.0, 1.0
"""How often a broker that is away is looked for, and for how long."""


class Origin(NamedTuple):
    """Where a list came from, besides what its answer says.

    Attributes:
        time_us: the clock that its features were computed for, microseconds since the epoch.
        registered: the model's version in the registry.
        experiments: experiment -> variant that the user was given.
        shadow: ``experiment:variant`` that was scored for comparison; None: the list was shown.
    """

    time_us: int
    registered: str | None
    experiments: Mapping[str, str]
    shadow: str | None = None


class Shown(NamedTuple):
    """One answer and what it was ranked by.

    Attributes:
        answer: the answer of /recommend.
        origin: where its list came from.
        feature_names: names of the columns of ``features``.
        features: float32 [m, len(feature_names)] the ranker's rows of the first m items; None: nothing was ranked.
    """

    answer: Json
    origin: Origin
    feature_names: Sequence[str]
    features: Floats | None


class Impressions:
    """Sends impressions from a thread of its own.

    Args:
        settings: kafka_bootstrap_servers, topic_impressions, broker_timeout_s.
        metrics: ``impressions`` counts sent and dropped; told whether the broker is up.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._sent, self._dropped = (metrics.impressions.labels(outcome) for outcome in ("sent", "dropped"))
        self._breaker = Breaker("kafka", metrics, TRIAL_EVERY_S)
        self._waiting: deque[Shown] = deque()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="impressions", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def offer(self, shown: Shown) -> None:
        """Take one impression, or count it as dropped when too many wait. Never blocks."""
        if len(self._waiting) < WAITING:
            self._waiting.append(shown)
        else:
            self._dropped.inc()

    def close(self) -> None:
        """Send what waits, for at most two seconds."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def _run(self) -> None:
        producer = Producer(
            {
                **librdkafka(self._settings),
                "client.id": "freshet-recommender",
                "compression.type": self._settings.kafka_compression,
                "linger.ms": 50,
                "message.timeout.ms": int(self._settings.broker_timeout_s * 1_000),
                "queue.buffering.max.messages": WAITING,
                "log_level": 0,
            }
        )
        while not self._closing.wait(EVERY_S):
            self._look_for(producer)
            self._send_all(producer)
        self._send_all(producer)
        producer.flush(1)

    def _look_for(self, producer: Any) -> None:
        if not self._breaker.is_closed:
            with suppress(KafkaException, pybreaker.CircuitBreakerError):
                self._breaker.call(producer.list_topics, timeout=TRIAL_S)

    def _send_all(self, producer: Any) -> None:
        producer.poll(0)  # delivery reports
        for _ in range(len(self._waiting)):
            shown = self._waiting.popleft()
            if self._breaker.is_closed:
                self._send(producer, shown)
            else:
                self._dropped.inc()

    def _send(self, producer: Any, shown: Shown) -> None:
        try:
            user_key = pseudonym(shown.answer["user_id"])
            value = orjson.dumps(_message(shown, user_key), option=orjson.OPT_SERIALIZE_NUMPY)
            producer.produce(self._settings.topic_impressions, value, user_key.encode(), on_delivery=self._delivered)
        except BufferError:
            self._dropped.inc()
        except Exception:
            self._dropped.inc()
            log.exception("an impression could not be sent")

    def _delivered(self, error: Any, _: Any) -> None:
        (self._sent if error is None else self._dropped).inc()
        self._breaker.report(None if error is None else KafkaException(error))


def _message(shown: Shown, user_key: str) -> dict[str, Any]:
    answer, origin, ranked = shown.answer, shown.origin, shown.features is not None
    head = ("recommendation_id", "model_version", "variant", "fallback", "feature_age_ms", "timestamp", "offset")
    return {
        "user_key": user_key,
        **{name: answer[name] for name in head},
        "time_us": origin.time_us,
        "registered_version": origin.registered,
        "experiments": dict(origin.experiments),
        "shadow": origin.shadow,
        "items": [
            {"item_id": item["item_id"], "score": item["score"], "source": item["source"]}
            for item in answer["recommendations"]
        ],
        "feature_names": shown.feature_names if ranked else [],
        "features": np.ascontiguousarray(shown.features) if ranked else [],
    }
