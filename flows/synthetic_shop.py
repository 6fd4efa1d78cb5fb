"""What happens in a made-up shop: its shelves, who looks at what in which session, and what becomes of it.

Everything is drawn for all sessions at once, step by step of their walks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]

KINDS = ("view", "click", "add_to_cart", "remove_from_cart", "purchase", "rate")

DEPARTMENTS = (
    "garden",
    "kitchen",
    "music",
    "books",
    "shoes",
    "toys",
    "tools",
    "sports",
    "beauty",
    "phones",
    "lamps",
    "tea",
    "games",
    "bags",
    "pets",
    "paper",
)
ITEMS_PER_SHELF = 400
MAX_SHELVES = 240
"""A shelf is a category within a department; a model's vocabulary holds 256 categories."""

DAYS = 90
NEW_SHARE = 0.2
"""Items that came within the history; the others may be ten years old."""

POPULARITY_POWER, SHELF_POWER, ACTIVITY_SPREAD = 0.9, 0.6, 1.1
TASTES = 3
"""Shelves that a user likes; he looks there with probability LOYALTY, else where everybody looks."""

LOYALTY = 0.85
STAY, MOST_STEPS = 0.75, 20
"""After each item a session goes on with probability STAY, MOST_STEPS items at most."""

NEARBY, REACH = 0.6, 3
"""It goes on to one of the REACH items that stand behind on the shelf, or else to a popular one of the shelf."""

CLICKED, CARTED, REMOVED, BOUGHT, RATED = 0.45, 0.25, 0.15, 0.45, 0.3
"""Of items seen, clicked, carted, carted and bought: shares that are clicked, carted, removed, bought, rated."""

REDRAWS = 4
DAY_S = 86_400.0


