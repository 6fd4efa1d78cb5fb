"""What a peer is: a recommender that others would use in our place, behind one small interface.

Users and items are numbers of the whole history, so that a peer never needs an id. A peer learns from first meetings
of interest only, as its papers do, and says -inf of what it has nothing to say about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from models.dataset import History

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]
Times = NDArray[np.int64]

DAY_US = 86_400 * 1_000_000


class Asked(NamedTuple):
    """One request.

    Attributes:
        user: number of the user; items: intp [h], what he has met so far, oldest first, none twice.
        time_us: int64 [h]; when he met each of them.
        now_us: the request's clock; known_us: what others did is known up to here (strictly before).
    """

    user: int
    items: Numbers
    time_us: Times
    now_us: int
    known_us: int


class Peer(Protocol):
    """A recommender; its settings are plain attributes."""

    name: str

    def fit(self, history: History, until_us: int) -> None:
        """Learn from the events strictly before a time; a second fit begins anew.

        The history may go on after it: only counts that are read as of ``Asked.known_us`` may use the rest.
        """

    def scores(self, asked: Sequence[Asked]) -> Floats:
        """How much each item suits each request: float32 [len(asked), items]; -inf where nothing is known."""


class Meetings(NamedTuple):
    """First meetings of interest in order of (user, time): numbers and times [n]; ``users``, ``items``: how many."""

    user: Numbers
    item: Numbers
    time_us: Times
    users: int
    items: int

    def matrix(self) -> sp.csr_matrix:
        """1 where a user met an item: float32 [users, items]."""
        ones = np.ones(len(self.user), np.float32)
        return sp.csr_matrix((ones, (self.user, self.item)), shape=(self.users, self.items))


def meetings(history: History, until_us: int) -> Meetings:
    """What a peer may learn from: the meetings strictly before a time."""
    kept = (history.weight > 0) & (history.time_us < until_us)
    return Meetings(
        history.user[kept], history.item[kept], history.time_us[kept], len(history.user_ids), len(history.item_ids)
    )


def recent(
    asked: Sequence[Asked],
    n_items: int,
    decay: float,
    *,
    last: int | None = None,
    half_life_us: float = np.inf,
) -> sp.csr_matrix:
    """The users' histories as rows of weights, the last item 1: float32 [len(asked), n_items].

    Args:
        decay: what an item counts less for each that was met after it.
        last: most items of a history; half_life_us: what was met so long before the last item counts half as much.
    """
    items = [one.items[-last:] if last else one.items for one in asked]
    weights = [decay ** np.arange(len(row) - 1, -1, -1.0) for row in items]
    if np.isfinite(half_life_us):
        times = [one.time_us[-last:] if last else one.time_us for one in asked]
        weights = [w * np.exp2((t - t[-1:]) / half_life_us) for w, t in zip(weights, times, strict=True)]
    pointers = np.cumsum([0, *(len(row) for row in items)])
    shape = (len(asked), n_items)
    return sp.csr_matrix((np.concatenate(weights).astype(np.float32), np.concatenate(items), pointers), shape=shape)


def silent_without_history(scores: Floats, asked: Sequence[Asked]) -> Floats:
    """The scores, -inf for every request of a user who has met nothing yet."""
    scores[[len(one.items) == 0 for one in asked]] = -np.inf
    return scores


def positive(scores: Floats) -> Floats:
    """The scores, -inf where they are not positive: such an item was reached from nowhere."""
    return np.where(scores > 0, scores, np.float32(-np.inf))
