"""In what mixture items are shown: unlike each other, and not too many of one category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]
Labels = Sequence[Sequence[str]]

MIXTURE = 10
"""Candidates to mix from, as a multiple of k."""


class Cap:
    """Counts categories, and says which item would be one too many.

    Args:
        most: items of any one category; None: any number.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._met: Counter[str] = Counter()

    def takes(self, labels: Sequence[str]) -> bool:
        """Whether one more item of these categories fits; if so it is counted."""
        if self.most is None:
            return True
        if any(self._met[label] >= self.most for label in labels):
            return False
        self._met.update(set(labels))
        return True

    def full(self) -> list[str]:
        """Categories of which no more fits."""
        return [label for label, count in self._met.items() if self.most is not None and count >= self.most]


def mixed(scores: Floats, categories: Floats, labels: Labels, cap: Cap, *, k: int, diversity: float) -> list[int]:
    """Positions of at most k candidates, each time the best one that is least like those taken and fits the cap.

    Maximal marginal relevance (Carbonell, Goldstein, SIGIR 1998) with scores scaled to 0..1 and the cosine
    of categories as likeness.

    Args:
        scores: [n], best first.
        categories: [n, vocabulary] multi-hot.
        labels: every category of each candidate, also those outside the vocabulary.
        k: how many to take; fewer where no more fit.
        diversity: 0 keeps the order, 1 looks at likeness alone.
    """
    if not diversity:
        return capped(range(len(scores)), labels, k, cap)
    vectors = _unit_columns(categories)
    worth = (1 - diversity) * _scaled(scores)
    likeness = np.zeros(len(scores), np.float32)
    taken: list[int] = []
    for _ in range(len(scores)):
        if len(taken) == k:
            break
        best = int(np.argmax(worth - diversity * likeness))
        worth[best] = -np.inf
        if cap.takes(labels[best]):
            taken.append(best)
            mine = np.flatnonzero(vectors[:, best])
            np.maximum(likeness, vectors[mine, best] @ vectors[mine], out=likeness)
    return taken


def capped(order: Sequence[int], labels: Labels, k: int, cap: Cap) -> list[int]:
    """The first k candidates of an order that fit the cap."""
    if cap.most is None:
        return list(order[:k])
    taken: list[int] = []
    for n in order:
        if len(taken) == k:
            break
        if cap.takes(labels[n]):
            taken.append(n)
    return taken


def pages(order: Sequence[int], labels: Labels, k: int, most: int | None) -> list[int]:
    """An order, rearranged so that the cap holds among each k of it; ends where no full k fits any more."""
    if most is None:
        return list(order)
    left, arranged = list(order), []
    while left:
        page = capped(left, labels, k, Cap(most))
        arranged += page
        if len(page) < k:
            break
        gone = set(page)
        left = [n for n in left if n not in gone]
    return arranged


def _scaled(scores: Floats) -> NDArray[np.float64]:
    spread = float(np.ptp(scores)) if len(scores) else 0.0
    return (scores - scores.min()) / spread if spread else np.zeros(len(scores))


def _unit_columns(categories: Floats) -> Floats:
    """The candidates' categories as columns of length one: float32 [vocabulary, n]."""
    vectors = np.ascontiguousarray(categories.T, np.float32)
    norms = np.sqrt(np.square(vectors).sum(0))
    return vectors / np.maximum(norms, np.float32(1e-9))
