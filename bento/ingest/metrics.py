"""What ingest counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from feature_repo.events import EVENT_TYPES

REASONS = ("future", "json", "media_type", "schema", "too_large", "unavailable")
ACK_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class IngestMetrics:
    """Counters in a registry of their own; to be made in the process that serves."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "freshet_ingest_requests_total",
            "Requests by method, route and status",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.events = Counter(
            "freshet_ingest_events_total",
            "Events that the broker acknowledged, by type",
            ["event_type"],
            registry=self.registry,
        )
        self.rejected = Counter(
            "freshet_ingest_rejected_total",
            "Messages and bodies that did not enter the log, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.admin_acts = Counter(
            "freshet_ingest_admin_acts_total",
            "Erasures and looks at their receipts, by outcome",
            ["act", "outcome"],
            registry=self.registry,
        )
        for event_type in EVENT_TYPES:  # at 0, or the first of each would have no rate
            self.events.labels(event_type)
        for reason in REASONS:
            self.rejected.labels(reason)
        self.ack_seconds = Histogram(
            "freshet_ingest_ack_seconds",
            "From sending to the broker's acknowledgement, one request",
            buckets=ACK_BUCKETS,
            registry=self.registry,
        )
