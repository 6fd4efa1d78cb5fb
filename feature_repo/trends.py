"""Items in order of popularity, without counting all of them anew at every request.

A count that decays by half every h seconds is ``count * 2 ** -((now - last) / h)``, so two items keep their order while
neither is met: ``log2(count) + last / h`` sorts them, whatever the clock says. (A clock before an item's newest event
sees the order of later.)
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import MICROSECONDS
from feature_repo.state import HALF_LIVES

Numbers = NDArray[np.intp]
Keys = NDArray[np.float64]

EVER = "ever"
KEPT = ("7d", "30d", EVER)
"""The orders: decayed with these half-lives, and by the number of events of all time."""

LEADERS = 10_000
"""Items kept in order; a request that may show hardly any of them looks at all items."""


class Counts(Protocol):
    """What is sorted: the columns of ``ItemTable`` that are read here."""

    version: int

    @property
    def interest(self) -> NDArray[np.float32]: ...

    @property
    def last_us(self) -> NDArray[np.float64]: ...

    def column(self, name: str) -> NDArray[np.float32]: ...


class Trends:
    """The items of most interest, best first, kept from one change of the table to the next.

    Args:
        table: the items.

    Attributes:
        followed: somebody calls ``refresh`` whenever the table has changed (the catalogue does), so that no request
            has to; else the first that asks does.
    """

    def __init__(self, table: Counts) -> None:
        # Not a cycle: the collector does not look at what was frozen, so a replaced table would stay for ever.
        self._table: Counts = weakref.proxy(table)
        self._sorted = _Sorted(-1, {}, {})
        self.followed = False

    def refresh(self) -> None:
        """Level with the table again."""
        version = self._table.version
        if version != self._sorted.version:
            keys = {name: self._key(name) for name in KEPT}
            leaders = {name: _best(key, min(LEADERS, len(key))) for name, key in keys.items()}
            self._sorted = _Sorted(version, keys, leaders)  # at once: requests read while it is made

    def best(self, name: str, k: int, allowed: NDArray[np.bool_]) -> Numbers:
        """The k allowed items that lead an order, best first; fewer where fewer have any event.

        Args:
            name: one of KEPT.
            allowed: bool [n]; items beyond its end are not allowed.
        """
        if not self.followed or self._sorted.version < 0:
            self.refresh()
        key, leaders = self._sorted.keys[name], self._sorted.leaders[name]
        n = min(len(allowed), len(key))
        if n < len(key):
            leaders = leaders[leaders < n]
        for some in (leaders[: 2 * k], leaders):  # most requests hide few of the first
            found = some[allowed[some]][:k]
            if len(found) == k:
                return found
        if len(self._sorted.leaders[name]) == LEADERS:
            return _best(np.where(allowed[:n], key[:n], -np.inf), k)
        return found

    def _key(self, name: str) -> Keys:
        table = self._table
        counts = table.column("event_count") if name == EVER else table.interest[:, list(HALF_LIVES).index(name)]
        with np.errstate(divide="ignore"):
            key = np.log2(np.maximum(counts, 0).astype(np.float64))
        return key if name == EVER else key + table.last_us / (HALF_LIVES[name] * MICROSECONDS)


class _Sorted(NamedTuple):
    """The orders of one version of the table: the key of every item, and the leaders."""

    version: int
    keys: Mapping[str, Keys]
    leaders: Mapping[str, Numbers]


def _best(key: Keys, k: int) -> Numbers:
    best = top(key, k)
    return best[key[best] > -np.inf]


def top(scores: NDArray[np.floating[Any]], k: int) -> Numbers:
    """Positions of the k largest scores, best first; equal scores in order of position."""
    k = min(k, len(scores))
    if k == 0:
        return np.empty(0, np.intp)
    best = np.argpartition(-scores, k - 1)[:k]
    best.sort()
    return best[np.argsort(-scores[best], kind="stable")]
