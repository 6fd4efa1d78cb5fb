"""What the console's routes delegate to, made once and closed once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg

from bento.console.arrivals import Arrivals
from bento.console.aside import Busy
from bento.console.feast_sdk import FeastSdk
from bento.console.inspector import Inspector
from bento.console.life_metrics import LifeMetrics
from bento.console.lifecycle import Lifecycle
from bento.console.people import People
from bento.console.rows import OnlineRows
from bento.console.vitals import Vitals
from bento.console.watcher import Watcher
from infra.settings import Settings


class Console:
    """Everything that one process answers from.

    Args:
        settings: where the other parts are.
        metrics: what is told of a model's life.

    Attributes:
        loaded: set when MLflow's client and Feast's SDK have been imported and opened.
    """

    def __init__(self, settings: Settings, metrics: LifeMetrics) -> None:
        self._rows = OnlineRows(settings)
        self._sdk = FeastSdk(settings)
        self.people = People(self._rows)
        self.arrivals = Arrivals(self._rows)
        self.inspector = Inspector(settings, self._rows, self._sdk)
        self.lifecycle = Lifecycle(settings)
        self.vitals = Vitals(settings)
        self._watcher = Watcher(settings, metrics)
        self.loaded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin what goes on beside the requests. Returns at once."""
        beside = (self.vitals.run(), self._load(), self._watch())
        self._tasks = [asyncio.create_task(each) for each in beside]

    async def _load(self) -> None:
        await self.lifecycle.load()  # one after the other: both are imports of seconds
        await self._sdk.load()
        self.loaded.set()

    async def _watch(self) -> None:
        await self.loaded.wait()  # MLflow's client above all
        await self._watcher.run()

    async def close(self) -> None:
        """End it, and close all connections."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with suppress(Busy, psycopg.Error):
            await self._watcher.close()
        await self.lifecycle.close()
        await self._rows.close()
