"""A made-up town whose tastes change in one night: what a model's life is watched on.

Every item belongs to a style that no category and no title shows; every person likes one style much and another a
little. In the first season people want the first collection. When the second comes, half of the people change their
styles, and most of what anybody wants is new: a model of the first season knows neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Event, Item, UserProfile

Numbers = NDArray[np.intp]
Floats = NDArray[np.float64]

STYLES = 12
CATEGORIES = ("kitchen", "garden", "music", "sports", "books", "toys")
REGIONS = ("north", "east", "south", "west")

LIKED, LIKED_SOMEWHAT, OTHER = 0.30, 0.15, 0.012
"""Chance of a click on an item that is looked at, by how much its style is liked."""

OUT_OF_SEASON = 0.25
"""What is left of that chance for the first collection in the second season."""

LOOKS_ON = 0.93
"""Chance that who looked at one place of a list looks at the next."""

CHANCE = 0.1
"""Share of the acts beside the lists that follow no taste."""

SECOND_STYLE = 0.25
"""Share of the acts beside the lists that follow the second style."""

HISTORY_DAYS = 30.0


@dataclass(frozen=True)
class Town:
    """People, items and who likes what.

    Attributes:
        style: [items] of each item; the first collection's items come first.
        first_collection: how many items it has.
        popularity: [items] how often an item is taken by those who like its style, unscaled.
        liked, somewhat: [users] each user's styles in the first season.
    """

    style: Numbers
    first_collection: int
    popularity: Floats
    liked: Numbers
    somewhat: Numbers

    @classmethod
    def founded(cls, users: int, first_collection: int, second_collection: int, random: np.random.Generator) -> Town:
        """A town of some size."""
        items = first_collection + second_collection
        liked = random.integers(STYLES, size=users)
        somewhat = (liked + random.integers(1, STYLES, size=users)) % STYLES
        return cls(
            random.integers(STYLES, size=items),
            first_collection,
            random.lognormal(0, 0.8, items),
            liked,
            somewhat,
        )

    def chances(self, user: int, items: Numbers, season: int) -> Floats:
        """Chance of a click on each of some items when the user looks at it: float64 [n]; season 0 or 1."""
        style = self.style[items]
        chance = np.full(len(items), OTHER)
        chance[style == self._style(self.somewhat, user, season)] = LIKED_SOMEWHAT
        chance[style == self._style(self.liked, user, season)] = LIKED
        if season:
            chance[items < self.first_collection] *= OUT_OF_SEASON
        return chance

    def clicked(self, user: int, items: Numbers, season: int, random: np.random.Generator) -> Numbers:
        """Positions of a list that the user clicks: looks from the top, and at each place may have had enough."""
        looked = int(random.geometric(1 - LOOKS_ON))
        wants = random.random(len(items)) < self.chances(user, items, season)
        return np.flatnonzero(wants[:looked])

    def found(self, user: int, season: int, random: np.random.Generator) -> int:
        """An item that the user comes to without any list: a search, a friend, a walk through the shop."""
        first = 0 if season == 0 or random.random() < OUT_OF_SEASON else self.first_collection
        last = self.first_collection if first == 0 else len(self.style)
        among = np.arange(first, last)
        if random.random() >= CHANCE:
            styles = self.somewhat if random.random() < SECOND_STYLE else self.liked
            among = among[self.style[among] == self._style(styles, user, season)]
        weights = self.popularity[among]
        return int(random.choice(among, p=weights / weights.sum()))

    def _style(self, styles: Numbers, user: int, season: int) -> int:
        """The user's style in a season: every other user's is the next one in the second."""
        return int(styles[user] + season * (user % 2)) % STYLES


def item_id(number: int) -> str:
    return f"item-{number:04d}"


def user_id(number: int) -> str:
    return f"person-{number:04d}"


def catalogue(town: Town, published: datetime, numbers: range) -> Iterator[Item]:
    """Catalogue entries of some items: a category that says nothing of the style."""
    random = np.random.default_rng(len(town.style))
    shelves = random.integers(len(CATEGORIES), size=len(town.style))
    for number in numbers:
        shelf = CATEGORIES[shelves[number]]
        entry = {"title": f"{shelf.title()} no. {number}", "categories": [shelf], "published_at": published}
        yield Item.model_validate({"item_id": item_id(number), **entry})


def profiles(town: Town) -> Iterator[UserProfile]:
    """Profiles: a region, which says nothing of the taste either."""
    for number in range(len(town.liked)):
        yield UserProfile(user_id=user_id(number), segments=(f"region:{REGIONS[number % len(REGIONS)]}",))


def history(town: Town, events: int, now: datetime, random: np.random.Generator) -> Iterator[Event]:
    """Acts of the first season, in order of time, the last of them now."""
    ages = np.sort(random.random(events))[::-1] * HISTORY_DAYS
    ages -= ages[-1]
    for number, (age, user) in enumerate(zip(ages, random.integers(len(town.liked), size=events), strict=True)):
        act = {"user_id": user_id(int(user)), "item_id": item_id(town.found(int(user), 0, random))}
        when = {"event_id": f"history-{number}", "timestamp": now - timedelta(days=float(age))}
        yield Event.model_validate({**act, **when, "event_type": "click"})
