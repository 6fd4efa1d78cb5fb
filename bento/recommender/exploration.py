"""A few places of an answer for items that nobody knows yet: else what has no events never gets any."""

from __future__ import annotations

import math
import time
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bento.recommender.ask import Choice, Floats, Numbers
from bento.recommender.metrics import Metrics
from bento.recommender.mixture import Cap
from feature_repo.item_table import ItemTable
from feature_repo.request_features import category_affinity, recent_numbers
from feature_repo.state import Row
from infra.settings import Settings

SOURCE = "new"

LEAST_K = 5
"""A shorter answer has no place to spare."""

FIRST_PLACE = 3
"""The places before it are never given away."""

SAMPLE = 32
"""New items that are drawn, to take those nearest to the user's taste from."""

KNOWN_FOR_S = 5.0
"""How long it is remembered which items are new: finding them looks at the whole table."""


class Explorer:
    """Puts new items into answers.

    Args:
        settings: explore_share, explore_max_events.
        metrics: ``explored`` counts places given to new items; None: they are shown to nobody.
        seed: of the draws; None: another one in every process.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None, seed: int | None = None) -> None:
        self._share = settings.explore_share
        self._most_events = settings.explore_max_events
        self._count = None if metrics is None else metrics.explored
        self._random = np.random.default_rng(seed)
        # By table: releases on trial take turns. Weakly: a release that is gone must not stay for its new items.
        self._new: WeakKeyDictionary[ItemTable, tuple[Numbers, float]] = WeakKeyDictionary()

    def explored(
        self,
        choice: Choice,
        table: ItemTable,
        row: Row | None,
        mask: NDArray[np.bool_],
        *,
        k: int,
        most: int | None,
        share: float | None = None,
    ) -> Choice:
        """The list, some of the places between the fourth and the k-th given to new items.

        A place is given with probability ``explore_share`` on average, so to no more than one in ten, rounded up. What
        stood there moves to where the new item would have come, or to the end of the list; its score stays with the
        place. An exhausted list stays as it is.

        Args:
            row: the user's, whose taste in categories chooses among the drawn items; None: chance alone does.
            mask: bool [len(table)], what may be shown.
            most: items of any one category among the k; None: any number.
            share: instead of ``explore_share``.
        """
        share = self._share if share is None else share
        if not share or k < LEAST_K or choice.exhausted:
            return choice
        places = self._places(share * k, k)
        if not places:
            return choice
        shown = set(choice.numbers[:k].tolist())
        drawn = (item for item in self._drawn(table, row, mask) if item not in shown)
        for place, item in zip(places, drawn, strict=False):
            if most is None or _fits(item, choice.numbers[:k], place, table, most):
                choice = _given(choice, place, item)
                if self._count is not None:
                    self._count.inc()
        return choice

    def _places(self, expected: float, k: int) -> list[int]:
        count = math.floor(expected) + (self._random.random() < expected - math.floor(expected))
        if not count:
            return []
        places: list[int] = (FIRST_PLACE + self._random.permutation(k - FIRST_PLACE)[:count]).tolist()
        return places

    def _drawn(self, table: ItemTable, row: Row | None, mask: NDArray[np.bool_]) -> list[int]:
        """New items that may be shown, of a sample, nearest to the user's taste first."""
        new = self._newcomers(table)
        if not len(new):
            return []
        sample = new[self._random.integers(len(new), size=SAMPLE)]
        sample = sample[mask[sample]]
        liking = self._random.random(len(sample), np.float32) * np.float32(1e-3)  # chance decides between equals
        if row is not None:
            liking += _liking(table, row, sample)
        return list(dict.fromkeys(sample[np.argsort(-liking)].tolist()))

    def _newcomers(self, table: ItemTable) -> Numbers:
        new, until = self._new.get(table, (None, 0.0))
        if new is None or time.monotonic() > until:
            new = np.flatnonzero((table.column("event_count") <= self._most_events) & table.in_catalog)
            self._new[table] = new, time.monotonic() + KNOWN_FOR_S
        return new


def _liking(table: ItemTable, row: Row, items: Numbers) -> Floats:
    taste = category_affinity(recent_numbers(row, table), table)
    categories = table.categories[items].astype(np.float32)
    lengths = np.sqrt(categories.sum(1))
    return categories @ taste / np.maximum(lengths, np.float32(1e-9))


def _fits(item: int, shown: Numbers, place: int, table: ItemTable, most: int) -> bool:
    cap = Cap(most)
    for number in np.delete(shown, place).tolist():
        cap.takes(table.labels[number])
    return cap.takes(table.labels[item])


def _given(choice: Choice, place: int, item: int) -> Choice:
    later = np.flatnonzero(choice.numbers == item)
    source = choice.sources[place]
    if not len(later):  # then the list grows by what gives way
        choice = choice.then(choice.numbers[[place]], choice.scores[[place]], [source])
    to = int(later[0]) if len(later) else len(choice.numbers) - 1
    numbers, sources = choice.numbers.copy(), choice.sources.copy()
    numbers[to], sources[to] = numbers[place], source
    numbers[place], sources[place] = item, SOURCE
    features = choice.features
    if features is not None and place < len(features):
        features = features.copy()
        features[[n for n in (place, to) if n < len(features)]] = np.nan
    return choice._replace(numbers=numbers, sources=sources, features=features)
