"""Lasting taste: what goes with all that a user has ever met, the older the less.

EASE (Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019), a linear model of every item on all
others in closed form, while the catalogue is small enough to invert its Gram matrix; beyond that item-kNN by cosine
(Deshpande, Karypis, ACM TOIS 2004). Either way each item keeps its KEEP largest weights: on MovieLens that is as good
as all of them.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.dataset import History
from models.neighbours import Neighbours, best_neighbours, stacked

EASE_ITEMS = 8_000
"""Largest catalogue for EASE: the inverse takes items^3 steps and three matrices of items^2 numbers."""

RIDGE = 1_000.0
SHRINKAGE = 20.0
KEEP = 100
"""Neighbours kept for each item."""

AGE_DECAY = 0.98
"""How much an item counts, per item met since."""

LATEST = 500
"""Items of a user that count; what was met before them would weigh less than .98 ** 500 = 4e-5."""

_WEIGHTS = np.power(AGE_DECAY, np.arange(LATEST - 1, -1, -1, dtype=np.float64))
_BLOCK = 2_000


def fit_long_term(history: History) -> Neighbours:
    """EASE or item-kNN, by the size of the catalogue, of what users met with interest."""
    interest = history.weight > 0
    met = sp.csr_matrix(
        (np.ones(interest.sum(), np.float32), (history.user[interest], history.item[interest])),
        shape=(len(history.user_ids), len(history.item_ids)),
    )
    return best_neighbours(ease(met), KEEP) if met.shape[1] <= EASE_ITEMS else item_knn(met)


def ease(met: sp.csr_matrix, ridge: float = RIDGE) -> NDArray[np.float64]:
    """EASE's weights: row i holds what having met item i says of every other. float64 [items, items].

    Args:
        met: 1 where a user met an item: [users, items].
        ridge: lambda in the paper.
    """
    gram = (met.T @ met).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += ridge
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def item_knn(met: sp.csr_matrix) -> Neighbours:
    """Shrunk cosine of the items' users, block by block of rows: for millions of items."""
    sizes = np.sqrt(np.asarray(met.sum(0), np.float64).ravel())
    parts = []
    for begin in range(0, met.shape[1], _BLOCK):
        common = sp.coo_matrix(met[:, begin : begin + _BLOCK].T @ met)
        rows, columns = common.row + begin, common.col
        cosine = np.where(rows == columns, 0, common.data / (sizes[rows] * sizes[columns] + SHRINKAGE))
        parts.append(best_neighbours(sp.csr_matrix((cosine, (common.row, columns)), shape=common.shape), KEEP))
    return stacked(parts)


def lasting_weights(seen: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The last LATEST of the items that a user has met, given as numbers, oldest first, and how much each counts."""
    seen = seen[-LATEST:]
    return seen, _WEIGHTS[LATEST - len(seen) :]
