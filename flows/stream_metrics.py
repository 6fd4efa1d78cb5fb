"""What the dataflow counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import Counter, Histogram

from feature_repo.events import MICROSECONDS
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES
from flows.flow_metrics import FlowMetrics
from flows.messages import RowRemoval, RowWrite

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)
REASONS = ("future", "json", "late", "schema")
SINKS = ("dead_letters", "erasures", "event_store", "items", "redis", "users")
OBSERVED = (USER_FEATURES, ITEM_FEATURES)


class StreamMetrics(FlowMetrics):
    """What the dataflow of events counts besides."""

    def __init__(self) -> None:
        super().__init__("stream", REASONS, SINKS)
        self.events = Counter(
            "freshet_stream_events_total",
            "Decoded events by what became of them: new, duplicate, late, erased",
            ["result"],
            registry=self.registry,
        )
        self.rows = Counter("freshet_stream_rows_total", "Rows written to Redis", registry=self.registry)
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

    def observe_rows(self, written: Iterable[RowWrite | RowRemoval]) -> None:
        """Observe the age of what was just written, where it is news."""
        now_us = time.time_ns() // 1_000
        for row in written:
            if isinstance(row, RowWrite) and row.logged_us and row.view in self._ages:
                logged, happened = self._ages[row.view]
                logged.observe(max(now_us - row.logged_us, 0) / MICROSECONDS)
                happened.observe(max(now_us - row.time_us, 0) / MICROSECONDS)
