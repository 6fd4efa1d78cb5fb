"""Where candidates come from, and what each source says of each candidate.

Five sources answer every request: the two-tower retriever, co-visitation from the last items, what goes with all that
the user has ever met, what trends (7-day decayed counts) and what is popular (30-day decayed counts), these two read
from the live item table. Their lists are pooled by weighted reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR
2009), and every pooled candidate gets the scores and ranks of all sources as features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.item_table import ItemTable
from feature_repo.request_features import interest_at
from feature_repo.state import HALF_LIVES, Row
from models.encoder import Tokens

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

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
    """A query in numbers: the user's last acts and all that he has met, on known items."""

    tokens: Tokens
    seen: Numbers
    segments: Sequence[str]
    now_us: float


class SourceList(NamedTuple):
    """One source's answer: ``items`` best first, and its score of every item of the table (float32 [n])."""

    items: Numbers
    scores: Floats


class SourceLists(NamedTuple):
    """All sources' answers to one request; ``stale``: whether they come from a state that stands still."""

    lists: Mapping[str, SourceList]
    ranks: Mapping[str, Floats]
    fused: Floats
    today: Floats
    ever: Floats
    stale: bool

    def pool(self, size: int) -> Numbers:
        """The ``size`` items of largest fused rank, best first; items that no source named are left out."""
        best = top(self.fused, size)
        return best[self.fused[best] > 0]

    def main_source(self, items: Numbers, weights: Mapping[str, float]) -> list[str]:
        """For each item the source that speaks loudest for it."""
        shares = np.stack([weights[name] * self.ranks[name][items] for name in SOURCES])
        return [SOURCES[n] for n in shares.argmax(0)]

    def features(self, items: Numbers) -> Floats:
        """What the sources say of some items: float32 [len(items), len(SOURCE_FEATURES)]."""
        visited, lasting = self.lists["item_to_item"].scores, self.lists["long_term"]
        columns = [
            log_shares(self.lists["retriever"], items),
            np.log(visited[items] / (visited.sum() + 1e-9) + _FAINT),
            lasting.scores[items] - (lasting.scores[lasting.items[0]] if len(lasting.items) else 0),
            np.log1p(self.lists["trending"].scores[items]),
            np.log1p(self.lists["popular"].scores[items]),
            *(self.ranks[name][items] * RANK_OFFSET for name in SOURCES),
            np.log1p(self.today[items]),
            np.log1p(self.ever[items]),
            self.fused[items] * RANK_OFFSET,
        ]
        return np.stack(columns, 1).astype(np.float32)


def log_shares(source: SourceList, items: Numbers) -> Floats:
    """Log-softmax of a net's scores, taken over its own list so that no score of the whole catalogue is needed."""
    if not len(source.items):
        return np.zeros(len(items), np.float32)
    listed = source.scores[source.items]
    peak = listed.max()
    total = peak + np.log(np.exp(listed - peak).sum())
    return np.clip(source.scores[items] - total, -20, 0)


def top(scores: Floats, k: int) -> Numbers:
    """Positions of the k largest scores, best first; equal scores in order of position."""
    k = min(k, len(scores))
    if k == 0:
        return np.empty(0, np.intp)
    best = np.argpartition(-scores, k - 1)[:k]
    best.sort()
    return best[np.argsort(-scores[best], kind="stable")]


def listed(scores: Floats, allowed: NDArray[np.bool_], depth: int) -> SourceList:
    """The allowed items of positive score, best first, and the scores of all."""
    best = top(np.where(allowed, scores, 0), depth)
    return SourceList(best[np.where(allowed, scores, 0)[best] > 0], scores)


def popularity(items: ItemTable, now_us: float) -> tuple[Floats, Floats, Floats]:
    """Decayed acts of interest of every item at a moment, float32 [n] each: trending (7 d), popular (30 d), today."""
    counts = interest_at(items.numbers, now_us).astype(np.float32)
    return counts[:, _TRENDING], counts[:, _POPULAR], counts[:, _TODAY]


def fuse(
    lists: Mapping[str, SourceList], weights: Mapping[str, float], n_items: int
) -> tuple[dict[str, Floats], Floats]:
    """Reciprocal ranks of each source, and their weighted sum: float32 [n_items] each; 0 where not listed."""
    ranks, fused = {}, np.zeros(n_items, np.float32)
    for name, source in lists.items():
        rank = np.zeros(n_items, np.float32)
        rank[source.items] = 1 / (RANK_OFFSET + np.arange(len(source.items), dtype=np.float32))
        fused += np.float32(weights[name]) * rank
        ranks[name] = rank
    return ranks, fused
