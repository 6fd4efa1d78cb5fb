"""How the system is: the services' metrics, sampled and kept for five minutes.

Each sample is compared with the one before. A service that is away leaves gaps, and everything else goes on; when it is
back, its counters are compared with themselves again, from 0 if it has started anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from bento.console import schemas
from bento.console.parts import NOTHING, TIMEOUT_S, Part, Sample
from bento.console.scrape import Values, added, by_label, largest, quantile, total
from infra.settings import Settings

log = logging.getLogger(__name__)

EVERY_S = 2.0
"""Between two samples."""

SHORT, LONG = 5, 150
"""Samples that quantiles and the share of fallbacks look back over, and those that are kept: 10 s and 5 minutes."""

LISTS = {"route": "/recommend"}

EVENTS = "freshet_ingest_events_total"
REQUESTS = "freshet_recommender_requests_total"
SECONDS = "freshet_recommender_request_seconds"
FALLBACKS = "freshet_recommender_fallbacks_total"
CACHE = "freshet_recommender_answer_cache_total"
SHED = "freshet_recommender_shed_total"
ITEMS = "freshet_recommender_item_table_items"
DEPENDENCIES = "freshet_recommender_dependency_up"
FRESHNESS = "freshet_stream_freshness_seconds"
STREAM_EVENTS = "freshet_stream_events_total"
LAG, LAG_S = "freshet_stream_lag_messages", "freshet_stream_lag_seconds"
REBUILDING = "freshet_stream_rebuilding"
DEAD = {"stream": "freshet_stream_dead_letters_total", "outcomes": "freshet_outcomes_dead_letters_total"}

NAMES = frozenset(
    (EVENTS, REQUESTS, f"{SECONDS}_bucket", FALLBACKS, CACHE, SHED, ITEMS, DEPENDENCIES, f"{FRESHNESS}_bucket")
) | {STREAM_EVENTS, LAG, LAG_S, REBUILDING, *DEAD.values()}
"""What is read of all that the services tell."""

GAUGES = {ITEMS: min, DEPENDENCIES: min, LAG_S: max}
"""What is no sum over processes: the fewest items, up where all say so, the longest lag."""

SERIES: tuple[str, ...] = tuple(schemas.VitalSeries.model_fields)


class Vitals:
    """Samples the services and answers with the last five minutes.

    Args:
        settings: where the services are.
    """

    def __init__(self, settings: Settings) -> None:
        self._parts = {name: Part(urls, NAMES, GAUGES) for name, urls in settings.metrics_urls().items()}
        self._history: deque[dict[str, Sample]] = deque(maxlen=LONG)
        self._curves: deque[tuple[int, dict[str, float | None]]] = deque(maxlen=LONG)
        self._answer = self._answered(dict.fromkeys(self._parts, NOTHING))

    async def run(self) -> None:
        """Sample until cancelled."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            while True:
                try:
                    await self.sample(client)
                except Exception:  # whatever it is: the next sample may be better, and this task must not end
                    log.exception("a sample of the vitals failed")
                await asyncio.sleep(EVERY_S - time.time() % EVERY_S)

    async def sample(self, client: httpx.AsyncClient) -> None:
        """Ask all services, at the same time, and keep what they say."""
        found = await asyncio.gather(*(part.sample(client) for part in self._parts.values()))
        sample = dict(zip(self._parts, found, strict=True))
        self._history.append(sample)
        self._curves.append((time.time_ns() // 1_000_000, curve_values(self._last(SHORT))))
        self._answer = self._answered(sample)

    def answer(self) -> bytes:
        """A ``schemas.VitalsAnswer`` in JSON: made once a sample, however many ask."""
        return self._answer

    def _last(self, count: int) -> list[dict[str, Sample]]:
        return list(self._history)[-count:]

    def _answered(self, sample: Mapping[str, Sample]) -> bytes:
        curves: Any = self._curves[-1][1] if self._curves else dict.fromkeys(SERIES)
        series: Any = {name: [(at_ms, values[name]) for at_ms, values in self._curves] for name in SERIES}
        current = schemas.Vitals(
            **curves, **totals(sample), **shares(self._last(LONG)), targets=dict(self._told(sample))
        )
        now = datetime.fromtimestamp(self._curves[-1][0] / 1_000, UTC) if self._curves else datetime.now(UTC)
        vitals = schemas.VitalSeries.model_construct(**series)
        answer = schemas.VitalsAnswer.model_construct(now=now, every_s=EVERY_S, series=vitals, current=current)
        return answer.model_dump_json().encode()

    def _told(self, sample: Mapping[str, Sample]) -> Iterator[tuple[str, schemas.Target]]:
        for name, part in self._parts.items():
            yield name, schemas.Target(up=sample[name].error is None, url=part.url, error=sample[name].error)


def curve_values(history: list[dict[str, Sample]]) -> dict[str, float | None]:
    """The newest point of every curve.

    Args:
        history: samples by part, oldest first; rates are of the last alone.
    """
    last = history[-1]
    recommended, streamed = _grown(history, "recommender"), _grown(history, "stream")
    return {
        "events_per_s": _rate(last["ingest"], EVENTS),
        "requests_per_s": _rate(last["recommender"], REQUESTS, **LISTS),
        "freshness_p50_ms": _quantile_ms(0.5, streamed, FRESHNESS, view="user_features"),
        "freshness_p99_ms": _quantile_ms(0.99, streamed, FRESHNESS, view="user_features"),
        "latency_p50_ms": _quantile_ms(0.5, recommended, SECONDS, **LISTS),
        "latency_p99_ms": _quantile_ms(0.99, recommended, SECONDS, **LISTS),
        "fallback_share": _share(total(recommended, FALLBACKS), total(recommended, REQUESTS, **LISTS, status="200")),
        "lag_messages": None if (stream := last["stream"].values) is None else total(stream, LAG),
        "lag_s": None if stream is None else largest(stream, LAG_S),
        "dead_per_s": _sum(_rate(last[name], counter) for name, counter in DEAD.items()),
    }


def totals(sample: Mapping[str, Sample]) -> dict[str, Any]:
    """What the services have counted since they started, and their gauges; None of one that is away."""
    stream, recommender = sample["stream"].values, sample["recommender"].values
    dead: Counter[str] = Counter()
    for name, counter in DEAD.items():
        by_reason = by_label(sample[name].values or {}, counter, "reason")
        dead.update({reason: int(n) for reason, n in by_reason.items() if n})
    return {
        "dead_total": None if stream is None else dead.total(),
        "dead_by_reason": dict(dead),
        "duplicates_total": None if stream is None else int(total(stream, STREAM_EVENTS, result="duplicate")),
        "late_total": None if stream is None else int(total(stream, STREAM_EVENTS, result="late")),
        "rebuilding": None if stream is None else total(stream, REBUILDING) > 0,
        "shed_total": None if recommender is None else int(total(recommender, SHED)),
        "items": None if recommender is None else int(largest(recommender, ITEMS)),
        "dependencies": {
            name: up > 0 for name, up in sorted(by_label(recommender or {}, DEPENDENCIES, "dependency").items())
        },
    }


def shares(history: list[dict[str, Sample]]) -> dict[str, Any]:
    """What the recommender's answers were made of lately."""
    grown = added(sample["recommender"].grown or {} for sample in history)
    lists = total(grown, REQUESTS, **LISTS, status="200")
    cache = by_label(grown, CACHE, "outcome")
    fallbacks = {name: _share(count, lists) for name, count in by_label(grown, FALLBACKS, "name").items()}
    return {
        "fallbacks": {name: share for name, share in sorted(fallbacks.items()) if share},
        "cache_hit_rate": _share(cache.get("hit", 0.0), sum(cache.values())),
    }


def _grown(history: list[dict[str, Sample]], part: str) -> Values:
    """The increase over some samples; nothing when the part is away now."""
    if history[-1][part].grown is None:
        return {}
    return added(sample[part].grown or {} for sample in history)


def _rate(sample: Sample, counter: str, **labels: str) -> float | None:
    return None if sample.grown is None else round(total(sample.grown, counter, **labels) / sample.over_s, 3)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _share(part: float, whole: float) -> float | None:
    # What is counted twice is not counted at the same instant.
    return min(round(part / whole, 4), 1.0) if whole else None


def _quantile_ms(q: float, grown: Values, histogram: str, **labels: str) -> float | None:
    seconds = quantile(q, grown, histogram, **labels)
    return None if seconds is None else round(seconds * 1_000, 3)
