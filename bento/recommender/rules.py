"""What may be shown, and in what mixture: rules that hold whatever model ranks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bento.recommender.catalog import Catalog

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]


def allowed(
    catalog: Catalog, exclude: Iterable[str] = (), seen: Iterable[str] = (), category: str | None = None
) -> Mask:
    """Which items may be shown: in the catalogue, of the category, neither excluded nor seen.

    Returns:
        bool [len(catalog.table)].
    """
    table = catalog.table
    mask = table.in_catalog.copy()
    if category is not None:
        mask &= in_category(catalog, category)
    hidden = [n for item_id in (*exclude, *seen) if (n := table.index.get(item_id)) is not None]
    mask[hidden] = False
    return mask


def among(catalog: Catalog, items: Iterable[str], exclude: Iterable[str] = (), category: str | None = None) -> Mask:
    """Which of some items to rank: known, of the category, not excluded. bool [len(catalog.table)]."""
    mask = np.zeros(len(catalog.table), bool)
    index = catalog.table.index
    mask[[n for item_id in items if (n := index.get(item_id)) is not None]] = True
    mask[[n for item_id in exclude if (n := index.get(item_id)) is not None]] = False
    return mask & in_category(catalog, category) if category is not None else mask


def in_category(catalog: Catalog, category: str) -> Mask:
    """Items of a category: bool [len(catalog.table)]; none for an unknown one."""
    mask = np.zeros(len(catalog.table), bool)
    mask[list(catalog.by_category.get(category, ()))] = True
    return mask


def diversify(scores: Floats, categories: Floats, k: int, diversity: float) -> Numbers:
    """Positions of k candidates, each time the one of best score that is least like those taken.

    Maximal marginal relevance (Carbonell, Goldstein, SIGIR 1998) with scores scaled to 0..1 and the cosine
    of categories as likeness.

    Args:
        scores: [n], best first.
        categories: [n, vocabulary] multi-hot.
        k: how many to take; all when n is smaller.
        diversity: 0 keeps the order, 1 looks at likeness alone.
    """
    spread = float(np.ptp(scores)) if len(scores) else 0.0
    worth = (1 - diversity) * ((scores - scores.min()) / spread if spread else np.zeros(len(scores)))
    norms = np.linalg.norm(categories, axis=1, keepdims=True)
    vectors = categories / np.where(norms, norms, 1)
    likeness = np.zeros(len(scores))
    taken: list[int] = []
    free = np.ones(len(scores), bool)
    for _ in range(min(k, len(scores))):
        best = int(np.argmax(np.where(free, worth - diversity * likeness, -np.inf)))
        taken.append(best)
        free[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return np.array(taken, np.intp)
