"""An end without a failed request: between the signal to stop and the stop lies a time in which clients can leave.

uvicorn closes idle connections as soon as it is told to stop; a client that sends its next request at that moment gets
nothing. So the first SIGTERM or SIGINT only begins the drain: the service is not ready any more, so that a load
balancer turns away, and closes each connection with its answer. When the drain is over uvicorn gets the signal, closes
what is idle, lets what is under way finish, and the service's own end follows.

``bentoml serve`` passes SIGTERM on to every worker and waits; from a terminal Ctrl-C reaches the worker a second
time, as SIGTERM from its supervisor, which must not cut the drain short. The same signal twice does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Drain:
    """Holds back the signals that stop this process.

    Args:
        seconds: how long.

    Attributes:
        begun: whether the process is about to stop.
    """

    def __init__(self, seconds: float) -> None:
        self.begun = False
        self._seconds = seconds
        self._former: dict[int, Any] = {}
        self._seen: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Go before the server's own handlers. Call it in the main thread, in the server's event loop."""
        self._loop = asyncio.get_running_loop()
        self._former = {number: signal.signal(number, self._signalled) for number in SIGNALS}

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number in self._seen:
            self._former[number](number, frame)
            return
        self._seen.add(number)
        if not self.begun and self._loop is not None:
            self.begun = True
            self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        log.info("stopping: not ready, and every answer closes its connection", extra={"drain_s": self._seconds})
        asyncio.get_running_loop().call_later(self._seconds, self._former[number], number, None)
