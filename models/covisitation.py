"""Forward co-visitation: which items people went on to after an item.

After "item-to-item collaborative filtering" (Linden, Smith, York, IEEE Internet Computing 2003), with the
direction of time kept: j counts for i by 1 / distance when it follows within the window and the day, and i counts
for j by a smaller share. Old visits fade, and popular items are held down on both sides.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.dataset import History
from models.encoder import Tokens
from models.neighbours import Neighbours, best_neighbours

WINDOW = 20
GAP_US = 86_400 * 1_000_000
BACKWARD = 0.3
HALF_LIFE_US = 90 * 86_400e6
SMOOTHING = 10.0
FROM_POPULARITY, TO_POPULARITY = 0.7, 0.3
KEEP = 200
"""Neighbours kept for each item."""

RECENT = 20
AGE_DECAY = 0.8
SESSION_HALF_LIFE_US = 1_800e6
"""How a history counts: the last 20 items, .8 for each newer one, half for every half hour before the last act."""


def fit_covisitation(history: History) -> Neighbours:
    """Count co-visits of a history (sorted by user and time, as History is)."""
    n = len(history.item_ids)
    end = history.time_us.max(initial=0)
    interest = history.weight > 0
    user, item, time_us = history.user[interest], history.item[interest], history.time_us[interest]
    fade = np.exp2((time_us - end) / HALF_LIFE_US)
    forward = co_visits(user, item, time_us, fade, window=WINDOW, n_items=n)
    counts = sp.csr_matrix(forward + BACKWARD * forward.T)
    counts.setdiag(0)
    popularity = np.bincount(item, fade, n) + SMOOTHING
    weights = sp.diags_array(popularity**-FROM_POPULARITY) @ counts @ sp.diags_array(popularity**-TO_POPULARITY)
    return best_neighbours(weights, KEEP)


def co_visits(
    user: NDArray[np.intp],
    item: NDArray[np.intp],
    time_us: NDArray[np.int64],
    weight: NDArray[np.float64],
    *,
    window: int,
    n_items: int,
) -> sp.csr_matrix:
    """How often an item (column) followed another (row) within ``window`` acts and a day: float64 [n_items, n_items].

    Args:
        user, item, time_us: [n] acts in order of user and time.
        weight: [n]; an act counts this much, divided by its distance from the earlier one.
    """
    counts = sp.csr_matrix((n_items, n_items))
    for distance in range(1, window + 1):
        near = (user[distance:] == user[:-distance]) & (time_us[distance:] - time_us[:-distance] < GAP_US)
        pairs = (item[:-distance][near], item[distance:][near])
        counts = counts + sp.csr_matrix((weight[distance:][near] / distance, pairs), shape=(n_items, n_items))
    return counts


def recent_weights(tokens: Tokens) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The last RECENT items of a history and how much each counts."""
    items, times = tokens.items[-RECENT:], tokens.time_us[-RECENT:]
    if not len(items):
        return items, np.empty(0)
    weights = AGE_DECAY ** np.arange(len(items) - 1, -1, -1)
    return items, weights * np.exp2((times - times[-1]) / SESSION_HALF_LIFE_US)
