"""Judged moments as requests, and a peer's answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.base import Asked, Floats, Numbers, Peer
from models.dataset import Moment
from models.metrics import DEPTH
from models.training import Plan

POOL = 200
"""Length of the lists that fusions work on."""

AT_ONCE = 500


class Requests(NamedTuple):
    """n requests and what may not be recommended.

    Attributes:
        asked: what a peer is told.
        seen: intp [h] for each request; what the user has met by now, also where ``asked`` stands still.
        absent: bool [items]; what is not in the catalogue.
    """

    asked: Sequence[Asked]
    seen: Sequence[Numbers]
    absent: NDArray[np.bool_]


class Ranked(NamedTuple):
    """The best items of n requests, best first.

    Attributes:
        items: int32 [n, POOL], -1 where a list is shorter; scores: float32 [n, POOL], -inf there.
    """

    items: NDArray[np.int32]
    scores: Floats


def requests_of(plan: Plan, judged: Sequence[Moment], frozen_us: int | None = None) -> Requests:
    """Requests just before some moments.

    Args:
        frozen_us: histories and the knowledge of others stand still here; without it they go on until each moment.
    """
    history = plan.history
    number = {user_id: n for n, user_id in enumerate(history.user_ids)}
    catalog = {item.item_id for item in plan.catalog}
    asked, seen = [], []
    for moment in judged:
        user = number[moment.user_id]
        begin, end = history.start[user], history.start[user + 1]
        times = history.time_us[begin:end]
        seen.append(np.unique(history.item[begin : begin + np.searchsorted(times, moment.time_us)]))
        known_us = moment.time_us if frozen_us is None else min(frozen_us, moment.time_us)
        rows = begin + np.arange(np.searchsorted(times, known_us))
        rows = rows[history.weight[rows] > 0]
        asked.append(Asked(user, history.item[rows], history.time_us[rows], moment.now_us, known_us))
    return Requests(asked, seen, np.array([item_id not in catalog for item_id in history.item_ids], bool))


def answer(peer: Peer, requests: Requests) -> Ranked:
    """A peer's best items, without those that may not be recommended."""
    parts = []
    for begin in range(0, len(requests.asked), AT_ONCE):
        scores = peer.scores(requests.asked[begin : begin + AT_ONCE])
        scores[:, requests.absent] = -np.inf
        for row, seen in zip(scores, requests.seen[begin : begin + AT_ONCE], strict=True):
            row[seen] = -np.inf
        parts.append(best(scores))
    return joined(parts)


def best(scores: Floats) -> Ranked:
    """The POOL largest finite scores of each row; equal ones in order of number."""
    depth = min(POOL, scores.shape[1])
    items = np.argpartition(-scores, depth - 1, 1)[:, :depth]
    items.sort(1)
    order = np.argsort(-np.take_along_axis(scores, items, 1), 1, kind="stable")
    items = np.take_along_axis(items, order, 1)
    found = Ranked(np.full((len(scores), POOL), -1, np.int32), np.full((len(scores), POOL), -np.inf, np.float32))
    found.scores[:, :depth] = np.take_along_axis(scores, items, 1)
    found.items[:, :depth] = np.where(np.isfinite(found.scores[:, :depth]), items, -1)
    return found


def joined(parts: Sequence[Ranked]) -> Ranked:
    """Several answers one after another."""
    if not parts:
        return Ranked(np.empty((0, POOL), np.int32), np.empty((0, POOL), np.float32))
    return Ranked(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))


def filled(ranked: Ranked, filler: Ranked) -> Numbers:
    """Lists of DEPTH items, the short ones filled up by another's: intp [n, DEPTH], -1 where both end."""
    lists = ranked.items[:, :DEPTH].astype(np.intp)
    for row in np.flatnonzero(lists[:, -1] < 0):
        own = lists[row][lists[row] >= 0]
        rest = filler.items[row][~np.isin(filler.items[row], own)]
        lists[row, len(own) :] = rest[: DEPTH - len(own)]
    return lists
