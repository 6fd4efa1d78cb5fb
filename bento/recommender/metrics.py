"""What the recommender tells Prometheus. Make it in the process that serves: after the fork."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from bento.recommender.catalog import Catalog
from infra import tracing

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
STEPS = (
    *("personal", "by_profile", "by_segments", "by_popularity", "in_order", "similar"),
    *("read", "explain", "read_page", "write_pages"),
)
AGES = (0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0)


class Metrics:
    """The recommender's own registry.

    ``stage`` times a part of a request: ``queue`` (for its turn, where it has to wait), ``read`` (Redis), ``rank``
    (rules, sources, features, model), ``encode`` (the answer).

    Args:
        shared: folder in which several workers' metrics meet: then ``render`` adds them up, and of gauges gives the
            sum, the largest or the smallest of the workers that live. None: one process is one target.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        # BentoML names a folder whether it is wanted or not, and prometheus_client looks once, at its import.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        if shared is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "freshet", "subsystem": "recommender", "registry": self.registry}
        largest: dict[str, Any] = own | {"multiprocess_mode": "livemax"}
        total: dict[str, Any] = own | {"multiprocess_mode": "livesum"}
        self.requests = Counter("requests_total", "requests by route and status", ["route", "status"], **own)
        self.latency = Histogram("request_seconds", "time in the service by route", ["route"], buckets=SECONDS, **own)
        self.stages = Histogram("stage_seconds", "time by stage of a request", ["stage"], buckets=SECONDS, **own)
        self.fallbacks = Counter("fallbacks_total", "answers that were not personal, by name", ["name"], **own)
        self.failures = Counter("failures_total", "steps that failed behind an answer, by step", ["step"], **own)
        self.feature_age = Histogram("feature_age_seconds", "age of a personal answer's user row", buckets=AGES, **own)
        self.table_age = Gauge(
            "item_table_age_seconds", "since items were last read; -1 before the first time", **largest
        )
        self.items = Gauge("item_table_items", "items in the table", **own, multiprocess_mode="livemin")
        self.model = Gauge("model_info", "1 for the release that is served", ["version", "variant"], **largest)
        self.swaps = Counter("model_swaps_total", "releases that were taken into service", **own)
        self.index_away = Counter("index_away_total", "requests that the vector index gave no answer to", **own)
        self.refused = Counter("model_refused_total", "releases that were refused", **own)
        self.canary = Gauge("canary_info", "1 for the release on trial", ["version"], **largest)
        self.canary_answers = Counter("canary_answers_total", "answers of releases on trial", **own)
        self.rolled_back = Counter(
            "model_rolled_back_total", "releases that were left for the one before, by why", ["cause"], **own
        )
        self.impressions = Counter("impressions_total", "impressions by what became of them", ["outcome"], **own)
        self.dependency_up = Gauge(
            "dependency_up",
            "0 while nobody waits for a dependency that is away",
            ["dependency"],
            **own,
            multiprocess_mode="livemin",
        )
        self.breaker_opened = Counter("breaker_opened_total", "times a dependency went away", ["dependency"], **own)
        self.explored = Counter("explored_total", "places of answers that were given to new items", **own)
        self.experiment_answers = Counter(
            "experiment_answers_total", "answers to users of running experiments", ["experiment", "variant"], **own
        )
        self.shadows = Counter("shadows_total", "lists of shadow variants by what became of them", ["outcome"], **own)
        self.pages = Counter("pages_total", "later pages asked for, by where the list was found", ["place"], **own)
        self.answer_cache = Counter("answer_cache_total", "requests by whether the cache answered", ["outcome"], **own)
        self.shed = Counter("shed_total", "requests answered by 429, by part of the rule", ["part"], **own)
        self.in_flight = Gauge("in_flight", "requests that wait or are worked on", **total)
        self.in_flight_limit = Gauge("in_flight_limit", "how many may, now; more are answered by 429", **total)
        self.admin_acts = Counter(
            "admin_acts_total", "rollbacks, promotions and attempts at them, by outcome", ["act", "outcome"], **own
        )
        self._begin_at_zero()
        self._request_children: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._stage_children: dict[str, Any] = {}
        self._model_child: Any = None
        self._canary_child: Any = None
        self._watched: list[Callable[[], None]] = []

    def _begin_at_zero(self) -> None:
        """Show what has not happened yet as 0: a series that began at 1 would have no rate."""
        for counter, names in (
            (self.fallbacks, ("last_known", "popular", "profile", "segment", "static")),
            (self.failures, STEPS),
            (self.rolled_back, ("fault", "request")),
            (self.shadows, ("dropped", "failed", "late", "not_loaded", "scored")),
            (self.pages, ("nowhere", "process", "redis")),
        ):
            for name in names:
                counter.labels(name)

    def count(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        children = self._request_children.get((route, status))
        if children is None:  # a look-up by labels costs more than the counting
            children = self.requests.labels(route, status), self.latency.labels(route)
            self._request_children[route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def stage(self, name: str) -> Stage:
        """Time the block as one stage, in the histogram and in the request's trace where it has one."""
        child = self._stage_children.get(name)
        if child is None:
            child = self._stage_children[name] = self.stages.labels(name)
        return Stage(name, child)

    def show_release(self, version: str | None, variant: str | None) -> None:
        """Say which release is served; None: none."""
        if self._shared is None:
            self.model.clear()
        elif self._model_child is not None:
            self._model_child.set(0)  # shared files cannot forget a label
        if version is not None:
            self._model_child = self.model.labels(version, variant or "")
            self._model_child.set(1)
            self.swaps.inc()

    def show_canary(self, version: str | None) -> None:
        """Say which release is on trial; None: none."""
        if self._canary_child is not None:
            if self._shared is None:
                self.canary.clear()
            else:
                self._canary_child.set(0)
            self._canary_child = None
        if version is not None:
            self._canary_child = self.canary.labels(version)
            self._canary_child.set(1)

    def follow_table(self, catalog: Callable[[], Catalog]) -> None:
        """Show this item table's age and size."""

        def show() -> None:
            self.table_age.set(-1.0 if (age := catalog().age_s()) is None else age)
            self.items.set(len(catalog().table))

        self.watch(show)

    def watch(self, show: Callable[[], None]) -> None:
        """Have gauges set that are only looked at now and then: when they are asked for."""
        self._watched.append(show)

    def refresh(self) -> None:
        """Set the gauges that are watched."""
        for show in self._watched:
            show()

    async def keep_fresh(self) -> None:
        """Where other workers show this one's gauges, set them every second; never returns."""
        while self._shared is not None:
            self.refresh()
            await asyncio.sleep(1)

    def render(self) -> bytes:
        """Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        self.refresh()
        if self._shared is None:
            return generate_latest(self.registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together, str(self._shared))
        return generate_latest(together)

    def close(self) -> None:
        """This worker ends: its gauges end with it, its counts stay."""
        if self._shared is not None:
            from prometheus_client.multiprocess import mark_process_dead

            mark_process_dead(os.getpid(), str(self._shared))


class Stage:
    """Times a block as one stage of a request."""

    __slots__ = ("_child", "_name", "_started")

    def __init__(self, name: str, child: Any) -> None:
        self._name = name
        self._child = child

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, *_: object) -> None:
        seconds = perf_counter() - self._started
        self._child.observe(seconds)
        if (trace := tracing.current.get()) is not None:
            trace.stage(self._name, seconds)
