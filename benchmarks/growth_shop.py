"""The populations of ``benchmarks.growth``: users who have a short history each, and what they do next.

Both are drawn from the made-up shop of ``flows.synthetic_shop``. The history is each user's first acts, so that
every user and every item that is popular enough has a state before anything is measured, and a user of a small
population is known as well as one of a large one. What comes next is drawn from the shop's other acts in random order:
without sessions, in which one row would be written for several acts, so the dearest order that there is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Event, Item
from flows.synthetic_shop import DAY_S, DAYS, KINDS, Acts, Numbers, Shelves, acts_of, visits_of

HISTORY = 3
"""Most acts that a user has done before; some did fewer."""

EVENTS_PER_USER = 5
AT_ONCE = 5_000
SCATTER = 0x9E3779B97F4A7C15
"""Makes numbers of sessions look like ids: they must not be easier to compress than those of clients are."""

SILENCE_S = 3_600.0
"""Between the last act of the history and now."""


class Population(NamedTuple):
    """Users and items with their past and what may come next.

    Attributes:
        users: how many; ``u0``, ``u1``, ...
        shelves: of the items ``i0``, ``i1``, ...
        history: in order of time, seconds from the begin of the shop.
        others: what else is done, in no order that matters.
    """

    users: int
    shelves: Shelves
    history: Acts
    others: Acts

    @property
    def items(self) -> int:
        return len(self.shelves.shelf)

    @property
    def items_met(self) -> int:
        """Items of which the history knows something."""
        return len(np.unique(self.history.item))


def populate(users: int, items: int, seed: int = 7) -> Population:
    """Draw a population; equal arguments give equal ones."""
    random = np.random.default_rng(seed)
    shelves = Shelves.stocked(items, random)
    acts = acts_of(visits_of(users, EVENTS_PER_USER, shelves, random), shelves, random)
    early = _places(acts.user) < HISTORY
    return Population(users, shelves, _some(acts, np.flatnonzero(early)), _some(acts, np.flatnonzero(~early)))


def _places(user: Numbers) -> Numbers:
    """For each act how many its user did before it."""
    order = np.argsort(user, kind="stable")
    firsts = np.searchsorted(user[order], user[order])
    places = np.empty_like(user)
    places[order] = np.arange(len(user)) - firsts
    return places


def _some(acts: Acts, chosen: Numbers) -> Acts:
    user, session, item, kind, time_s, value = acts
    return Acts(user[chosen], session[chosen], item[chosen], kind[chosen], time_s[chosen], value[chosen])


def past_events(population: Population) -> Iterator[list[Event]]:
    """The history as events, in order of time, some thousand at once; it ended SILENCE_S ago."""
    acts = population.history
    end = datetime.now(UTC) - timedelta(seconds=SILENCE_S)
    ago_s = float(acts.time_s[-1]) - acts.time_s
    for first in range(0, len(acts.user), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        when = [end - timedelta(seconds=ago) for ago in ago_s[part].tolist()]
        yield _events(_some(acts, np.arange(len(acts.user))[part]), when, "past", first)


def coming_events(population: Population, count: int, seed: int, active: int | None = None) -> list[Event]:
    """Some of the other acts, drawn again where there are too few, as of now.

    Args:
        seed: draws the acts, and names the events.
        active: so many users act, the same ones for every seed; None: whoever the acts are of.
    """
    chosen = np.arange(len(population.others.user))
    if active is not None:
        chosen = np.flatnonzero(np.isin(population.others.user, _active(population, active)))
    drawn = np.random.default_rng(seed).choice(chosen, count, replace=len(chosen) < count)
    now = datetime.now(UTC)
    when = [now + timedelta(microseconds=n) for n in range(count)]
    return _events(_some(population.others, drawn), when, f"next{seed}", 0)


def _active(population: Population, count: int) -> NDArray[np.int64]:
    everybody = np.unique(population.others.user)
    return np.random.default_rng(1).permutation(everybody)[:count]


def _events(acts: Acts, when: list[datetime], name: str, first: int) -> list[Event]:
    columns = (acts.user, acts.session, acts.item, acts.kind, acts.value)
    ids = np.random.default_rng(zlib.crc32(f"{name}-{first}".encode())).bytes(16 * len(when)).hex()
    return [
        Event.model_construct(
            user_id=f"u{user}",
            item_id=f"i{item}",
            event_type=KINDS[kind],
            timestamp=at,
            event_id=ids[32 * n : 32 * n + 32],
            session_id=f"{session * SCATTER % 2**64:016x}",
            value=None if isnan(value) else value,
        )
        for n, (user, session, item, kind, value, at) in enumerate(
            zip(*(column.tolist() for column in columns), when, strict=True)
        )
    ]


def catalogue(shelves: Shelves) -> Iterator[Item]:
    """All items."""
    begin = datetime.now(UTC) - timedelta(seconds=DAYS * DAY_S)
    rows = zip(*(column.tolist() for column in (shelves.shelf, shelves.born_s, shelves.price)), strict=True)
    for n, (shelf, born_s, price) in enumerate(rows):
        department = shelves.department(shelf)
        yield Item(
            item_id=f"i{n}",
            title=f"{department.title()} {shelf}-{n}",
            categories=(department, f"{department}-{shelf}"),
            published_at=begin + timedelta(seconds=born_s),
            price=price,
        )


def segments(user: int, shelves: Shelves) -> tuple[str, ...]:
    """The profile of a user."""
    department = shelves.department(user % len(shelves.first))
    return f"likes:{department}", f"age:{user % 5}", f"region:{user % 4}"
