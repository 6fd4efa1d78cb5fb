"""The way into the log: kafka-python's producer behind asyncio.

The service must start without a broker, answer 503 while it is away and recover by itself, so the producer is
made, watched and replaced by one background thread; requests only ever see a connected producer or none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from infra.kafka import kafka_python
from infra.settings import Settings

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 2.0
WATCH_INTERVAL_S = 1.0
MAX_PENDING = 50_000
"""Messages that may wait for their ack at once; a broker that hangs must not fill the memory."""

Message = tuple[str, bytes | None]
"""Key and value; without a value it ends what was said of the key."""
Headers = Sequence[tuple[str, bytes]]


class LogError(Exception):
    """A message did not enter the log."""


class LogUnavailable(LogError):
    """The broker did not acknowledge. What was sent may be in the log all the same, or may not."""


class MessageTooLarge(LogError):
    """The broker refuses a message of this size."""


class EventLog:
    """Writes messages to Kafka: acks=all, idempotent, partitioned by key.

    Args:
        settings: brokers, time-outs, body limit.
        topics: topics that must exist before the log counts as connected.
    """

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._access = kafka_python(settings)
        self._brokers: list[str] = self._access["bootstrap_servers"]
        self._timeout_s = settings.broker_timeout_s
        self._max_bytes = settings.max_body_bytes + 65_536
        self._topics = list(topics)
        self._producer: KafkaProducer | None = None
        self._pending = 0
        self._closed = threading.Event()
        self._failed = threading.Event()
        self._thread = threading.Thread(target=self._keep_connected, name="event-log", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether a send has a chance."""
        return self._producer is not None

    async def send(self, topic: str, messages: Sequence[Message], headers: Headers = ()) -> None:
        """Return when the broker has acknowledged every message; each bears the headers.

        Raises:
            LogUnavailable: it did not within ``broker_timeout_s``, or is away.
            MessageTooLarge: a message is larger than the broker takes.
        """
        producer = self._producer
        if producer is None:
            raise LogUnavailable("no connection to the log")
        if self._pending + len(messages) > MAX_PENDING:
            raise LogUnavailable("too many events wait for the log")
        acks = _Acks(asyncio.get_running_loop(), len(messages))
        self._pending += len(messages)
        try:
            for key, value in messages:
                sent = producer.send(topic, value, key.encode(), list(headers))
                sent.add_callback(acks.acknowledged).add_errback(acks.failed)
            await asyncio.wait_for(acks.done, self._timeout_s)
        except MessageSizeTooLargeError as error:
            raise MessageTooLarge(str(error)) from error
        except (KafkaError, TimeoutError) as error:
            log.warning("event not acknowledged", extra={"topic": topic, "error": repr(error)})
            if self._producer is producer:
                self._failed.set()
            raise LogUnavailable(repr(error)) from error
        finally:
            acks.done.cancel()
            self._pending -= len(messages)

    def close(self) -> None:
        """Wait until everything sent is acknowledged, then disconnect."""
        self._closed.set()
        self._failed.set()
        self._thread.join(self._timeout_s + CONNECT_TIMEOUT_S)

    def _keep_connected(self) -> None:
        while not self._closed.is_set():
            self._failed.clear()
            producer = self._connect()
            if producer is None:
                self._closed.wait(WATCH_INTERVAL_S)
                continue
            log.info("connected to the log", extra={"brokers": self._brokers})
            self._producer = producer
            while not (self._failed.wait(WATCH_INTERVAL_S) or self._closed.is_set()) and self._reachable():
                pass
            self._producer = None
            log.warning("disconnected from the log", extra={"brokers": self._brokers})
            self._retire(producer)

    def _connect(self) -> KafkaProducer | None:
        producer = None
        try:
            if not self._reachable():
                raise ConnectionError("no broker listens")
            producer = KafkaProducer(**self._options())
            for topic in self._topics:
                producer.partitions_for(topic)
            return producer
        except (KafkaError, OSError) as error:
            log.warning("no connection to the log", extra={"brokers": self._brokers, "error": repr(error)})
            if producer is not None:
                _close(producer, 0)
            return None

    def _retire(self, producer: KafkaProducer) -> None:
        # Not with time 0: what the broker is about to acknowledge should not be reported as lost.
        closing = threading.Thread(target=_close, args=(producer, self._timeout_s), daemon=True)
        closing.start()
        if self._closed.is_set():
            closing.join()

    def _reachable(self) -> bool:
        return any(map(_listens, self._brokers))

    def _options(self) -> dict[str, Any]:
        timeout_ms = int(self._timeout_s * 1000)
        return {
            **self._access,
            "acks": "all",
            "enable_idempotence": True,
            "allow_auto_create_topics": False,
            "bootstrap_timeout_ms": int(CONNECT_TIMEOUT_S * 1000),
            "delivery_timeout_ms": timeout_ms,
            "request_timeout_ms": timeout_ms,
            "max_block_ms": int(CONNECT_TIMEOUT_S * 1000),
            "max_request_size": self._max_bytes,
            "metrics_enabled": False,
            "reconnect_backoff_max_ms": 1_000,
        }


class _Acks:
    """Counts acknowledgements in the producer's thread and wakes the event loop once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._missing = count

    def acknowledged(self, _: object) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._tell(None)

    def failed(self, error: BaseException) -> None:
        self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: BaseException | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


def _listens(broker: str) -> bool:
    host, _, port = broker.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _close(producer: KafkaProducer, timeout_s: float) -> None:
    for _ in range(3):  # it gives up without closing when a message is still in flight, which ends by time-out
        with contextlib.suppress(KafkaError):
            producer.close(timeout=timeout_s)
            return
