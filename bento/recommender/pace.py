"""How long the personal steps take now, to tell when too little of a request's time is left for them."""

from __future__ import annotations

from time import perf_counter

_WEIGHT = 0.1
"""Of the newest time in the mean."""


class Pace:
    """A running mean of how long a block takes; used as its context, by one thread."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds += _WEIGHT * (perf_counter() - self._started - self._seconds)

    def is_short(self, left_s: float) -> bool:
        """Whether the block would take longer than what is left."""
        return left_s < self._seconds
