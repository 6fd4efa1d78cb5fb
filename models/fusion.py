"""Log-linear fusion of the sources: a softmax regression over the pooled candidates of a moment.

Score = w . (x - mean) / scale over SOURCE_FEATURES; w is fitted by maximum likelihood of the relevant items and
shrunk towards plain reciprocal rank fusion, so that few data leave that and many leave it behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.sources import SOURCE_FEATURES

Floats = NDArray[np.float32]

RANK_WEIGHTS: dict[str, float] = {
    "retriever": 4.0,
    "item_to_item": 2.0,
    "long_term": 1.0,
    "trending": 1.0,
    "popular": 0.5,
}
"""Weight of each source in the pool."""

SHRINKAGE = 0.03


@dataclass(frozen=True)
class Fusion:
    """The learned fusion.

    Attributes:
        source_weights: weight of each source in the pool.
        mean, scale, weights: float32 [len(SOURCE_FEATURES)].
    """

    source_weights: Mapping[str, float]
    mean: Floats
    scale: Floats
    weights: Floats

    def score(self, features: Floats) -> Floats:
        """Scores of candidates from their source features [n, F]: float32 [n]."""
        return (features - self.mean) @ (self.weights / self.scale)

    def contributions(self, features: Floats) -> Floats:
        """How much each source feature moves each score from that of an average candidate: float32 [n, F]."""
        return (features - self.mean) * (self.weights / self.scale)

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")}
        return {"source_weights": dict(self.source_weights), **arrays}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Fusion:
        """The fusion that ``as_json`` told of; KeyError where something is missing."""
        arrays = (np.array(values[name], np.float32) for name in ("mean", "scale", "weights"))
        return cls(values["source_weights"], *arrays)


def rank_fusion() -> Fusion:
    """Plain reciprocal rank fusion: what a fusion is before it has learned."""
    size = len(SOURCE_FEATURES)
    return Fusion(RANK_WEIGHTS, np.zeros(size, np.float32), np.ones(size, np.float32), _start(size))


def _start(size: int) -> Floats:
    weights = np.zeros(size, np.float32)
    weights[SOURCE_FEATURES.index("rank_fusion")] = 1
    return weights


def fit_fusion(features: Sequence[Floats], labels: Sequence[Floats], shrinkage: float = SHRINKAGE) -> Fusion:
    """Fit the fusion.

    Args:
        features: for each moment [candidates, len(SOURCE_FEATURES)].
        labels: for each moment [candidates], 1 where relevant. Moments without a relevant candidate tell nothing.
        shrinkage: L2 pull towards reciprocal rank fusion.
    """
    told = [(x, y / y.sum()) for x, y in zip(features, labels, strict=True) if y.sum() > 0]
    if not told:
        return rank_fusion()
    matrix = np.concatenate([x for x, _ in told]).astype(np.float32)
    target = np.concatenate([y for _, y in told]).astype(np.float32)
    sizes = np.array([len(y) for _, y in told])
    mean, scale = matrix.mean(0), matrix.std(0) + np.float32(1e-6)
    matrix = (matrix - mean) / scale
    start = _start(matrix.shape[1])
    loss = _SoftmaxLoss(matrix, target, sizes, start, shrinkage)
    found = minimize(loss, start.astype(np.float64), jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return Fusion(RANK_WEIGHTS, mean, scale, found.x.astype(np.float32))


class _SoftmaxLoss:
    """Mean cross-entropy over moments plus the pull, and its gradient."""

    def __init__(self, matrix: Floats, target: Floats, sizes: NDArray[np.int64], start: Floats, shrinkage: float):
        self._matrix, self._target, self._sizes = matrix, target, sizes
        self._start, self._shrinkage = start, shrinkage
        self._first = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def __call__(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = self._matrix @ weights.astype(np.float32)
        logits -= np.repeat(np.maximum.reduceat(logits, self._first), self._sizes)
        shares = np.exp(logits)
        totals = np.add.reduceat(shares, self._first)
        shares /= np.repeat(totals, self._sizes)
        likelihood = (self._target * logits).sum() - np.log(totals).sum()
        gradient = self._matrix.T @ (shares - self._target) / len(self._sizes)
        pull = weights - self._start
        loss = -likelihood / len(self._sizes) + self._shrinkage * (pull @ pull)
        return float(loss), gradient.astype(np.float64) + 2 * self._shrinkage * pull
