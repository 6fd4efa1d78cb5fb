"""What the catalogue says of an item, as the numbers from which an item without history gets its vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Item
from feature_repo.item_table import ItemTable

MAX_CATEGORIES = 256
FIRST_DECADE = 1900
DECADES = 15
"""Columns for 1900-1909 ... 2030-2039, the last of them also for later and the first for unknown or earlier."""

_YEAR_US = 365.2425 * 86_400e6


def category_vocabulary(items: Iterable[Item]) -> tuple[str, ...]:
    """The most common categories of a catalogue, at most MAX_CATEGORIES, common ones first."""
    counts = Counter(name for item in items for name in item.categories)
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:MAX_CATEGORIES])


def item_table(ids: Sequence[str], catalog: Iterable[Item], categories: Sequence[str]) -> ItemTable:
    """A table in which ``ids`` are numbered first, in their order, followed by the rest of the catalogue."""
    table = ItemTable(categories)
    for item_id in ids:
        table.number(item_id)
    for item in catalog:
        table.put_catalog(item.item_id, item.row())
    return table


def content(table: ItemTable, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
    """Content of some items: categories scaled to sum to one, and the decade of publication, one-hot.

    Returns:
        float32 [len(numbers), len(table.vocabulary) + DECADES].
    """
    categories = table.categories[numbers].astype(np.float32)
    shares = categories / np.maximum(categories.sum(1, keepdims=True), 1)
    years = 1970 + table.published_us[numbers] / _YEAR_US
    decade = np.clip((years - FIRST_DECADE) // 10, 0, DECADES - 1).astype(np.intp)
    decade[table.published_us[numbers] == 0] = 0
    return np.hstack([shares, np.eye(DECADES, dtype=np.float32)[decade]])
