"""What the dataflow counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from feature_repo.events import MICROSECONDS
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES
from flows.messages import RowRemoval, RowWrite

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)
OBSERVED = (USER_FEATURES, ITEM_FEATURES)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000)


class StreamMetrics:
    """Counters in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.events = Counter(
            "freshet_stream_events_total",
            "Decoded events by what became of them: new, duplicate, late, erased",
            ["result"],
            registry=self.registry,
        )
        self.dead = Counter(
            "freshet_stream_dead_letters_total",
            "Messages sent to the dead-letter topic, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "freshet_stream_batch_size", "Items in one write", ["sink"], buckets=SIZES, registry=self.registry
        )
        self.retries = Counter(
            "freshet_stream_sink_retries_total",
            "Writes that failed and were tried again",
            ["sink"],
            registry=self.registry,
        )
        self.rows = Counter("freshet_stream_rows_total", "Rows written to Redis", registry=self.registry)
        self.stored = Counter(
            "freshet_stream_history_messages_total",
            "Stored messages read by a dataflow that started without states",
            registry=self.registry,
        )
        self.rebuilding = Gauge(
            "freshet_stream_rebuilding",
            "Partitions of which stored messages are still read, because the dataflow started without states",
            registry=self.registry,
        )
        self.lag = Gauge(
            "freshet_stream_lag_messages",
            "Messages in the log that were not read yet",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            "freshet_stream_lag_seconds",
            "Age of the last message read while others wait; 0 when none does",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.freshness = Histogram(
            "freshet_stream_freshness_seconds",
            "From a message's entry into the log, as its broker acknowledged it, to its row in Redis",
            ["view"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.event_freshness = Histogram(
            "freshet_stream_event_freshness_seconds",
            "From the time of an entity's newest event, by its client's clock, to its row in Redis",
            ["view"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._results = {result: self.events.labels(result) for result in ("new", "duplicate", "late", "erased")}
        self._ages = {
            view.name: (self.freshness.labels(view.name), self.event_freshness.labels(view.name)) for view in OBSERVED
        }

    def count_event(self, result: str) -> None:
        """Count one decoded event."""
        self._results[result].inc()

    def tell_lag(self, topic: str, partition: int, messages: int, seconds: float) -> None:
        """Show how far one partition's reader is behind."""
        self.lag.labels(topic, partition).set(messages)
        self.lag_seconds.labels(topic, partition).set(seconds)

    def observe_rows(self, written: Iterable[RowWrite | RowRemoval]) -> None:
        """Observe the age of what was just written, where it is news."""
        now_us = time.time_ns() // 1_000
        for row in written:
            if isinstance(row, RowWrite) and row.logged_us and row.view in self._ages:
                logged, happened = self._ages[row.view]
                logged.observe(max(now_us - row.logged_us, 0) / MICROSECONDS)
                happened.observe(max(now_us - row.time_us, 0) / MICROSECONDS)

    def serve(self, host: str, port: int) -> None:
        """Answer GET /metrics in a thread; raises OSError when the port is taken."""
        start_http_server(port, host, registry=self.registry)
