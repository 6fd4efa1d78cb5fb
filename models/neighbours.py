"""Item-to-item weights as compressed rows: for each item its best neighbours, as lists that serving adds up.

``covisitation.py`` and ``long_term.py`` fit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.sources import distinct

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]


class Sums(NamedTuple):
    """What rows add up to.

    Attributes:
        named: the distinct items that any of them names.
        values: the sum of every item, float64 [n_items]: only the places that are named are ever touched, or read.
        total: sum of all values.
    """

    named: NDArray[np.integer]
    values: NDArray[np.float64]
    total: float

    def of(self, items: Numbers) -> Floats:
        """The sums of some items: float32 [len(items)]."""
        return self.values[items].astype(np.float32)

    def entries(self) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
        """The named items and the sum of each."""
        return self.named, self.values[self.named]


@dataclass(frozen=True)
class Neighbours:
    """The best neighbours of each of n items as compressed rows.

    Attributes:
        indptr: int64 [n + 1]; indices: int32 [m] item numbers; data: float32 [m] weights, best first in a row.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: Floats

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def of(self, item: int) -> tuple[NDArray[np.int32], Floats]:
        """Neighbours of one item and their weights, best first; none for an item that came later."""
        if item >= len(self):
            return self.indices[:0], self.data[:0]
        part = slice(self.indptr[item], self.indptr[item + 1])
        return self.indices[part], self.data[part]

    def sums(self, items: Numbers, weights: NDArray[np.float64], n_items: int) -> Sums:
        """Weighted sum of some items' rows.

        Args:
            items: [h] item numbers; those that came after the fit have no row.
            weights: [h] how much each counts.
        """
        known = items < len(self)
        items, weights = items[known], weights[known]
        first = self.indptr[items]
        lengths = self.indptr[items + 1] - first
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - ends + lengths, lengths)
        named = self.indices[places]
        added = self.data[places] * np.repeat(weights, lengths)
        values = np.bincount(named, added, n_items).astype(np.float64, copy=False)
        return Sums(distinct(named, n_items), values, float(added.sum()))


def best_neighbours(weights: sp.csr_matrix | NDArray[np.float64], keep: int) -> Neighbours:
    """The ``keep`` weights of largest size in each row of a matrix [rows, items], best first."""
    weights = sp.csr_matrix(weights)
    weights.eliminate_zeros()
    weights.sort_indices()
    rows = [_best_of(weights, item, keep) for item in range(weights.shape[0])]
    return Neighbours(
        np.cumsum([0, *(len(indices) for indices, _ in rows)]).astype(np.int64),
        np.concatenate([np.empty(0, np.int32), *(indices for indices, _ in rows)]).astype(np.int32),
        np.concatenate([np.empty(0, np.float32), *(data for _, data in rows)]).astype(np.float32),
    )


def stacked(parts: Sequence[Neighbours]) -> Neighbours:
    """The rows of several parts, one after another."""
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    return Neighbours(
        np.cumsum([0, *lengths]).astype(np.int64),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.data for part in parts]),
    )


def _best_of(weights: sp.csr_matrix, item: int, keep: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    part = slice(weights.indptr[item], weights.indptr[item + 1])
    indices, data = weights.indices[part], weights.data[part]
    if len(data) > keep:
        largest = np.sort(np.argpartition(-np.abs(data), keep)[:keep])
        indices, data = indices[largest], data[largest]
    order = np.argsort(-data, kind="stable")
    return indices[order], data[order]
