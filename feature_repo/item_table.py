"""All items as columns: what the request path and the training read instead of one row at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES
from feature_repo.schema import ITEM_FEATURES
from feature_repo.state import HALF_LIVES, Row, decayed_names
from feature_repo.trends import Trends

NUMBERS: tuple[str, ...] = tuple(ITEM_FEATURES.fields)
"""Every field of the item_features view, in its order: the columns of a block of rows."""

TIMES = ("first_event_us", "last_event_us")
COUNTS: tuple[str, ...] = tuple(name for name in NUMBERS if name not in TIMES)
"""Columns of ``ItemTable.counts``: every field but the times, which float32 cannot hold."""

DECAYED = slice(COUNTS.index(decayed_names()[0]), COUNTS.index(decayed_names()[-1]) + 1)
"""The columns of ``counts`` that hold the decayed counts, event type by event type."""

NEGATIVE = ("remove_from_cart",)
"""Event types that show no interest."""

_COUNT_PLACES = [NUMBERS.index(name) for name in COUNTS]
_TIME_PLACES = [NUMBERS.index(name) for name in TIMES]
_INTERESTED = [n for n, name in enumerate(EVENT_TYPES) if name not in NEGATIVE]

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]
Mask = NDArray[np.bool_]
Array = NDArray[Any]


def columns(vocabulary: Sequence[str]) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Name -> dtype and shape of one item's part, of every array of a table."""
    return {
        "counts": (np.float32, (len(COUNTS),)),
        "interest": (np.float32, (len(HALF_LIVES),)),
        "times_us": (np.float64, (len(TIMES),)),
        "published_us": (np.float64, ()),
        "expires_us": (np.float64, ()),
        "price": (np.float32, ()),
        "in_catalog": (np.bool_, ()),
        "in_stock": (np.bool_, ()),
        "categories": (np.uint8, (len(vocabulary),)),
    }


def bytes_per_item(vocabulary: Sequence[str]) -> int:
    """What one item takes in the arrays of a table, in bytes; its id, title and labels come on top."""
    return sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for dtype, shape in columns(vocabulary).values())


