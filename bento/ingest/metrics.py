"""What ingest counts, for Prometheus."""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from starlette.types import Message, Receive, Scope, Send

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
        self.ack_seconds = Histogram(
            "freshet_ingest_ack_seconds",
            "From sending to the broker's acknowledgement, one request",
            buckets=ACK_BUCKETS,
            registry=self.registry,
        )


class Observed:
    """An ASGI app that counts the requests of another by method, route and status.

    It is no Starlette app on purpose: BentoML would otherwise answer an unknown path itself, as plain text.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "") or "none"
            metrics: IngestMetrics = self._app.state.intake.metrics
            metrics.requests.labels(scope["method"], route, status).inc()
