"""What every dataflow counts, for Prometheus: what it has not read yet, and what it writes."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000)


class FlowMetrics:
    """Counters in a registry of their own.

    Args:
        prefix: of the names, without ``freshet_``.
        reasons: of its dead letters.
        sinks: that it writes to.
    """

    def __init__(self, prefix: str, reasons: Sequence[str], sinks: Sequence[str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        name = f"freshet_{prefix}"
        self.dead = Counter(
            f"{name}_dead_letters_total",
            "Messages sent to the dead-letter topic, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.batch_size = Histogram(
            f"{name}_batch_size", "Items in one write", ["sink"], buckets=SIZES, registry=self.registry
        )
        self.retries = Counter(
            f"{name}_sink_retries_total",
            "Writes that failed and were tried again",
            ["sink"],
            registry=self.registry,
        )
        for reason in reasons:  # at 0, or the first of each would have no rate
            self.dead.labels(reason)
        for sink in sinks:
            self.retries.labels(sink)
        self.stored = Counter(
            f"{name}_history_messages_total",
            "Stored messages read by a dataflow that started without states",
            registry=self.registry,
        )
        self.rebuilding = Gauge(
            f"{name}_rebuilding",
            "Partitions of which stored messages are still read, because the dataflow started without states",
            registry=self.registry,
        )
        self.lag = Gauge(
            f"{name}_lag_messages",
            "Messages in the log that were not read yet",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            f"{name}_lag_seconds",
            "Age of the last message read while others wait; 0 when none does",
            ["topic", "partition"],
            registry=self.registry,
        )

    def tell_lag(self, topic: str, partition: int, messages: int, seconds: float) -> None:
        """Show how far one partition's reader is behind."""
        self.lag.labels(topic, partition).set(messages)
        self.lag_seconds.labels(topic, partition).set(seconds)

    def serve(self, host: str, port: int) -> None:
        """Answer GET /metrics in a thread; raises OSError when the port is taken."""
        start_http_server(port, host, registry=self.registry)
