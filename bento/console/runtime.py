"""What the console's routes delegate to, made once and closed once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bento.console.arrivals import Arrivals
from bento.console.feast_sdk import FeastSdk
from bento.console.inspector import Inspector
from bento.console.lifecycle import Lifecycle
from bento.console.people import People
from bento.console.rows import OnlineRows
from bento.console.vitals import Vitals
from infra.settings import Settings


class Console:
    """Everything that one process answers from.

    Args:
        settings: where the other parts are.

    Attributes:
        loaded: set when MLflow's client and Feast's SDK have been imported and opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._rows = OnlineRows(settings)
        self._sdk = FeastSdk(settings)
        self.people = People(self._rows)
        self.arrivals = Arrivals(self._rows)
        self.inspector = Inspector(settings, self._rows, self._sdk)
        self.lifecycle = Lifecycle(settings)
        self.vitals = Vitals(settings)
        self.loaded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin what goes on beside the requests. Returns at once."""
        self._tasks = [asyncio.create_task(self.vitals.run()), asyncio.create_task(self._load())]

    async def _load(self) -> None:
        await self.lifecycle.load()  # one after the other: both are imports of seconds
        await self._sdk.load()
        self.loaded.set()

    async def close(self) -> None:
        """End it, and close all connections."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.lifecycle.close()
        await self._rows.close()
