"""What the dataflow counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000)


class StreamMetrics:
    """Counters in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.events = Counter(
            "freshet_stream_events_total",
            "Decoded events by what became of them: new, duplicate, late",
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
        self.freshness = Histogram(
            "freshet_stream_freshness_seconds",
            "From a message's entry into the log to its row in Redis",
            ["view"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._results = {result: self.events.labels(result) for result in ("new", "duplicate", "late")}

    def count_event(self, result: str) -> None:
        """Count one decoded event."""
        self._results[result].inc()

    def serve(self, host: str, port: int) -> None:
        """Answer GET /metrics in a thread; raises OSError when the port is taken."""
        start_http_server(port, host, registry=self.registry)
