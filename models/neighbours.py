"""Forward co-visitation: which items people went on to after an item, as a sparse matrix.

After "item-to-item collaborative filtering" (Linden, Smith, York, IEEE Internet Computing 2003), with the
direction of time kept: j counts for i by 1 / distance when it follows within the window and the day, and i counts
for j by a smaller share. Old visits fade, and popular items are held down on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.dataset import History
from models.encoder import Tokens

Floats = NDArray[np.float32]

WINDOW = 20
GAP_US = 86_400 * 1_000_000
BACKWARD = 0.3
HALF_LIFE_US = 90 * 86_400e6
SMOOTHING = 10.0
FROM_POPULARITY, TO_POPULARITY = 0.7, 0.3
KEEP = 200
"""Neighbours kept for each item."""

HISTORY = 20
AGE_DECAY = 0.8
SESSION_HALF_LIFE_US = 1_800e6
"""How a history counts: the last 20 items, .8 for each newer one, half for every half hour before the last act."""


@dataclass(frozen=True)
class Neighbours:
    """The best KEEP neighbours of each item as compressed rows.

    Attributes:
        indptr: int64 [n + 1]; indices: int32 [m] item numbers; data: float32 [m] weights, best first in a row.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: Floats

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def of(self, item: int) -> tuple[NDArray[np.int32], Floats]:
        """Neighbours of one item and their weights, best first; none for an item that came later or is -1."""
        if not 0 <= item < len(self):
            return self.indices[:0], self.data[:0]
        part = slice(self.indptr[item], self.indptr[item + 1])
        return self.indices[part], self.data[part]

    def scores(self, tokens: Tokens, n_items: int) -> Floats:
        """Scores of all items for a history: float32 [n_items]; zeros without one."""
        out = np.zeros(n_items, np.float32)
        items, times = tokens.items[-HISTORY:], tokens.time_us[-HISTORY:]
        if len(items):
            weights = AGE_DECAY ** np.arange(len(items) - 1, -1, -1)
            weights = weights * np.exp2((times - times[-1]) / SESSION_HALF_LIFE_US)
            for item, weight in zip(items, weights, strict=True):
                indices, data = self.of(item)
                out[indices] += np.float32(weight) * data
        return out

    def row(self, item: int, n_items: int) -> Floats:
        """Weights of all items as neighbours of one: float32 [n_items]."""
        row = np.zeros(n_items, np.float32)
        indices, data = self.of(item)
        row[indices] = data
        return row


def fit_neighbours(history: History) -> Neighbours:
    """Count co-visits of a history (sorted by user and time, as History is)."""
    n = len(history.item_ids)
    end = history.time_us.max(initial=0)
    fade = np.exp2((history.time_us - end) / HALF_LIFE_US)
    interest = history.weight > 0
    user, item, time_us, fade = (a[interest] for a in (history.user, history.item, history.time_us, fade))
    counts = sp.csr_matrix((n, n))
    for distance in range(1, WINDOW + 1):
        near = (user[distance:] == user[:-distance]) & (time_us[distance:] - time_us[:-distance] < GAP_US)
        earlier, later = item[:-distance][near], item[distance:][near]
        pairs = sp.csr_matrix((fade[distance:][near] / distance, (earlier, later)), shape=(n, n))
        counts = counts + pairs + BACKWARD * pairs.T
    counts.setdiag(0)
    popularity = np.bincount(item, fade, n) + SMOOTHING
    weights = sp.diags_array(popularity**-FROM_POPULARITY) @ counts @ sp.diags_array(popularity**-TO_POPULARITY)
    return _best(sp.csr_matrix(weights))


def _best(weights: sp.csr_matrix) -> Neighbours:
    weights.eliminate_zeros()
    weights.sort_indices()
    rows = []
    for item in range(weights.shape[0]):
        part = slice(weights.indptr[item], weights.indptr[item + 1])
        order = np.argsort(-weights.data[part], kind="stable")[:KEEP]
        rows.append((weights.indices[part][order], weights.data[part][order]))
    return Neighbours(
        np.concatenate([[0], np.cumsum([len(indices) for indices, _ in rows])]).astype(np.int64),
        np.concatenate([indices for indices, _ in rows] or [np.empty(0)]).astype(np.int32),
        np.concatenate([data for _, data in rows] or [np.empty(0)]).astype(np.float32),
    )
