"""Item-to-item weights as compressed rows: for each item its best neighbours, as lists that serving adds up.

``covisitation.py`` and ``long_term.py`` fit them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]


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

    def scores(self, items: Numbers, weights: NDArray[np.float64], n_items: int) -> Floats:
        """Weighted sum of some items' rows: float32 [n_items]; zeros where no row names an item.

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
        sums = np.bincount(self.indices[places], self.data[places] * np.repeat(weights, lengths), n_items)
        return sums.astype(np.float32)


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
