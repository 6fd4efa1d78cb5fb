"""Events as arrays, the split of time, and the moments at which recommendations are judged.

A moment is one user at one timestamp: all items first met at that timestamp are relevant together, and every
state used for it holds strictly earlier events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES, Event

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

TYPE_WEIGHT: dict[str, float] = {
    "view": 1.0,
    "click": 2.0,
    "add_to_cart": 4.0,
    "remove_from_cart": 0.0,
    "purchase": 8.0,
    "rate": 4.0,
}
"""How much an act says that the user wanted the item; 0: not a label. A rating counts by its value: act_weights."""

MAX_RATING = 2.0
"""Most that a rating counts, as a multiple of the average one."""

OUTCOME_US = 86_400 * 1_000_000
"""How long after the first meeting an act still tells what that meeting was worth: a view that ends in a purchase."""

TRAIN_SHARE, VALIDATION_SHARE = 0.85, 0.90


@dataclass(frozen=True)
class History:
    """n events in order of (user, time, item id): the order in which UserState remembers them.

    Attributes:
        user_ids: id of each user number; item_ids: id of each item number, in order of id.
        user, item: intp [n]; time_us: int64 [n]; event_type: intp [n], number in EVENT_TYPES.
        value: float32 [n]; NaN where an event has none.
        weight: float32 [n]; at the user's first event with the item the strongest act_weights of the day that follows,
            0 at every later one: an item already seen is never recommended, so that it is no target either.
        start: intp [users + 1]; where each user's events begin.
    """

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    user: NDArray[np.intp]
    item: NDArray[np.intp]
    time_us: NDArray[np.int64]
    event_type: NDArray[np.intp]
    value: Floats
    weight: Floats
    start: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def of(cls, events: Iterable[Event]) -> History:
        """Arrays of some events, in any order."""
        nan = float("nan")
        rows = sorted(
            (e.user_id, e.time_us, e.item_id, e.event_type, nan if e.value is None else e.value) for e in events
        )
        user_ids, user = _number([row[0] for row in rows])
        item_ids, item = _number([row[2] for row in rows])
        number = {name: n for n, name in enumerate(EVENT_TYPES)}
        event_type = np.array([number[row[3]] for row in rows], np.intp)
        value = np.array([row[4] for row in rows], np.float32)
        time_us = np.array([row[1] for row in rows], np.int64)
        return cls(
            user_ids,
            item_ids,
            user,
            item,
            time_us,
            event_type,
            value,
            _label_weights(user, item, time_us, act_weights(event_type, value)),
            np.searchsorted(user, np.arange(len(user_ids) + 1)),
        )

    def before(self, time_us: int) -> History:
        """The events strictly before a time, with only the users and items that they name."""
        keep = self.time_us < time_us
        users, user = np.unique(self.user[keep], return_inverse=True)
        items, item = np.unique(self.item[keep], return_inverse=True)
        times, event_type, value = self.time_us[keep], self.event_type[keep], self.value[keep]
        return History(
            tuple(self.user_ids[n] for n in users),
            tuple(self.item_ids[n] for n in items),
            user,
            item,
            times,
            event_type,
            value,
            _label_weights(user, item, times, act_weights(event_type, value)),
            np.searchsorted(user, np.arange(len(users) + 1)),
        )


def _number(ids: list[str]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    names = sorted(set(ids))
    number = {name: n for n, name in enumerate(names)}
    return tuple(names), np.array([number[name] for name in ids], np.intp)


def act_weights(event_type: Numbers, value: Floats) -> Floats:
    """How much each event says that its user wanted its item: float32 [n].

    TYPE_WEIGHT, and a rating times its share of the mean positive rating: with stars from 1 to 5 and a mean of 3.5, one
    star counts .29 and five 1.43 of an average rating. A rating of 0 or less is no wish; none counts above MAX_RATING.

    Args:
        event_type: [n] numbers in EVENT_TYPES.
        value: [n] NaN where an event has none; a rating without one counts as the mean.
    """
    weights = np.array([TYPE_WEIGHT[name] for name in EVENT_TYPES], np.float32)[event_type]
    rated = (event_type == EVENT_TYPES.index("rate")) & ~np.isnan(value)
    if (liked := rated & (value > 0)).any():
        weights[rated] *= np.clip(value[rated] / value[liked].mean(), 0, MAX_RATING)
    return weights


def _label_weights(user: Numbers, item: Numbers, time_us: NDArray[np.int64], weights: Floats) -> Floats:
    out = np.zeros(len(user), np.float32)
    if len(user):
        # Events stand in order of time within a user, so that np.unique's first occurrence is the first meeting.
        _, first, pair = np.unique(user * (item.max() + 1) + item, return_index=True, return_inverse=True)
        soon = time_us <= time_us[first][pair] + OUTCOME_US
        np.maximum.at(out, first[pair[soon]], weights[soon])
    return out


class TimeSplit(NamedTuple):
    """Where validation and test begin, microseconds since the epoch."""

    validation_us: int
    test_us: int
    end_us: int


def time_split(history: History) -> TimeSplit:
    """Global split of time: first 85 % of events to learn from, then 5 % to choose by, then 10 % to report."""
    times = np.sort(history.time_us)
    at = [int(times[int(len(times) * share)]) for share in (TRAIN_SHARE, VALIDATION_SHARE)]
    return TimeSplit(at[0], at[1], int(times[-1]) + 1)


class Moment(NamedTuple):
    """One user at one timestamp and what was relevant then, by item id and weight of the label.

    ``number`` counts the moments of a sample.
    """

    number: int
    user_id: str
    time_us: int
    relevant: Mapping[str, float]

    @property
    def now_us(self) -> int:
        """The clock of a request made just before the moment."""
        return self.time_us - 1


def moments(history: History, since_us: int, until_us: int, limit: int | None = None, seed: int = 0) -> list[Moment]:
    """Moments of a window in order of time, optionally a seeded sample of ``limit`` of them."""
    inside = np.flatnonzero((history.time_us >= since_us) & (history.time_us < until_us) & (history.weight > 0))
    keys = np.stack([history.user[inside], history.time_us[inside]], 1)
    starts = np.flatnonzero(np.any(np.diff(keys, axis=0, prepend=-1) != 0, axis=1))
    groups = np.split(inside, starts[1:]) if len(inside) else []
    if limit is not None and len(groups) > limit:
        chosen = np.random.default_rng(seed).choice(len(groups), limit, replace=False)
        groups = [groups[n] for n in chosen]
    groups.sort(key=lambda rows: (history.time_us[rows[0]], history.user[rows[0]]))
    return [
        Moment(
            number,
            history.user_ids[history.user[rows[0]]],
            int(history.time_us[rows[0]]),
            {history.item_ids[history.item[row]]: float(history.weight[row]) for row in rows},
        )
        for number, rows in enumerate(groups)
    ]
