"""What no answer of a model may be: not finite, outside the item table, or much slower than the release before it.

Time is the thread's own processor time: what other threads and processes take from it is nobody's fault. Medians of
live requests only raise a doubt, as each release meets other users; then the same requests are given to both, and
their medians decide.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.scorer import all_finite

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

WINDOW = 50
"""Answers that a median is taken of."""

ENOUGH = 20
"""Fewest answers of each release that raise a doubt."""

LOOK_EVERY = 10
"""Answers between two looks at the medians."""

PAIRS = 5
"""Requests that both releases answer before a doubt is settled."""


def flaw(numbers: Numbers, scores: Floats, items: int) -> str | None:
    """What is wrong with a list of a table of so many items; None: nothing."""
    if len(numbers) != len(scores):
        return f"{len(scores)} scores for {len(numbers)} items"
    if not all_finite(scores):
        return f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are no finite numbers"
    # Unsigned, a negative number is larger than any.
    if len(numbers) and np.maximum.reduce(numbers.view(np.uintp)) >= items:
        return f"item numbers outside the table of {items} items"
    return None


class Limits(NamedTuple):
    """What is too slow.

    Attributes:
        ratio: of the median time to that of the other release.
        most_s: of one answer, where the other release is ``ratio`` times faster.
    """

    ratio: float
    most_s: float


class Guard:
    """The times of one release, beside those of another.

    It refers to the other's times only, not to the other release, which may be forgotten.
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._other: deque[float] | None = None
        self._unseen = 0
        self._doubted = False
        self._pairs: list[tuple[float, float]] = []

    def compare_with(self, other: Guard | None) -> None:
        """Compare from now on with another's times; None: with nothing."""
        self._other = None if other is None else other._times
        self._unseen, self._doubted = 0, False
        self._pairs.clear()

    def took(self, seconds: float, limits: Limits) -> bool:
        """Note an answer's time. Returns whether the same request is to be given to the other release, too."""
        self._times.append(seconds)
        if self._other is None:
            return False
        self._unseen += 1
        if self._unseen >= LOOK_EVERY and not self._doubted:
            self._unseen = 0
            self._doubted = self._seems_slow(self._other, limits.ratio)
        return self._doubted or seconds > limits.most_s

    def settled(self, ours_s: float, theirs_s: float, limits: Limits) -> str | None:
        """Take in one request that both answered. Returns why the release is too slow; None: it is not, or not yet."""
        if ours_s > max(limits.most_s, limits.ratio * theirs_s):
            return f"an answer took {1e3 * ours_s:.0f} ms, by the release before {1e3 * theirs_s:.1f} ms"
        self._pairs.append((ours_s, theirs_s))
        if len(self._pairs) < PAIRS:
            return None
        ours, theirs = (median(times) for times in zip(*self._pairs, strict=True))
        self._pairs.clear()
        self._times.clear()
        self._doubted = False
        return None if ours <= limits.ratio * theirs else slower(ours, theirs, limits.ratio)

    def _seems_slow(self, other: deque[float], ratio: float) -> bool:
        if min(len(self._times), len(other)) < ENOUGH:
            return False
        return median(self._times) > ratio * median(other)


def slower(ours_s: float, theirs_s: float, ratio: float) -> str:
    """Says by how much a release is too slow."""
    return (
        f"a request takes {1e3 * ours_s:.2f} ms, by the release before {1e3 * theirs_s:.2f} ms: "
        f"more than {ratio:g} times as long (FRESHET_CANARY_SLOW_RATIO)"
    )
