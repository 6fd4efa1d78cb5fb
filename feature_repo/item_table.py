"""All items as columns: what the request path and the training read instead of one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.schema import ITEM_FEATURES
from feature_repo.state import Row

NUMBERS: tuple[str, ...] = tuple(ITEM_FEATURES.fields)
"""Columns of ``ItemTable.numbers``: every field of the item_features view, in its order."""


class ItemTable:
    """Items numbered from 0 in order of arrival; numbers never change, rows are overwritten in place.

    Attributes:
        ids: item id of each number.
        index: item id -> number.
        numbers: float64 [n, len(NUMBERS)]; the item_features row (times in microseconds fit float64 exactly).
        categories: float32 [n, len(vocabulary)]; multi-hot of the item's categories.
        published_us: float64 [n]; 0 when unknown.
        price: float32 [n]; 0 when unknown.
        in_catalog: bool [n]; only these may be recommended.

    Args:
        vocabulary: the categories that the columns of ``categories`` stand for; others are ignored.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self._category = {name: n for n, name in enumerate(self.vocabulary)}
        self.ids: list[str] = []
        self.index: dict[str, int] = {}
        self.titles: list[str] = []
        self.labels: list[tuple[str, ...]] = []
        self._allocate(1024)

    def _allocate(self, capacity: int) -> None:
        self._numbers = np.zeros((capacity, len(NUMBERS)))
        self._categories = np.zeros((capacity, len(self.vocabulary)), np.float32)
        self._published_us = np.zeros(capacity)
        self._price = np.zeros(capacity, np.float32)
        self._in_catalog = np.zeros(capacity, bool)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def numbers(self) -> NDArray[np.float64]:
        return self._numbers[: len(self)]

    @property
    def categories(self) -> NDArray[np.float32]:
        return self._categories[: len(self)]

    @property
    def published_us(self) -> NDArray[np.float64]:
        return self._published_us[: len(self)]

    @property
    def price(self) -> NDArray[np.float32]:
        return self._price[: len(self)]

    @property
    def in_catalog(self) -> NDArray[np.bool_]:
        return self._in_catalog[: len(self)]

    def column(self, name: str) -> NDArray[np.float64]:
        """One column of ``numbers``."""
        return self.numbers[:, NUMBERS.index(name)]

    def number(self, item_id: str) -> int:
        """The number of an item; a new one when it was never met."""
        n = self.index.get(item_id)
        if n is None:
            n = self.index[item_id] = len(self.ids)
            if n == len(self._numbers):
                self._grow()
            self.ids.append(item_id)
            self.titles.append("")
            self.labels.append(())
        return n

    def _grow(self) -> None:
        old = self._columns()
        self._allocate(2 * len(self._numbers))
        for source, target in zip(old, self._columns(), strict=True):
            target[: len(source)] = source

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self._numbers, self._categories, self._published_us, self._price, self._in_catalog

    def put_features(self, item_id: str, row: Row) -> int:
        """Take an item_features row in. Returns the item's number."""
        n = self.number(item_id)
        self._numbers[n] = [row[name] or 0 for name in NUMBERS]
        return n

    def put_numbers(self, numbers: NDArray[np.intp], block: NDArray[np.float64]) -> None:
        """Overwrite the item_features rows of some items: ``block`` is [len(numbers), len(NUMBERS)]."""
        self._numbers[numbers] = block

    def expire(self, before_us: float) -> int:
        """Make the item_features rows neutral whose newest event is older than a time; returns their number."""
        newest = self.column("last_event_us")
        stale = (newest != 0) & (newest < before_us)
        self.numbers[stale] = 0
        return int(stale.sum())

    def put_catalog(self, item_id: str, row: Row) -> int:
        """Take an item_catalog row in. Returns the item's number."""
        n = self.number(item_id)
        self.titles[n] = row["title"] or ""
        self.labels[n] = tuple(row["categories"] or ())
        self._categories[n] = 0
        for name in self.labels[n]:
            if (column := self._category.get(name)) is not None:
                self._categories[n, column] = 1
        self._published_us[n] = row["published_us"] or 0
        self._price[n] = row["price"] or 0
        self._in_catalog[n] = True
        return n
