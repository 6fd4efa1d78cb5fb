"""Session kNN: people who met the same items lately, and what they met round them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.base import DAY_US, Asked, Floats, Meetings, Numbers, meetings, positive
from models.dataset import History

AHEAD, BEHIND = 15, 5
"""How far round a common item a neighbour is looked at."""


@dataclass
class SessionKnn:
    """Vector-multiplication session kNN (V-SkNN, Ludewig & Jannach, UMUAI 2018).

    Neighbours are the users who share recent items with the request, each item worth its recency and its rarity. A
    neighbour votes for what he met within a day of a common item, mostly after it, the nearer the more.

    Attributes:
        neighbours: how many vote.
        rarity_power: how much a popular common item is held down; popularity_power: a popular candidate.
        distance_power: how fast a vote falls with the distance from the common item.
        decay: weight of a recent item for each that was met after it.
    """

    name: str = "session kNN"
    neighbours: int = 400
    rarity_power: float = 0.3
    popularity_power: float = 0.15
    distance_power: float = 0.6
    decay: float = 0.8
    last: int = 20
    _met: Meetings = field(init=False, repr=False)
    _rows: Numbers = field(init=False, repr=False)
    _start: Numbers = field(init=False, repr=False)
    _round: NDArray[np.int32] = field(init=False, repr=False)

    def fit(self, history: History, until_us: int) -> None:
        """Note for every meeting what the user met round it, and for every item its meetings."""
        self._met = met = meetings(history, until_us)
        self._rows = np.argsort(met.item, kind="stable")
        self._start = np.searchsorted(met.item[self._rows], np.arange(met.items + 1))
        self._round = np.stack([_neighbour(met, step) for step in _steps()], 1)

    def scores(self, asked: Sequence[Asked]) -> Floats:
        """Votes of the neighbours, request by request: each has its own."""
        popularity = (np.diff(self._start) + 10.0) ** -self.popularity_power
        votes = np.stack([self._votes(one) for one in asked]) * popularity.astype(np.float32)
        return positive(votes)

    def _votes(self, one: Asked) -> Floats:
        items = one.items[-self.last :][::-1]
        counts = self._start[items + 1] - self._start[items]
        worth = self.decay ** np.arange(len(items)) * (counts + 5.0) ** -self.rarity_power
        rows = np.concatenate([np.empty(0, np.intp), *(self._rows[self._start[i] : self._start[i + 1]] for i in items)])
        worth = np.repeat(worth, counts)
        user = self._met.user[rows]
        alike = np.bincount(user, worth, self._met.users)
        alike[one.user] = 0
        if self.neighbours < len(alike):
            alike[alike < np.partition(alike, -self.neighbours)[-self.neighbours]] = 0
        chosen = alike[user] > 0
        strength = (worth[chosen] * alike[user[chosen]])[:, None] * self._fall()
        targets = self._round[rows[chosen]]
        votes = np.bincount(targets.ravel(), strength.ravel(), self._met.items + 1)[:-1]
        return votes.astype(np.float32)

    def _fall(self) -> NDArray[np.float64]:
        steps = _steps()
        return np.abs(steps) ** -self.distance_power * np.where(steps < 0, 0.5, 1.0)


def _steps() -> NDArray[np.float64]:
    return np.array([*range(-BEHIND, 0), *range(1, AHEAD + 1)], np.float64)


def _neighbour(met: Meetings, step: float) -> NDArray[np.int32]:
    """The item that each meeting's user met so many meetings later, the number of items where there is none."""
    at = np.arange(len(met.user)) + int(step)
    there = at.clip(0, len(at) - 1)
    near = (at == there) & (met.user[there] == met.user) & (np.abs(met.time_us[there] - met.time_us) <= DAY_US)
    return np.where(near, met.item[there], met.items).astype(np.int32)
