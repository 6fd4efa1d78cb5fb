"""An HTTP client that asks for more than is answered, and tells latencies by status.

Every request has its moment, whatever became of the earlier ones. CONNECTIONS are open before the first, as a load
balancer keeps them: uvloop accepts one connection a round, so that opening them would be measured instead. A latency
counts from the sending; how much later than its moment that was tells whether the client kept up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import cast

import numpy as np
from numpy.typing import NDArray

CONNECTIONS = 256
PATIENCE_S = 10.0


@dataclass
class Outcome:
    """What came back.

    Attributes:
        sent: requests that were due.
        seconds: status -> latencies; 0: no answer.
        late: how much later than due each was sent.
    """

    sent: int = 0
    late: list[float] = field(default_factory=list)
    seconds: dict[int, list[float]] = field(default_factory=dict)

    def share(self, status: int) -> float:
        """Share of the requests that were answered so."""
        return len(self.seconds.get(status, ())) / max(self.sent, 1)

    def percentile_ms(self, status: int, percent: float) -> float:
        """Latency of the answers of this status; nan without any."""
        found = self.seconds.get(status, ())
        return float(np.percentile(found, percent)) * 1_000 if found else float("nan")


class _Connection(asyncio.Protocol):
    """One request at a time; ``freed`` is told when the next may come, ``done`` the status, 0 where none came."""

    def __init__(self, freed: Callable[[_Connection], None]) -> None:
        self._freed = freed
        self._done: Callable[[int], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, done: Callable[[int], None]) -> None:
        """Send one request."""
        self._read, self._done = b"", done
        if self._transport is None or self._transport.is_closing():
            self._answered(0)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            self._answered(int(head[9:12]))
            self._freed(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._answered(0)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _answered(self, status: int) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(status)


def _settle(answered: asyncio.Future[int], status: int) -> None:
    if not answered.done():  # else nobody waits for it any more
        answered.set_result(status)


class Sender:
    """Sends GET requests to one server at given moments.

    Args:
        host, port: where.
        paths: taken in turn.
    """

    def __init__(self, host: str, port: int, paths: Sequence[str]) -> None:
        self._address = host, port
        self._requests = [f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode() for path in paths]
        self._free: asyncio.Queue[_Connection] = asyncio.Queue()
        self._hello = f"GET /health HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
        self._outcome = Outcome()

    async def run(self, moments: NDArray[np.float64]) -> Outcome:
        """Send one request at each moment (float64 [n] seconds from now, ascending), and wait for the answers."""
        await self._open()
        began, tasks = perf_counter(), []
        for n, moment in enumerate(moments.tolist()):
            if (wait := began + moment - perf_counter()) > 0:
                await asyncio.sleep(wait)
            request = self._requests[n % len(self._requests)]
            tasks.append(asyncio.create_task(self._one(request, began + moment)))
        await asyncio.wait(tasks, timeout=PATIENCE_S)
        self._outcome.sent = len(moments)
        while not self._free.empty():
            self._free.get_nowait().close()
        return self._outcome

    async def _one(self, request: bytes, due: float) -> None:
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        connection = await self._free.get()
        began = perf_counter()
        self._outcome.late.append(began - due)
        connection.ask(request, partial(_settle, answered))
        self._outcome.seconds.setdefault(await answered, []).append(perf_counter() - began)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(lambda: _Connection(self._free.put_nowait), *self._address)
            answered: asyncio.Future[int] = loop.create_future()
            connection.ask(self._hello, answered.set_result)
            await answered


def poisson(rate: float, seconds: float, seed: int = 0) -> NDArray[np.float64]:
    """Moments of a Poisson process: ``rate`` a second, for so long."""
    gaps: NDArray[np.float64] = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds))
    return np.cumsum(gaps)
