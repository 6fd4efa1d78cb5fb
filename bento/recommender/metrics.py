"""What the recommender tells Prometheus. Make it in the process that serves: after the fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from bento.recommender.catalog import Catalog

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
AGES = (0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0)


class Metrics:
    """The recommender's own registry.

    ``stage`` times a part of a request: ``read`` (Redis), ``rank`` (rules, sources, features, model),
    ``encode`` (the answer).
    """

    def __init__(self) -> None:
        # BentoML asks prometheus_client for files shared by workers; one process is one target here.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "freshet", "subsystem": "recommender", "registry": self.registry}
        self.requests = Counter("requests_total", "requests by route and status", ["route", "status"], **own)
        self.latency = Histogram("request_seconds", "time in the service by route", ["route"], buckets=SECONDS, **own)
        self.stages = Histogram("stage_seconds", "time by stage of a request", ["stage"], buckets=SECONDS, **own)
        self.fallbacks = Counter("fallbacks_total", "answers that were not personal, by name", ["name"], **own)
        self.failures = Counter("failures_total", "steps that failed behind an answer, by step", ["step"], **own)
        self.feature_age = Histogram("feature_age_seconds", "age of a personal answer's user row", buckets=AGES, **own)
        self.table_age = Gauge("item_table_age_seconds", "since items were last read; -1 before the first time", **own)
        self.items = Gauge("item_table_items", "items in the table", **own)
        self.model = Gauge("model_info", "1 for the release that is served", ["version", "variant"], **own)
        self.swaps = Counter("model_swaps_total", "releases that were taken into service", **own)
        self.refused = Counter("model_refused_total", "releases that were refused", **own)
        self.impressions = Counter("impressions_total", "impressions by what became of them", ["outcome"], **own)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as one stage."""
        started = perf_counter()
        try:
            yield
        finally:
            self.stages.labels(name).observe(perf_counter() - started)

    def show_release(self, version: str | None, variant: str | None) -> None:
        """Say which release is served; None: none."""
        self.model.clear()
        if version is not None:
            self.model.labels(version, variant or "").set(1)
            self.swaps.inc()

    def follow_table(self, catalog: Callable[[], Catalog]) -> None:
        """Read the item table's age and size when asked for."""
        self.table_age.set_function(lambda: -1.0 if (age := catalog().age_s()) is None else age)
        self.items.set_function(lambda: len(catalog().table))

    def render(self) -> bytes:
        """Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
