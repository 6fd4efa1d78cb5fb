"""How many requests one process takes in, so that those it does take are answered in time.

Ranking does not yield to the event loop. So requests begin one at a time, in the order in which they came, each in
a round of the loop of its own: in between, the loop takes connections, reads what has come, and refuses what is
too much. (libuv accepts one connection a round: with rounds of twenty rankings, new clients would wait for seconds
where nobody sees them.) The rule, in two parts:

1. At most ``limit`` requests wait or are worked on; what comes beyond is answered by 429 straight away.
2. ``limit`` is FRESHET_MAX_IN_FLIGHT at first. After every 100 ms in which no request had to wait for its beginning
   less than FRESHET_MAX_QUEUE_MS it is halved, down to an eighth; after any other it grows by an eighth.

The first part bounds what waits. The second finds out how much that may be where a request costs more than usual
or the processor is shared: when even the least wait of an interval is long, the queue stands, as in CoDel (Nichols and
Jacobson, "Controlling queue delay", ACM Queue 10(5), 2012); halving against adding is how TCP's windows settle.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter

from bento.recommender.metrics import Metrics
from infra.settings import Settings

INTERVAL_S = 0.1
PARTS = 8
"""The limit grows by this part of the whole, and is never less."""


class Load:
    """Takes requests in, or refuses them. For use in one event loop.

    Args:
        settings: max_in_flight, max_queue_ms.
        metrics: shows the limit, what is under way, how long requests queue, and what was refused by which part.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._most = self._limit = settings.max_in_flight
        self._step = max(1, self._most // PARTS)
        self._long_s = settings.max_queue_ms / 1_000
        self._metrics = metrics
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._round_taken = False
        self._least_wait_s = 0.0
        self._interval_ends = 0.0
        self._refused = {part: metrics.shed.labels(part) for part in ("in_flight", "queue")}

    async def enter(self) -> bool:
        """Wait for this request's turn; False: it is refused. Once True, ``leave`` must be called."""
        if self._under_way >= self._limit:
            self._refused["in_flight" if self._limit == self._most else "queue"].inc()
            return False
        self._under_way += 1
        if not self._round_taken:
            self._round_taken = True
            asyncio.get_running_loop().call_soon(self._next_round)
            self._began(0.0)
            return True
        came = perf_counter()
        try:
            with self._metrics.stage("queue"):
                await self._turn()
        except BaseException:
            self.leave()
            raise
        self._began(perf_counter() - came)
        return True

    def leave(self) -> None:
        """A request that was taken in is answered."""
        self._under_way -= 1

    def judge(self, least_wait_s: float, intervals: int = 1) -> None:
        """Set the limit after so many intervals in which no request waited less than this."""
        late = least_wait_s > self._long_s
        wanted = self._limit // 2 if late else self._limit + self._step * intervals
        self._limit = min(max(wanted, self._step), self._most)

    @property
    def under_way(self) -> int:
        """How many requests wait or are worked on, now."""
        return self._under_way

    @property
    def limit(self) -> int:
        """Most requests that wait or are worked on, now."""
        return self._limit

    def show(self) -> None:
        """Set the gauges."""
        self._metrics.in_flight.set(self._under_way)
        self._metrics.in_flight_limit.set(self._limit)

    def _turn(self) -> asyncio.Future[None]:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        return turn

    def _next_round(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # its request may have been given up
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next_round)
                return
        self._round_taken = False

    def _began(self, waited_s: float) -> None:
        self._least_wait_s = min(self._least_wait_s, waited_s)
        now = perf_counter()
        if now >= self._interval_ends:
            self.judge(self._least_wait_s, intervals=1 + int((now - self._interval_ends) / INTERVAL_S))
            self._interval_ends, self._least_wait_s = now + INTERVAL_S, float("inf")
