"""What the console counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from bento.console.life_metrics import LifeMetrics

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ConsoleMetrics:
    """Counters in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "freshet_console_requests_total",
            "Requests by method, route and status; what goes on to a service is one route, and so are all files",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "freshet_console_request_seconds",
            "Time of a request, by route; long polls wait on purpose",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.unreachable = Counter(
            "freshet_console_unreachable_total",
            "Requests that a service behind the console did not answer",
            ["service"],
            registry=self.registry,
        )

        self.life = LifeMetrics(self.registry)
        for service in ("ingest", "recommender"):
            self.unreachable.labels(service)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered, in so many seconds."""
        self.requests.labels(method, route, status).inc()
        self.seconds.labels(route).observe(seconds)
