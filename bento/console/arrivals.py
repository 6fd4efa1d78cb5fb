"""When an act has become features: people wait for it, as many as Redis can be asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from bento.console.rows import Entity, OnlineRows, moment_of_s, part, rows_of
from bento.console.schemas import WrittenAnswer
from bento.errors import TooManyRequests
from feature_repo.events import to_us
from feature_repo.schema import USER_FEATURES

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.004, 0.05
"""Between two looks for an event: at first, when it is due any moment, and in the end."""

MOST_WAITING = 200
"""More that wait at once are refused. One who waits costs some kilobytes, and his turns at Redis."""

LOOKS_PER_S = 1_000
"""All who wait look no more often than that, together: the more there are, the longer are their pauses."""

_RECENT = rows_of(part(USER_FEATURES, "event_count", "recent_items", "recent_types", "recent_us"))


class Arrivals:
    """Answers whether events have become features.

    Args:
        rows: the online store.
    """

    def __init__(self, rows: OnlineRows) -> None:
        self._rows = rows
        self._waiting = 0

    async def written(
        self, user_id: str, item_id: str, event_type: str, timestamp: datetime, wait_s: float
    ) -> WrittenAnswer:
        """Wait until the user's row holds an event, or time is over. One older than the row's last 50 is not found.

        Raises:
            TooManyRequests: MOST_WAITING wait already.
            Unavailable: Redis gives no answer.
        """
        time_ms, began = to_us(timestamp) // 1_000, time.perf_counter()
        with self._seat():
            while True:
                (entity,) = await self._rows.read(_RECENT, [user_id])
                written, waited_s = _holds(entity, item_id, event_type, time_ms), time.perf_counter() - began
                if written:
                    return _written(entity, waited_s, time_ms)
                if waited_s >= wait_s:
                    return _not_written(waited_s)
                await asyncio.sleep(min(self._pause_s(waited_s), wait_s - waited_s))

    @contextmanager
    def _seat(self) -> Iterator[None]:
        if self._waiting >= MOST_WAITING:
            raise TooManyRequests(f"{self._waiting} wait for their acts already; come back after Retry-After")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _pause_s(self, waited_s: float) -> float:
        pause_s = min(max(waited_s / 10, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        return max(pause_s, self._waiting / LOOKS_PER_S)


def _holds(entity: Entity, item_id: str, event_type: str, time_ms: int) -> bool:
    row = entity.rows[USER_FEATURES.name]
    if row is None:
        return False
    times_ms = [time_us // 1_000 for time_us in row.features["recent_us"]]
    acts = zip(row.features["recent_items"], row.features["recent_types"], times_ms, strict=True)
    return (item_id, event_type, time_ms) in acts


def _written(entity: Entity, waited_s: float, time_ms: int) -> WrittenAnswer:
    row, written_s = entity.rows[USER_FEATURES.name], entity.written_s
    return WrittenAnswer(
        written=True,
        written_at=moment_of_s(written_s),
        waited_ms=round(waited_s * 1_000, 3),
        event_count=row.features["event_count"] if row else None,
        after_event_ms=None if written_s is None else round(written_s * 1_000 - time_ms, 3),
    )


def _not_written(waited_s: float) -> WrittenAnswer:
    """Says nothing of the user: anybody may ask."""
    return WrittenAnswer(
        written=False, written_at=None, waited_ms=round(waited_s * 1_000, 3), event_count=None, after_event_ms=None
    )
