"""What most people met lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.peers.base import DAY_US, Asked, Floats
from models.dataset import History


@dataclass
class Popularity:
    """Meetings of the last days, all-time counts where these are equal.

    Only full days count, those before the day up to which the request knows of others, so that no moment of a day can
    see a later one of the same day.

    Attributes:
        days: length of the window, or half-life where counts are ``decayed`` instead.
    """

    name: str
    days: int
    decayed: bool = False
    _first: int = field(init=False, repr=False)
    _ever: Floats = field(init=False, repr=False)
    _lately: Floats = field(init=False, repr=False)

    def fit(self, history: History, until_us: int) -> None:
        """Count the meetings of every day, also of later ones: they are read as of the request."""
        kept = history.weight > 0
        day = history.time_us[kept] // DAY_US
        self._first = int(day.min()) if len(day) else 0
        daily = np.zeros((int(day.max(initial=self._first)) - self._first + 2, len(history.item_ids)), np.float32)
        np.add.at(daily, (day - self._first + 1, history.item[kept]), 1)
        self._ever = daily.cumsum(0)
        self._lately = self._fade(daily) if self.decayed else self._window()

    def scores(self, asked: Sequence[Asked]) -> Floats:
        """Counts as of the day up to which others are known."""
        day = np.array([one.known_us // DAY_US - self._first for one in asked]).clip(0, len(self._ever) - 1)
        ever = self._ever[day]
        scores = self._lately[day] + ever / (1 + ever.max(1, keepdims=True))
        return np.where(ever > 0, scores, np.float32(-np.inf))

    def _window(self) -> Floats:
        lately = self._ever.copy()
        lately[self.days :] -= self._ever[: -self.days]
        return lately

    def _fade(self, daily: Floats) -> Floats:
        faded, keep = daily.copy(), np.float32(0.5 ** (1 / self.days))
        for day in range(1, len(faded)):
            faded[day] += keep * faded[day - 1]
        return faded