class Shelves(NamedTuple):
    """All items, shelf after shelf: item n stands at place n. Times are seconds from the begin of the history.

    Attributes:
        shelf: int64 [items]; first, last: int64 [shelves], places of a shelf's first item and behind its last.
        mass: float64 [items + 1]; popularity summed up over all items before a place.
        born_s: float64 [items]; when an item came: before the begin for most.
        price: float64 [items].
    """

    shelf: Numbers
    first: Numbers
    last: Numbers
    mass: Floats
    born_s: Floats
    price: Floats

    @classmethod
    def stocked(cls, items: int, random: np.random.Generator) -> Shelves:
        """Shelves with that many items: large and small shelves, popular items and others."""
        count = int(np.clip(items // ITEMS_PER_SHELF, min(items, len(DEPARTMENTS)), MAX_SHELVES))
        shares = (1 + np.arange(count)) ** -SHELF_POWER
        rest = random.choice(count, items - count, p=shares / shares.sum())
        shelf = np.sort(np.concatenate([np.arange(count), rest]))
        popularity = random.permutation((1 + np.arange(items)) ** -POPULARITY_POWER)
        born_s = -random.uniform(0, 3_650, items) * DAY_S
        new = random.random(items) < NEW_SHARE
        born_s[new] = random.uniform(0, (DAYS - 1) * DAY_S, new.sum())
        level = np.exp(random.normal(3, 1, count))
        return cls(
            shelf,
            np.searchsorted(shelf, np.arange(count)),
            np.searchsorted(shelf, np.arange(count), side="right"),
            np.concatenate([[0.0], np.cumsum(popularity)]),
            born_s,
            np.round(level[shelf] * np.exp(random.normal(0, 0.5, items)), 2),
        )

    def popular(self, shelf: Numbers, random: np.random.Generator) -> Numbers:
        """An item of each of some shelves, popular ones more often."""
        low, high = self.mass[self.first[shelf]], self.mass[self.last[shelf]]
        found = np.searchsorted(self.mass, random.uniform(low, high), side="right") - 1
        return np.clip(found, self.first[shelf], self.last[shelf] - 1)

    def behind(self, item: Numbers, random: np.random.Generator) -> Numbers:
        """For each item one of those that stand close behind it; after a shelf's last item come its first ones."""
        shelf = self.shelf[item]
        first, length = self.first[shelf], self.last[shelf] - self.first[shelf]
        return first + (item - first + random.integers(1, REACH + 1, len(item))) % length

    def department(self, shelf: int) -> str:
        """The department that a shelf belongs to."""
        return DEPARTMENTS[shelf % len(DEPARTMENTS)]


class Visits(NamedTuple):
    """One row for each item that a user looked at in a session; ``tastes``: int64 [users, TASTES], shelves."""

    user: Numbers
    session: Numbers
    item: Numbers
    time_s: Floats
    tastes: Numbers


def visits_of(users: int, events_per_user: float, shelves: Shelves, random: np.random.Generator) -> Visits:
    """All sessions of a history of DAYS days."""
    shares = np.diff(shelves.mass[np.append(shelves.first, shelves.last[-1])])
    shares /= shares.sum()
    tastes = random.choice(len(shares), (users, TASTES), p=shares)
    user = _sessions(users, events_per_user, random)
    clock_s, item = _openings(len(user), random), np.empty(0, np.int64)
    favourite = tastes[user, random.choice(TASTES, len(user), p=[0.6, 0.25, 0.15])]
    shelf = np.where(random.random(len(user)) < LOYALTY, favourite, random.choice(len(shares), len(user), p=shares))
    walk = np.arange(len(user))  # sessions that still go on
    steps: list[tuple[Numbers, Numbers, Floats]] = []
    for step in range(MOST_STEPS):
        item = _next_items(item, shelf[walk], shelves, random) if step else shelves.popular(shelf, random)
        item = _available(item, shelf[walk], clock_s, shelves, random)
        there = shelves.born_s[item] <= clock_s
        steps.append((walk[there], item[there], clock_s[there]))
        stay = random.random(len(walk)) < STAY
        walk, item, clock_s = walk[stay], item[stay], clock_s[stay]
        clock_s = clock_s + random.exponential(50, len(walk)) + 2
    session, items, times = (np.concatenate(column) for column in zip(*steps, strict=True))
    return Visits(user[session], session, items, times, tastes)


def _sessions(users: int, events_per_user: float, random: np.random.Generator) -> Numbers:
    """The user of each session; everybody has one at least."""
    items = (1 - STAY**MOST_STEPS) / (1 - STAY)
    acts = items * (1 + CLICKED * (1 + CARTED * (1 + REMOVED + BOUGHT * (1 + RATED))))
    activity = np.exp(random.normal(0, ACTIVITY_SPREAD, users) - ACTIVITY_SPREAD**2 / 2)
    wanted = np.maximum(1, random.poisson(activity * events_per_user / acts))
    return np.repeat(np.arange(users), wanted)


def _openings(count: int, random: np.random.Generator) -> Floats:
    """When sessions begin: more of them towards the end and in the evening."""
    hours = 1.0 + np.cos((np.arange(24) - 20) / 24 * 2 * np.pi) * 0.9
    hour = random.choice(24, count, p=hours / hours.sum())
    day = np.floor(DAYS * np.sqrt(random.uniform(0.1, 1, count)))
    return day * DAY_S + (hour + random.random(count)) * 3_600


def _next_items(item: Numbers, shelf: Numbers, shelves: Shelves, random: np.random.Generator) -> Numbers:
    return np.where(random.random(len(item)) < NEARBY, shelves.behind(item, random), shelves.popular(shelf, random))


def _available(
    item: Numbers, shelf: Numbers, clock_s: Floats, shelves: Shelves, random: np.random.Generator
) -> Numbers:
    """What had not come yet gives way to something else of the shelf; where nothing is found it stays."""
    for _ in range(REDRAWS):
        early = np.flatnonzero(shelves.born_s[item] > clock_s)
        item[early] = shelves.popular(shelf[early], random)
    return item


class Acts(NamedTuple):
    """Events in order of time; ``value``: NaN where there is none."""

    user: Numbers
    session: Numbers
    item: Numbers
    kind: NDArray[np.int8]
    time_s: Floats
    value: Floats


def acts_of(visits: Visits, shelves: Shelves, random: np.random.Generator) -> Acts:
    """What became of each look: clicked, put into the cart, removed or bought, rated."""
    every = np.arange(len(visits.user))
    clicked = _some(every, CLICKED, random)
    carted = _some(clicked, CARTED, random)
    removed, bought = _some(carted, REMOVED, random), _some(carted, BOUGHT, random)
    rated = _some(bought, RATED, random)
    stages = ((every, 0), (clicked, 4), (carted, 20), (removed, 60), (bought, 180), (rated, 3_600))
    which = np.concatenate([chosen for chosen, _ in stages])
    kind = np.repeat(np.arange(len(KINDS), dtype=np.int8), [len(chosen) for chosen, _ in stages])
    delay_s = np.concatenate([random.uniform(0.5, 1, len(chosen)) * after for chosen, after in stages])
    time_s = visits.time_s[which] + delay_s
    value = np.full(len(which), np.nan)
    value[kind == KINDS.index("purchase")] = shelves.price[visits.item[bought]]
    value[kind == KINDS.index("rate")] = _stars(visits, rated, shelves, random)
    order = np.argsort(time_s, kind="stable")
    which = which[order]
    return Acts(visits.user[which], visits.session[which], visits.item[which], kind[order], time_s[order], value[order])


def _some(among: Numbers, share: float, random: np.random.Generator) -> Numbers:
    return among[random.random(len(among)) < share]


def _stars(visits: Visits, rated: Numbers, shelves: Shelves, random: np.random.Generator) -> Floats:
    """One to five stars, more of them on shelves that a user likes."""
    likes = (visits.tastes[visits.user[rated]] == shelves.shelf[visits.item[rated]][:, None]).any(1)
    return np.clip(np.round(random.normal(3.2 + likes, 0.9)), 1, 5)
