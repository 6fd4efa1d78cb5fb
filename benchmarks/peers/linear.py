"""Linear item-to-item models: a history of weighted items times a matrix that is fitted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from benchmarks.peers.base import DAY_US, Asked, Floats, meetings, positive, recent, silent_without_history
from models.covisitation import co_visits
from models.dataset import History
from models.long_term import ease


@dataclass
class Ease:
    """EASE (Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019).

    Attributes:
        ridge: regularisation, lambda in the paper.
        decay: weight of an item in the history for each that was met after it; 1 is the paper's.
    """

    name: str
    ridge: float = 1_000.0
    decay: float = 1.0
    _weights: Floats = field(init=False, repr=False)

    def fit(self, history: History, until_us: int) -> None:
        """The closed form: minus the inverse of the regularised Gram matrix, each column over its diagonal."""
        self._weights = ease(meetings(history, until_us).matrix(), self.ridge).astype(np.float32)

    def scores(self, asked: Sequence[Asked]) -> Floats:
        """The history times the weights."""
        history = recent(asked, len(self._weights), self.decay)
        return silent_without_history(np.asarray(history @ self._weights), asked)


@dataclass
class ItemKnn:
    """Item-kNN by shrunk cosine (Deshpande & Karypis, ACM TOIS 2004) with a history that fades.

    Attributes:
        neighbours: kept for each candidate; shrinkage: added to the cosine's denominator; decay: as in EASE.
    """

    name: str = "item-kNN, recency"
    neighbours: int = 200
    shrinkage: float = 20.0
    decay: float = 0.8
    _weights: sp.csr_matrix = field(init=False, repr=False)

    def fit(self, history: History, until_us: int) -> None:
        """Common users over the root of both items' users."""
        met = meetings(history, until_us).matrix()
        weights = (met.T @ met).toarray()
        size = np.sqrt(np.diag(weights))
        np.fill_diagonal(weights, 0)
        weights /= np.outer(size, size) + self.shrinkage
        if self.neighbours < len(weights):
            least = -np.partition(-weights, self.neighbours - 1, axis=0)[self.neighbours - 1]
            weights[weights < least] = 0
        self._weights = sp.csr_matrix(weights)

    def scores(self, asked: Sequence[Asked]) -> Floats:
        """Sum of the cosines with the history."""
        history = recent(asked, self._weights.shape[0], self.decay)
        return positive((history @ self._weights).toarray())


@dataclass
class Covisitation:
    """Forward co-visitation: what came after an item counts by 1 / distance, within a window and a day.

    Item-to-item collaborative filtering (Linden, Smith & York, IEEE Internet Computing 2003) with the order of time.

    Attributes:
        window: events that an item looks ahead; backward: what the other direction counts.
        half_life_days: how fast co-visits fade.
        popularity_power: how much a popular candidate is held down, 0 to 1; the item it follows takes the rest.
        decay: as in EASE; session_half_life_s: what was met so long before the last item counts half as much.
    """

    name: str = "forward co-visitation"
    window: int = 20
    backward: float = 0.3
    half_life_days: float = 180.0
    popularity_power: float = 0.3
    decay: float = 0.8
    session_half_life_s: float = 1_800.0
    _weights: Floats = field(init=False, repr=False)

    def fit(self, history: History, until_us: int) -> None:
        """Count the pairs at every distance."""
        met = meetings(history, until_us)
        fade = np.exp2((met.time_us - until_us) / (self.half_life_days * DAY_US))
        counts = co_visits(met.user, met.item, met.time_us, fade, window=self.window, n_items=met.items).toarray()
        counts += self.backward * counts.T
        popularity = np.bincount(met.item, fade, met.items) + 10.0
        counts *= popularity**-self.popularity_power
        counts *= popularity[:, None] ** (self.popularity_power - 1)
        self._weights = counts.astype(np.float32)

    def scores(self, asked: Sequence[Asked]) -> Floats:
        """What came after the last twenty items."""
        half_life_us = self.session_half_life_s * 1e6
        history = recent(asked, len(self._weights), self.decay, last=20, half_life_us=half_life_us)
        return positive(np.asarray(history @ self._weights))
