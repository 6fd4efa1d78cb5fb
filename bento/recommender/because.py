"""Sentences on one item: what the visitor did, and what is true of the item now. Each follows from the data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from bento.recommender.release import Release
from bento.recommender.visitors import Visitor
from feature_repo.events import MICROSECONDS
from feature_repo.item_table import TIMES, ItemTable
from feature_repo.request_features import DAY_US, empty_user, interest_at
from feature_repo.state import HALF_LIVES
from models.covisitation import RECENT, recent_weights
from models.encoder import tokens_of

VERBS = {"view": "looked at {}", "click": "clicked {}", "add_to_cart": "put {} into the cart", "purchase": "bought {}"}

RISES = 1.5
"""An item rises when it is sought so many times as often this week as over the month."""

FEW = 3.0
"""Decayed acts below which nothing is said of how much an item is sought."""

LASTING = 100
"""Of what a visitor has met, so many last items are looked through for what goes with an item."""


class Act(NamedTuple):
    """One of the visitor's last acts, on a known item."""

    number: int
    event_type: str
    value: float

    def told(self, title: str) -> str:
        """The act in words."""
        return f"rated {title} {self.value:g}" if self.event_type == "rate" else VERBS[self.event_type].format(title)


@dataclass(frozen=True)
class Because:
    """What can be said to a visitor of items of a release, under the catalogue's lock."""

    release: Release
    visitor: Visitor
    now_us: int

    @property
    def table(self) -> ItemTable:
        return self.release.catalog.table

    @cached_property
    def acts(self) -> Sequence[Act]:
        """The last acts that speak for something, oldest first: no removals, no ratings below the visitor's mean."""
        row = self.visitor.row or empty_user()
        found: list[Act] = []
        columns = (row["recent_items"] or (), row["recent_types"] or (), row["recent_values"] or ())
        for item_id, event_type, value in zip(*columns, strict=False):
            number = self.table.index.get(item_id)
            liked = event_type in VERBS or (event_type == "rate" and value and value >= (row["mean_value"] or 0))
            if number is not None and liked:
                found.append(Act(number, event_type, value))
        return found

    def act(self, item: int) -> str | None:
        """The last acts after which people went on to the item: the one that says most for it."""
        best, told = 0.0, None
        for number, weight in self._weights.items():
            share = weight * self._led.get(number, {}).get(item, 0.0)
            act = next((act for act in reversed(self.acts) if act.number == number), None)
            if act is not None and share > best:
                best, told = share, f"because you {act.told(self.title(number))}"
        return told

    def lasting(self, item: int) -> str | None:
        """What of all that the visitor has met, before the last acts, goes with the item most."""
        best = max(self._lasting, key=lambda number: self._lasting[number].get(item, 0.0), default=None)
        if best is None or self._lasting[best].get(item, 0.0) <= 0:
            return None
        return f"goes with {self.title(best)}, which you know"

    def kind(self, item: int) -> str | None:
        """The categories that the item shares with the last acts, and the newest act that has them."""
        labels = self.table.labels
        recent = self.acts[-5:]
        shared = [label for label in labels[item] if sum(label in labels[act.number] for act in recent) >= 2]
        if not shared:
            return None
        newest = next(act for act in reversed(recent) if shared[0] in labels[act.number])
        return f"{', '.join(shared[:2])}, as you {newest.told(self.title(newest.number))}"

    def trend(self, item: int) -> str | None:
        """How much the item is sought now."""
        counts = dict(zip(HALF_LIVES, interest_at(self.table, np.array([item]), self.now_us)[0].tolist(), strict=True))
        if counts["7d"] >= FEW and self._pace(item, counts, "7d") >= RISES * self._pace(item, counts, "30d"):
            return "rising this week"
        if counts["1d"] >= FEW:
            return "much sought today"
        return "much sought this week" if counts["7d"] >= FEW else None

    def popular(self, item: int) -> str:
        """How many acts the item has seen."""
        count = int(self.table.column("event_count")[item])
        return f"popular: {count:,} acts so far" if count >= FEW else "from the catalogue"

    def value(self, item: int) -> str | None:
        """How well the item is rated, where that is better than the visitor rates."""
        mean, own = self.table.column("mean_value")[item], (self.visitor.row or empty_user())["mean_value"] or 0.0
        count = int(self.table.column("value_count")[item])
        return f"rated {mean:.1f} on average" if count >= FEW and mean > own else None

    def segments(self, item: int) -> str | None:
        """Whom the item is liked by."""
        liked = self.table.ids[item] in self.visitor.favourites
        return f"liked by people of {' or '.join(self.visitor.segments)}" if liked else None

    def title(self, item: int) -> str:
        """What people call an item."""
        return self.table.titles[item] or self.table.ids[item]

    def _pace(self, item: int, counts: Mapping[str, float], half_life: str) -> float:
        """A decayed count as acts a day: what is left of so many a day since the item's first act."""
        days = max(self.now_us - self.table.times_us[item, TIMES.index("first_event_us")], 1.0) / DAY_US
        half = HALF_LIVES[half_life] * MICROSECONDS / DAY_US
        return counts[half_life] / (half * -math.expm1(-math.log(2) * days / half))

    @cached_property
    def _weights(self) -> dict[int, float]:
        numbers, weights = recent_weights(tokens_of(self.visitor.row or empty_user(), self.table.index))
        found: dict[int, float] = {}
        for number, weight in zip(numbers.tolist(), weights.tolist(), strict=True):
            found[number] = found.get(number, 0.0) + weight
        return found

    @cached_property
    def _led(self) -> dict[int, dict[int, float]]:
        """Where people went on to from each of the last items."""
        return dict(self._rows("covisitation", [act.number for act in self.acts[-RECENT:]]))

    @cached_property
    def _lasting(self) -> dict[int, dict[int, float]]:
        index = self.table.index
        met = [index[item_id] for item_id in self.visitor.seen[-LASTING:] if item_id in index]
        return dict(self._rows("long_term", [n for n in met if n not in self._weights]))

    def _rows(self, name: str, items: Sequence[int]) -> Iterator[tuple[int, dict[int, float]]]:
        if self.release.bundle is None:
            return
        neighbours = getattr(self.release.bundle, name)
        for item in dict.fromkeys(items):
            indices, weights = neighbours.of(item)
            yield item, dict(zip(indices.tolist(), weights.tolist(), strict=True))
