"""What flows that run for minutes a day have come to, as metrics: they are gone before anybody could scrape them.

Every look reads what is kept already: flow runs in Prefect, the gate's words in MLflow, drift reports in PostgreSQL. A
scrape shows the last look and waits for nothing; what does not answer keeps its old values, and ``known`` says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx

from bento.console.aside import Aside
from bento.console.life_metrics import FLOWS, RESULTS, VERSIONS, LifeMetrics
from infra.settings import Settings
from models.drift_store import DriftStore
from models.history import judged

log = logging.getLogger(__name__)

EVERY_S = 15.0
"""Between two looks."""

WITHIN_S = 6.0
"""Longest wait for each of the three."""

CLOSE_S = 1.0


class Watcher:
    """Looks every few seconds, beside the requests.

    Args:
        settings: prefect_api_url, the registry, the database.
        metrics: where it is shown.
    """

    def __init__(self, settings: Settings, metrics: LifeMetrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._reports = DriftStore(settings.database_url)
        self._registry, self._database = Aside("gate"), Aside("verdicts")

    async def run(self) -> None:
        """Look until cancelled."""
        async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
            while True:
                await self.look(client)
                await asyncio.sleep(EVERY_S)

    async def look(self, client: httpx.AsyncClient) -> None:
        """Ask all three, and show what they say."""
        await asyncio.gather(
            self._ask("prefect", lambda: self._runs(client)),
            self._ask("mlflow", self._versions),
            self._ask("postgres", self._drift),
        )

    async def _ask(self, source: str, ask: Callable[[], Awaitable[None]]) -> None:
        try:
            await ask()
            self._metrics.known.labels(source).set(1)
        except Exception as error:  # each has errors of its own; the next look may be better
            self._metrics.known.labels(source).set(0)
            log.warning("%s does not say what has become of the flows: %s", source, str(error) or type(error).__name__)

    async def _runs(self, client: httpx.AsyncClient) -> None:
        asked = [(flow, result) for flow in FLOWS for result in RESULTS]
        async with asyncio.timeout(WITHIN_S):
            ends = await asyncio.gather(*(self._last_end(client, *each) for each in asked))
        self._metrics.tell_runs(dict(zip(asked, ends, strict=True)))

    async def _last_end(self, client: httpx.AsyncClient, flow: str, result: str) -> float:
        body: dict[str, Any] = {
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"any_": RESULTS[result]}}},
            "sort": "END_TIME_DESC",
            "limit": 1,
        }
        answer = await client.post(f"{self._settings.prefect_api_url}/flow_runs/filter", json=body)
        runs = answer.raise_for_status().json()
        return datetime.fromisoformat(runs[0]["end_time"]).timestamp() if runs and runs[0]["end_time"] else 0.0

    async def _versions(self) -> None:
        self._metrics.tell_versions(await self._registry.call(lambda: judged(self._settings, VERSIONS), WITHIN_S))

    async def _drift(self) -> None:
        found = await self._database.call(lambda: (self._reports.tally(), self._reports.compared()), WITHIN_S)
        self._metrics.tell_drift(*found)

    async def close(self) -> None:
        """Close the connection to PostgreSQL."""
        await self._database.call(self._reports.close, CLOSE_S)
