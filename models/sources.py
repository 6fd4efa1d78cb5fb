"""Where candidates come from, and what each source says of each candidate.

Five sources answer every request: the two-tower retriever, co-visitation from the last items, what goes with all that
the user has ever met, what trends (7-day decayed counts) and what is popular (30-day decayed counts), these two read
from the live item table. Their lists are pooled by weighted reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR
2009), and every pooled candidate gets the scores and ranks of all sources as features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.state import HALF_LIVES, Row
from feature_repo.trends import top
from models.encoder import Tokens

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]
Said = Callable[[Numbers], Floats]

SOURCES: tuple[str, ...] = ("retriever", "item_to_item", "long_term", "trending", "popular")
RANK_OFFSET = 20.0

SOURCE_FEATURES: tuple[str, ...] = (
    *(f"{source}_score" for source in SOURCES),
    *(f"{source}_reciprocal_rank" for source in SOURCES),
    "today_score",
    "ever_score",
    "rank_fusion",
)
"""Columns of ``SourceLists.features``: log-share for retriever and item_to_item, distance from the best of the list for
long_term, log-count for the others."""

_TRENDING, _POPULAR, _TODAY = (list(HALF_LIVES).index(name) for name in ("7d", "30d", "1d"))
_RANKS = slice(len(SOURCES), 2 * len(SOURCES))
_FAINT = 1e-5


class Query(NamedTuple):
    """Who asks, and when.

    Attributes:
        user: the user_features row; ``empty_user()`` for an unknown one.
        now_us: the clock, microseconds since the epoch.
        segments: the user's profile.
        seen: ids of what the user has met, oldest first (the user_seen view).
    """

    user: Row
    now_us: float
    segments: Sequence[str] = ()
    seen: Sequence[str] = ()


class Context(NamedTuple):
    """A query in numbers: the user's last acts and the latest items that he has met, as far as they are known."""

    tokens: Tokens
    seen: Numbers
    segments: Sequence[str]
    now_us: float


class Fused(NamedTuple):
    """The sources' lists as one.

    Attributes:
        named: what any list names, ascending: intp [m].
        ranks: float32 [len(SOURCES), m + 1], the reciprocal rank in each list; 0 where it is not listed.
        scores: float32 [m + 1], their weighted sum. The last place stands for all that no list names.
        place: int32 [n_items], where an item stands in ``named``; read only where it is named.
    """

    named: Numbers
    ranks: Floats
    scores: Floats
    place: NDArray[np.int32]

    def of(self, items: Numbers) -> tuple[Floats, Floats]:
        """Reciprocal ranks [len(SOURCES), n] and fused scores [n] of any items; 0 for those that no list names."""
        at = self.place[items]
        if len(self.named):
            at[self.named[at.clip(0, len(self.named) - 1)] != items] = len(self.named)
        else:
            at[:] = 0
        return self.ranks[:, at], self.scores[at]


class Known(NamedTuple):
    """What the sources say of any items, also of those that they did not list: each maps [n] to float32 [n].

    Attributes:
        retrieved: log-softmax of the retriever's scores, over its own list.
        visited: share of all of item_to_item's scores.
        lasting: long_term's score, minus the best of its list.
        interest: decayed acts of interest: [n] -> float32 [n, half-lives].
        ever: number of events.
    """

    retrieved: Said
    visited: Said
    lasting: Said
    interest: Said
    ever: Said


@dataclass(frozen=True, slots=True)
class SourceLists:
    """All sources' answers to one request. Nothing here is as long as the catalogue.

    Attributes:
        lists: of every source in SOURCES, items best first.
        fused: the lists as one.
        known: what the sources say of any item.
        stale: whether they come from a state that stands still.
    """

    lists: Mapping[str, Numbers]
    fused: Fused
    known: Known
    stale: bool

    def pool(self, size: int) -> Numbers:
        """The ``size`` items of largest fused rank, best first; items that no source named are left out."""
        return self.fused.named[top(self.fused.scores[:-1], size)]

    def features(self, items: Numbers) -> Floats:
        """What the sources say of some items: float32 [len(items), len(SOURCE_FEATURES)]."""
        known, (ranks, fused) = self.known, self.fused.of(items)
        out = np.empty((len(items), len(SOURCE_FEATURES)), np.float32)
        out[:, 0] = known.retrieved(items).clip(-20, 0)
        out[:, 1] = np.log(known.visited(items) + _FAINT)
        out[:, 2] = known.lasting(items)
        out[:, [3, 4, 10]] = np.log1p(known.interest(items)[:, [_TRENDING, _POPULAR, _TODAY]])
        out[:, _RANKS] = ranks.T * np.float32(RANK_OFFSET)
        out[:, 11] = np.log1p(known.ever(items))
        out[:, 12] = fused * np.float32(RANK_OFFSET)
        return out


def main_sources(features: Floats, weights: Mapping[str, float]) -> Numbers:
    """For each item, by its source features, the source that speaks loudest for it: its place in SOURCES."""
    return (features[:, _RANKS] * np.array([weights[name] for name in SOURCES], np.float32)).argmax(1)


def log_total(scores: Floats) -> float:
    """Logarithm of the sum of the exponentials of a list's scores; 0 for an empty one."""
    if not len(scores):
        return 0.0
    peak = scores.max()
    return float(peak + np.log(np.exp(scores - peak).sum()))


def listed(named: NDArray[np.integer], scores: NDArray[np.floating], allowed: NDArray[np.bool_], depth: int) -> Numbers:
    """The allowed ones of some distinct items whose score (one each) is positive, best first; equal ones by number."""
    kept = np.flatnonzero(allowed[named] & (scores > 0))
    if len(kept) > depth:
        kept = kept[np.argpartition(-scores[kept], depth - 1)[:depth]]
    best = kept[np.lexsort((named[kept], -scores[kept]))]
    return named[best].astype(np.intp)


def distinct(numbers: NDArray[np.integer], n_items: int) -> NDArray[np.integer]:
    """Each number once, in no order; without sorting: one write and one read of a table of the catalogue's length."""
    place = np.arange(len(numbers), dtype=np.int32)
    owner = np.empty(n_items, np.int32)
    owner[numbers] = place
    return numbers[owner[numbers] == place]


def fuse(lists: Mapping[str, Numbers], weights: Mapping[str, float], n_items: int) -> Fused:
    """Reciprocal rank fusion of the lists of all SOURCES, each best first."""
    named = np.sort(distinct(np.concatenate([lists[name] for name in SOURCES]), n_items))
    place = np.empty(n_items, np.int32)
    place[named] = np.arange(len(named), dtype=np.int32)
    ranks = np.zeros((len(SOURCES), len(named) + 1), np.float32)
    for name, rank in zip(SOURCES, ranks, strict=True):
        rank[place[lists[name]]] = _reciprocal_ranks(len(lists[name]))
    return Fused(named, ranks, np.array([weights[name] for name in SOURCES], np.float32) @ ranks, place)


@cache
def _reciprocal_ranks(length: int) -> Floats:
    return (1 / (RANK_OFFSET + np.arange(length))).astype(np.float32)
