"""Simulated people who come, look at their list, and click what they like: an open loop over HTTP.

Nothing but the two services' REST is used. Clicks carry the recommendation_id of the list that they were made on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import numpy as np

from benchmarks.lifecycle.world import Town, item_id, user_id

K = 10
FOUND_BESIDE = 1.5
"""Items that a visitor comes to beside the list, on average: through search, friends, shop windows."""

PATIENCE_S = 5.0


class Visit(NamedTuple):
    """One visit.

    Attributes:
        at: when it began, seconds since the epoch.
        status: HTTP status of /recommend; 0: no answer.
        took_ms: until the whole answer was there.
        version, variant, fallback: as the answer says.
        clicks: how many of the K shown items were clicked.
    """

    at: float
    status: int
    took_ms: float
    version: str | None
    variant: str | None
    fallback: str | None
    clicks: int


class Shoppers:
    """Lets people come at a rate, from a thread of its own, as a context manager.

    Args:
        town: who they are and what they like.
        ingest, recommender: base URLs.
        visits_per_s: how many come, evenly spaced.

    Attributes:
        visits: what happened so far, in order of the answers.
        events_failed: posts of clicks that ingest did not take.
        season: 0 or 1; set it, and tastes change at once.
    """

    def __init__(self, town: Town, ingest: str, recommender: str, visits_per_s: float, seed: int = 7) -> None:
        self.visits: list[Visit] = []
        self.events_failed = 0
        self.season = 0
        self._town, self._urls, self._every_s = town, (ingest, recommender), 1 / visits_per_s
        self._random = np.random.default_rng(seed)
        self._numbers = {item_id(number): number for number in range(len(town.style))}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._come()), name="shoppers", daemon=True)

    def __enter__(self) -> Shoppers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def since(self, at: float, which: Callable[[Visit], bool] = lambda visit: True) -> list[Visit]:
        """The visits that began at or after a time."""
        return [visit for visit in self.visits if visit.at >= at and which(visit)]

    async def _come(self) -> None:
        limits = httpx.Limits(max_connections=64)
        ingest, recommender = (
            httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits, trust_env=False) for url in self._urls
        )
        async with ingest, recommender, asyncio.TaskGroup() as under_way:
            due = time.monotonic()
            while not self._stop.is_set():
                under_way.create_task(self._visit(ingest, recommender))
                due += self._every_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _visit(self, ingest: httpx.AsyncClient, recommender: httpx.AsyncClient) -> None:
        user, at, started = int(self._random.integers(len(self._town.liked))), time.time(), time.perf_counter()
        try:
            answer = await recommender.get("/recommend", params={"user_id": user_id(user), "k": K})
            status, body = answer.status_code, answer.json()
        except (httpx.HTTPError, ValueError):
            status, body = 0, {}
        took_ms = 1e3 * (time.perf_counter() - started)
        shown = [entry["item_id"] for entry in body.get("recommendations", ())]
        numbers = np.array([self._numbers[name] for name in shown], np.intp)
        clicked = self._town.clicked(user, numbers, self.season, self._random)
        version, variant, fallback = (body.get(name) for name in ("model_version", "variant", "fallback"))
        self.visits.append(Visit(at, status, took_ms, version, variant, fallback, len(clicked)))
        acts = [self._act(user, shown[n], body["recommendation_id"]) for n in clicked]
        for _ in range(self._random.poisson(FOUND_BESIDE)):
            acts.append(self._act(user, item_id(self._town.found(user, self.season, self._random))))
        if acts:
            await self._tell(ingest, acts)

    def _act(self, user: int, item: str, recommendation_id: str | None = None) -> dict[str, Any]:
        act = {"user_id": user_id(user), "item_id": item, "event_type": "click"}
        return act if recommendation_id is None else act | {"recommendation_id": recommendation_id}

    async def _tell(self, ingest: httpx.AsyncClient, acts: list[dict[str, Any]]) -> None:
        try:
            answer = await ingest.post("/events", json=acts)
            failed = answer.status_code != 201 or answer.json()["rejected"]
        except (httpx.HTTPError, ValueError, KeyError):
            failed = True
        self.events_failed += bool(failed)
