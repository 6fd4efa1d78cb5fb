"""User x item x now: the features that exist only in the moment of a request.

One NumPy function for training and serving. It also finishes what a row cannot hold: decayed counts are
carried from the row's own as-of time to the request's clock, so that "clicks of the last hour" goes on
falling when nobody clicks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES, MICROSECONDS
from feature_repo.item_table import NUMBERS, ItemTable
from feature_repo.state import HALF_LIVES, Row, UserState, decayed_names

Floats = NDArray[np.float32]
Column = NDArray[np.floating[Any]] | np.floating[Any] | float

DAY_US = 86_400 * MICROSECONDS
AFFINITY_DECAY = 0.9
"""Weight of an act in the category affinity, per newer act."""

_DECAYED = decayed_names()
_SECONDS = np.array([HALF_LIVES[name.rsplit("_", 1)[1]] for name in _DECAYED])
_FIRST = NUMBERS.index(_DECAYED[0])
_LAST_US = NUMBERS.index("last_event_us")
_NEGATIVE = ("remove_from_cart",)
_INTEREST = [n for n, name in enumerate(_DECAYED) if name.rsplit("_", 1)[0] not in _NEGATIVE]

REQUEST_FEATURES: tuple[str, ...] = (
    "user_log_events",
    "user_log_hours_idle",
    *(f"user_log_{half_life}" for half_life in HALF_LIVES),
    "user_mean_value",
    *(f"item_log_{half_life}" for half_life in HALF_LIVES),
    *(f"item_{event_type}_7d" for event_type in EVENT_TYPES),
    "item_log_events",
    "item_mean_value",
    "item_rising",
    "item_log_hours_idle",
    "item_log_age_days",
    "item_log_price",
    "category_affinity",
    "last_item_similarity",
    "years_from_recent",
    "value_from_mean",
)
"""Names of the columns of ``request_features``, in order."""


def decayed_at(numbers: NDArray[np.float64], now_us: float) -> NDArray[np.float64]:
    """Decayed counts carried to a clock.

    Args:
        numbers: [n, len(NUMBERS)] rows of item_features (or a user's row in the same order).
        now_us: the clock, microseconds since the epoch.

    Returns:
        float64 [n, event types x half-lives], in the order of ``state.decayed_names``.
    """
    elapsed = np.maximum(now_us - numbers[:, _LAST_US], 0) / MICROSECONDS
    return numbers[:, _FIRST : _FIRST + len(_DECAYED)] * np.exp2(-elapsed[:, None] / _SECONDS)


def interest_at(numbers: NDArray[np.float64], now_us: float) -> NDArray[np.float64]:
    """Decayed events of any type that shows interest: float64 [n, half-lives]."""
    decayed = decayed_at(numbers, now_us)[:, _INTEREST]
    return decayed.reshape(len(numbers), -1, len(HALF_LIVES)).sum(1)


def category_affinity(recent: NDArray[np.intp], items: ItemTable) -> Floats:
    """The user's taste as a unit vector over categories: float32 [len(vocabulary)]; zeros without history.

    Args:
        recent: numbers of the items last met, oldest first.
    """
    weights = AFFINITY_DECAY ** np.arange(len(recent) - 1, -1, -1, dtype=np.float32)
    return (
        _unit((weights @ items.categories[recent]).astype(np.float32))
        if len(recent)
        else np.zeros(len(items.vocabulary), np.float32)
    )


def recent_numbers(user: Row, items: ItemTable) -> NDArray[np.intp]:
    """Numbers of the user's recent items that the table knows, oldest first."""
    known = (items.index.get(item_id) for item_id in user["recent_items"] or ())
    return np.array([n for n in known if n is not None], np.intp)


def request_features(user: Row, items: ItemTable, candidates: NDArray[np.intp], now_us: float) -> Floats:
    """Features of one user and some items at one moment.

    Args:
        user: the user_features row; ``empty_user()`` for an unknown one.
        items: all items, each as of its own newest event.
        candidates: [n] item numbers.
        now_us: the request's clock, microseconds since the epoch.

    Returns:
        float32 [n, len(REQUEST_FEATURES)].
    """
    recent = recent_numbers(user, items)
    out = np.empty((len(candidates), len(REQUEST_FEATURES)), np.float32)
    columns: list[Column] = [*_user_columns(user, now_us), *_item_columns(items, candidates, now_us)]
    columns += _pair_columns(user, items, candidates, recent)
    for n, column in enumerate(columns):
        out[:, n] = column
    return out


def empty_user() -> Row:
    """The neutral row of a user without events."""
    return UserState().row()


def _user_columns(user: Row, now_us: float) -> list[Column]:
    numbers = np.zeros((1, len(NUMBERS)))  # what users and items have in common, where items have it
    numbers[0, _LAST_US] = user["last_event_us"] or 0
    numbers[0, _FIRST : _FIRST + len(_DECAYED)] = [user[name] or 0 for name in _DECAYED]
    interest = np.log1p(interest_at(numbers, now_us)[0])
    return [
        np.log1p(user["event_count"] or 0),
        _log_hours(now_us - (user["last_event_us"] or 0)) if user["event_count"] else np.float64(0),
        *interest,
        user["mean_value"] or 0.0,
    ]


def _item_columns(items: ItemTable, candidates: NDArray[np.intp], now_us: float) -> list[Column]:
    numbers = items.numbers[candidates]
    decayed = decayed_at(numbers, now_us)
    interest = decayed[:, _INTEREST].reshape(len(candidates), -1, len(HALF_LIVES)).sum(1)
    seven = [n for n, name in enumerate(_DECAYED) if name.endswith("_7d")]
    known = numbers[:, NUMBERS.index("event_count")] > 0
    published = items.published_us[candidates]
    return [
        *np.log1p(interest).T,
        *np.log1p(decayed[:, seven]).T,
        np.log1p(numbers[:, NUMBERS.index("event_count")]),
        numbers[:, NUMBERS.index("mean_value")],
        np.log((interest[:, 2] + 1) / (interest[:, 3] + 1)),
        np.where(known, _log_hours(now_us - numbers[:, _LAST_US]), 0),
        np.where(published != 0, np.log1p(np.maximum(now_us - published, 0) / DAY_US), 0),
        np.log1p(items.price[candidates]),
    ]


def _pair_columns(user: Row, items: ItemTable, candidates: NDArray[np.intp], recent: NDArray[np.intp]) -> list[Column]:
    if not len(recent):
        return [0.0] * 4
    categories = _unit_rows(items.categories[candidates])
    mean = NUMBERS.index("mean_value")
    published, published_recent = items.published_us[candidates], items.published_us[recent[-5:]]
    years = np.abs(published - published_recent.mean()) / (365.25 * DAY_US)
    return [
        categories @ category_affinity(recent, items),
        categories @ _unit(items.categories[recent[-1]]),
        np.where((published != 0) & (published_recent != 0).all(), years, 0),
        items.numbers[candidates, mean] - (user["mean_value"] or 0.0),
    ]


def _log_hours(elapsed_us: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log1p(np.maximum(elapsed_us, 0) / (3_600 * MICROSECONDS))


def _unit(vector: Floats) -> Floats:
    norm = np.linalg.norm(vector)
    return (vector / norm).astype(np.float32) if norm else vector


def _unit_rows(matrix: Floats) -> Floats:
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(norms, norms, 1)).astype(np.float32)
