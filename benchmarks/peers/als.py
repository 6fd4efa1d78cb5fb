"""Implicit alternating least squares, users folded in at the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from benchmarks.peers.base import Asked, Floats, meetings, recent, silent_without_history
from models.dataset import History


@dataclass
class ImplicitAls:
    """iALS (Hu, Koren & Volinsky, ICDM 2008) by the library ``implicit``.

    A request's user is solved for anew from his history as it stands, so that live events count; the confidence of an
    item fades with each that was met after it.

    Attributes:
        factors, ridge, iterations: of the factorisation; confidence: its alpha in the paper.
        request_confidence: alpha at the request; more than in the fit pays where only the last items count fully.
        decay: weight of an item in the history for each that was met after it.
        seed: of the starting factors.
    """

    name: str = "iALS, recency"
    factors: int = 64
    ridge: float = 0.01
    confidence: float = 5.0
    iterations: int = 15
    request_confidence: float = 20.0
    decay: float = 0.8
    seed: int = 0
    _items: Floats = field(init=False, repr=False)

    def fit(self, history: History, until_us: int) -> None:
        """Item factors by alternating least squares."""
        met = meetings(history, until_us).matrix()
        model = AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.ridge,
            alpha=self.confidence,
            iterations=self.iterations,
            num_threads=1,  # the same factors each time
            random_state=self.seed,
        )
        with threadpool_limits(1, "blas"):  # the library asks for it
            model.fit(met, show_progress=False)
        self._items = model.item_factors
        self._items[np.bincount(met.indices, minlength=met.shape[1]) == 0] = 0

    def scores(self, asked: Sequence[Asked]) -> Floats:
        """Folded-in users times items."""
        return silent_without_history(self._fold_in(asked) @ self._items.T, asked)

    def _fold_in(self, asked: Sequence[Asked]) -> Floats:
        gram = self._items.T @ self._items + self.ridge * np.eye(self.factors, dtype=np.float32)
        history = recent(asked, len(self._items), self.decay)
        users = np.zeros((len(asked), self.factors), np.float32)
        for row, (begin, end) in enumerate(pairwise(history.indptr)):
            items = self._items[history.indices[begin:end]]
            confidence = self.request_confidence * history.data[begin:end]
            # Confidence never falls below 1, that of an item not met.
            extra = (confidence - 1).clip(0)[:, None] * items
            users[row] = np.linalg.solve(gram + extra.T @ items, confidence.clip(1) @ items)
        return users
