"""Quality of ranked lists, over all items (never over sampled negatives), with intervals that respect users.

All systems are judged by this one evaluator. A moment's list is compared with the items that became relevant at that
moment; moments of one user are not independent, so the intervals are clustered by user.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

METRICS: tuple[str, ...] = ("ndcg@10", "hr@10", "recall@10", "recall@20", "recall@50")
DEPTH = 50
"""Length of the lists that are judged."""

_DISCOUNT = 1 / np.log2(np.arange(2, 12))
_IDEAL = np.cumsum(_DISCOUNT)


def judge(ranked: Sequence[str], relevant: Collection[str]) -> list[float]:
    """The METRICS of one list.

    Args:
        ranked: item ids, best first; at most DEPTH are looked at.
        relevant: ids of the relevant items, at least one.

    Raises:
        ValueError: nothing is relevant, or an item stands twice in the list.
    """
    if not relevant:
        raise ValueError("relevant: no item; such a moment cannot be judged")
    if len(set(ranked)) != len(ranked):
        raise ValueError("ranked: an item stands in the list twice")
    hits = np.array([item in relevant for item in ranked[:DEPTH]], float)
    first = hits[:10]
    ndcg = first @ _DISCOUNT[: len(first)] / _IDEAL[min(10, len(relevant)) - 1]
    recalls = [hits[:k].sum() / len(relevant) for k in (10, 20, 50)]
    return [float(ndcg), float(first.any()), *map(float, recalls)]


@dataclass
class Judgement:
    """Collects one system's lists.

    Attributes:
        users: user of each moment; rows: METRICS of each moment; shown: items that stood in a first ten.
    """

    users: list[str] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)

    def add(self, user_id: str, ranked: Sequence[str], relevant: Collection[str]) -> None:
        """Judge one moment's list."""
        self.users.append(user_id)
        self.rows.append(judge(ranked, relevant))
        self.shown.update(ranked[:10])

    def quality(self, catalog_size: int) -> Quality:
        """Means over moments, half-widths of their 95 % intervals, and the share of the catalogue ever shown."""
        values = np.array(self.rows, float).reshape(len(self.rows), len(METRICS))
        half = [clustered_half_width(values[:, n], self.users) for n in range(len(METRICS))]
        means = values.mean(0) if len(values) else np.zeros(len(METRICS))
        return Quality(
            len(values),
            len(set(self.users)),
            dict(zip(METRICS, map(float, means), strict=True)),
            dict(zip(METRICS, half, strict=True)),
            len(self.shown) / catalog_size,
        )


@dataclass(frozen=True)
class Quality:
    """One system's figures: number of moments and users, means, interval half-widths, coverage of the first ten."""

    moments: int
    users: int
    means: dict[str, float]
    half_widths: dict[str, float]
    coverage: float


def clustered_half_width(values: NDArray[np.float64], users: Sequence[str]) -> float:
    """Half-width of the 95 % interval of a mean whose values come in clusters (the sandwich estimate of a ratio)."""
    if not len(values):
        return 0.0
    _, number = np.unique(np.array(users), return_inverse=True)
    residuals = np.bincount(number, values - values.mean())
    return float(1.96 * np.sqrt((residuals**2).sum()) / len(values))