class ItemTable:
    """Items numbered from 0 in order of arrival; numbers never change, rows are overwritten in place.

    Attributes:
        ids: item id of each number.
        index: item id -> number.
        counts: float32 [n, len(COUNTS)]; the item_features row without its times.
        interest: float32 [n, half-lives]; decayed events of the types that show interest, as of ``last_us``.
        times_us: float64 [n, len(TIMES)]; microseconds since the epoch, exact.
        categories: uint8 [n, len(vocabulary)]; multi-hot of the item's categories.
        published_us, expires_us: float64 [n]; 0 when unknown, or never.
        price: float32 [n]; 0 when unknown.
        in_catalog, in_stock: bool [n]; only what is both may be recommended.
        newest_us: newest event of any item.
        version, catalog_version: rise with every change of any row, and of a catalogue row.
        trends: the items in order of popularity.

    Args:
        vocabulary: the categories that the columns of ``categories`` stand for; others are ignored.
        arrays: where the columns lie, by name as ``columns`` names them, all of one length: that many items fit.
            None: in memory of its own, which grows.
    """

    def __init__(self, vocabulary: Sequence[str], arrays: Mapping[str, Array] | None = None) -> None:
        self.vocabulary = tuple(vocabulary)
        self._category = {name: n for n, name in enumerate(self.vocabulary)}
        self.ids: list[str] = []
        self.index: dict[str, int] = {}
        self.titles: list[str] = []
        self.labels: list[tuple[str, ...]] = []
        self.newest_us = 0.0
        self.version = 0
        self.catalog_version = 0
        self._offered: _Offered | None = None
        self._grows = arrays is None
        self._arrays: dict[str, Array] = dict(arrays or self._allocated(1024))
        self.trends = Trends(self)

    def _allocated(self, capacity: int) -> dict[str, Array]:
        return {name: np.zeros((capacity, *shape), dtype) for name, (dtype, shape) in columns(self.vocabulary).items()}

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> Floats:
        return self._arrays["counts"][: len(self)]

    @property
    def interest(self) -> Floats:
        return self._arrays["interest"][: len(self)]

    @property
    def times_us(self) -> NDArray[np.float64]:
        return self._arrays["times_us"][: len(self)]

    @property
    def last_us(self) -> NDArray[np.float64]:
        """Newest event of each item: float64 [n], 0 without any."""
        return self._arrays["times_us"][: len(self), 1]

    @property
    def categories(self) -> NDArray[np.uint8]:
        return self._arrays["categories"][: len(self)]

    @property
    def published_us(self) -> NDArray[np.float64]:
        return self._arrays["published_us"][: len(self)]

    @property
    def expires_us(self) -> NDArray[np.float64]:
        return self._arrays["expires_us"][: len(self)]

    @property
    def price(self) -> Floats:
        return self._arrays["price"][: len(self)]

    @property
    def in_catalog(self) -> NDArray[np.bool_]:
        return self._arrays["in_catalog"][: len(self)]

    @property
    def in_stock(self) -> NDArray[np.bool_]:
        return self._arrays["in_stock"][: len(self)]

    def column(self, name: str) -> Floats:
        """One column of ``counts``."""
        return self.counts[:, COUNTS.index(name)]

    def number(self, item_id: str) -> int:
        """The number of an item; a new one when it was never met.

        Raises:
            TableFull: there is no room for a new one.
        """
        n = self.index.get(item_id)
        if n is None:
            n = len(self.ids)
            if n == len(self._arrays["counts"]):
                self._grow()
            self.index[item_id] = n
            self.ids.append(item_id)
            self.titles.append("")
            self.labels.append(())
        return n

    def _grow(self) -> None:
        if not self._grows:
            raise TableFull(f"the item table holds {len(self)} items and is full; raise FRESHET_MAX_ITEMS")
        old, self._arrays = self._arrays, self._allocated(2 * len(self))
        for name, target in self._arrays.items():
            target[: len(self)] = old[name]

    def put_features(self, item_id: str, row: Row) -> int:
        """Take an item_features row in. Returns the item's number."""
        n = self.number(item_id)
        self.put_numbers(np.array([n]), np.array([[row[name] or 0 for name in NUMBERS]], np.float64))
        return n

    def put_numbers(self, numbers: Numbers, block: NDArray[np.float64]) -> None:
        """Overwrite the item_features rows of some items: ``block`` is [len(numbers), len(NUMBERS)]."""
        counts, times_us = block[:, _COUNT_PLACES].astype(np.float32), block[:, _TIME_PLACES]
        by_type = counts[:, DECAYED].reshape(len(block), len(EVENT_TYPES), len(HALF_LIVES))
        self._arrays["counts"][numbers] = counts
        self._arrays["interest"][numbers] = by_type[:, _INTERESTED].sum(1)
        self._arrays["times_us"][numbers] = times_us
        self.newest_us = max(self.newest_us, float(times_us[:, 1].max(initial=0)))
        self.version += 1

    def expire(self, before_us: float) -> int:
        """Make the item_features rows neutral whose newest event is older than a time; returns their number."""
        newest = self.last_us
        stale = np.flatnonzero((newest != 0) & (newest < before_us))
        if len(stale):
            for name in ("counts", "interest", "times_us"):
                self._arrays[name][stale] = 0
            self.version += 1
        return len(stale)

    def put_catalog(self, item_id: str, row: Row) -> int:
        """Take an item_catalog row in. Returns the item's number."""
        n = self.number(item_id)
        self.describe(n, row["title"] or "", tuple(row["categories"] or ()))
        arrays = self._arrays
        arrays["categories"][n] = 0
        arrays["categories"][n, [c for name in self.labels[n] if (c := self._category.get(name)) is not None]] = 1
        arrays["published_us"][n] = row["published_us"] or 0
        arrays["price"][n] = row["price"] or 0
        # Rows written before these fields existed have no value: in stock, and for ever.
        arrays["expires_us"][n] = row.get("expires_us") or 0
        arrays["in_stock"][n] = row.get("in_stock", 1) in (None, 1, True)
        arrays["in_catalog"][n] = True
        self.version += 1
        self.catalog_version += 1
        return n

    def describe(self, number: int, title: str, labels: tuple[str, ...]) -> None:
        """What people call an item, and its categories in the catalogue's order."""
        self.titles[number] = title
        self.labels[number] = labels

    def offered(self, now_us: float) -> Mask:
        """What may be recommended at a clock: in the catalogue, in stock, not expired. bool [n], not to be written to.

        Kept until the catalogue changes or an expiry passes.
        """
        known = self._offered
        if known is None or (known.version, len(known.mask)) != (self.catalog_version, len(self)):
            known = None
        if known is None or not known.since_us <= now_us < known.until_us:
            expires = self.expires_us
            past = (expires != 0) & (expires <= now_us)
            mask = self.in_catalog & self.in_stock & ~past
            mask.flags.writeable = False
            since, until = expires[past].max(initial=-np.inf), expires[expires > now_us].min(initial=np.inf)
            known = self._offered = _Offered(self.catalog_version, float(since), float(until), mask)
        return known.mask


class _Offered(NamedTuple):
    """What ``offered`` found, and for which clocks it holds."""

    version: int
    since_us: float
    until_us: float
    mask: Mask


class TableFull(ValueError):
    """An item table of a fixed size has no room for another item."""
