"""User x item x now: the features that exist only in the moment of a request.

One NumPy function for training and serving. It also finishes what a row cannot hold: decayed counts are
carried from the row's own as-of time to the request's clock, so that "clicks of the last hour" goes on
falling when nobody clicks.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES, MICROSECONDS
from feature_repo.item_table import COUNTS, DECAYED, NEGATIVE, ItemTable
from feature_repo.state import HALF_LIVES, Row, UserState, decayed_names

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

DAY_US = 86_400 * MICROSECONDS
AFFINITY_DECAY = 0.9
"""Weight of an act in the category affinity, per newer act."""

_DECAYED = decayed_names()
_SECONDS = np.array(list(HALF_LIVES.values()))
_INTERESTED = [n for n, name in enumerate(EVENT_TYPES) if name not in NEGATIVE]
_WEEK = list(HALF_LIVES).index("7d")
_WEEKLY = [DECAYED.start + len(HALF_LIVES) * n + _WEEK for n in range(len(EVENT_TYPES))]
_EVENTS, _MEAN = COUNTS.index("event_count"), COUNTS.index("mean_value")

USER_FEATURES: tuple[str, ...] = (
    "user_log_events",
    "user_log_hours_idle",
    *(f"user_log_{half_life}" for half_life in HALF_LIVES),
    "user_mean_value",
)
ITEM_FEATURES: tuple[str, ...] = (
    *(f"item_log_{half_life}" for half_life in HALF_LIVES),
    *(f"item_{event_type}_7d" for event_type in EVENT_TYPES),
    "item_log_events",
    "item_mean_value",
    "item_rising",
    "item_log_hours_idle",
    "item_log_age_days",
    "item_log_price",
)
PAIR_FEATURES: tuple[str, ...] = (
    "category_affinity",
    "last_item_similarity",
    "years_from_recent",
    "value_from_mean",
)
REQUEST_FEATURES: tuple[str, ...] = (*USER_FEATURES, *ITEM_FEATURES, *PAIR_FEATURES)
"""Names of the columns of ``request_features``, in order."""

_ITEM = len(USER_FEATURES)
_PAIR = _ITEM + len(ITEM_FEATURES)


def faded(last_us: NDArray[np.float64] | float, now_us: float) -> NDArray[np.float64]:
    """What is left of counts as of ``last_us`` ([n] or one) at a clock: float64 [n, half-lives] (or [half-lives])."""
    elapsed = np.maximum(now_us - np.asarray(last_us, np.float64), 0) / MICROSECONDS
    return np.exp2(-elapsed[..., None] / _SECONDS)


def interest_at(items: ItemTable, numbers: Numbers, now_us: float) -> Floats:
    """Decayed events of any type that shows interest, carried to a clock: float32 [n, half-lives]."""
    return (items.interest[numbers] * faded(items.last_us[numbers], now_us)).astype(np.float32)


def category_affinity(recent: Numbers, items: ItemTable) -> Floats:
    """The user's taste as a unit vector over categories: float32 [len(vocabulary)]; zeros without history.

    Args:
        recent: numbers of the items last met, oldest first.
    """
    if not len(recent):
        return np.zeros(len(items.vocabulary), np.float32)
    return _unit(_affinity_weights(len(recent)) @ items.categories[recent].astype(np.float32))


@cache
def _affinity_weights(length: int) -> Floats:
    return AFFINITY_DECAY ** np.arange(length - 1, -1, -1, dtype=np.float32)


def recent_numbers(user: Row, items: ItemTable) -> Numbers:
    """Numbers of the user's recent items that the table knows, oldest first."""
    index = items.index
    return np.array([index[item_id] for item_id in user["recent_items"] or () if item_id in index], np.intp)


def request_features(user: Row, items: ItemTable, candidates: Numbers, now_us: float) -> Floats:
    """Features of one user and some items at one moment.

    Args:
        user: the user_features row; ``empty_user()`` for an unknown one.
        items: all items, each as of its own newest event.
        candidates: [n] item numbers.
        now_us: the request's clock, microseconds since the epoch.

    Returns:
        float32 [n, len(REQUEST_FEATURES)].
    """
    out = np.zeros((len(candidates), len(REQUEST_FEATURES)), np.float32)
    out[:, :_ITEM] = _of_user(user, now_us)
    _of_items(out[:, _ITEM:_PAIR], items, candidates, now_us)
    recent = recent_numbers(user, items)
    if len(recent):
        _of_pairs(out[:, _PAIR:], user, items, candidates, recent)
    return out


def empty_user() -> Row:
    """The neutral row of a user without events."""
    return UserState().row()


def _of_user(user: Row, now_us: float) -> list[float]:
    decayed = np.array([user[name] or 0 for name in _DECAYED]).reshape(len(EVENT_TYPES), len(HALF_LIVES))
    interest = decayed[_INTERESTED].sum(0) * faded(user["last_event_us"] or 0, now_us)
    idle_us = now_us - (user["last_event_us"] or 0)
    return [
        np.log1p(user["event_count"] or 0),
        float(_log_hours(idle_us)) if user["event_count"] else 0.0,
        *np.log1p(interest),
        user["mean_value"] or 0.0,
    ]


def _of_items(out: Floats, items: ItemTable, candidates: Numbers, now_us: float) -> None:
    counts, last_us, published = items.counts[candidates], items.last_us[candidates], items.published_us[candidates]
    left = faded(last_us, now_us)
    n, m = len(HALF_LIVES), len(HALF_LIVES) + len(EVENT_TYPES)
    interest = items.interest[candidates] * left
    events = counts[:, _EVENTS]
    out[:, :n] = np.log1p(interest)
    out[:, n:m] = np.log1p(counts[:, _WEEKLY] * left[:, [_WEEK]])
    out[:, m] = np.log1p(events)
    out[:, m + 1] = counts[:, _MEAN]
    out[:, m + 2] = np.log((interest[:, 2] + 1) / (interest[:, 3] + 1))
    out[:, m + 3] = np.where(events > 0, _log_hours(now_us - last_us), 0)
    out[:, m + 4] = np.where(published != 0, np.log1p(np.maximum(now_us - published, 0) / DAY_US), 0)
    out[:, m + 5] = np.log1p(items.price[candidates])


def _of_pairs(out: Floats, user: Row, items: ItemTable, candidates: Numbers, recent: Numbers) -> None:
    categories = items.categories[candidates].astype(np.float32)
    norms = np.sqrt(categories.sum(1))  # multi-hot: the sum of squares is the sum
    tastes = category_affinity(recent, items), _unit(items.categories[recent[-1]].astype(np.float32))
    for column, taste in enumerate(tastes):
        # No matrix product: BLAS adds in an order that depends on how many candidates there are.
        out[:, column] = np.einsum("nc,c->n", categories, taste) / np.where(norms, norms, 1)
    published, published_recent = items.published_us[candidates], items.published_us[recent[-5:]]
    if published_recent.all():
        years = np.abs(published - published_recent.mean()) / (365.25 * DAY_US)
        out[:, 2] = np.where(published != 0, years, 0)
    out[:, 3] = items.counts[candidates, _MEAN] - (user["mean_value"] or 0.0)


def _log_hours(elapsed_us: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log1p(np.maximum(elapsed_us, 0) / (3_600 * MICROSECONDS))


def _unit(vector: Floats) -> Floats:
    norm = np.sqrt(vector @ vector)
    return vector / norm if norm else vector
