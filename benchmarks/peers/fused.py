"""Fusions of peers: plain reciprocal ranks, and trees on top of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.base import Asked, Floats, Numbers
from benchmarks.peers.popularity import Popularity
from benchmarks.peers.requests import AT_ONCE, POOL, Ranked, best, joined
from benchmarks.peers.tuning import ndcg
from models.dataset import History
from models.metrics import Truth

Lists = Mapping[str, Ranked]
Table = NDArray[np.float32]
Mask = NDArray[np.bool_]

OFFSET = 20.0
TREES = (0, 20, 40, 80)
FOLDS = 4
NEVER_S = 1e9
PARAMETERS: Mapping[str, object] = {
    "objective": "lambdarank",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "min_data_in_leaf": 300,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "lambdarank_truncation_level": 20,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


def fuse(lists: Lists, weights: Mapping[str, float], n_items: int) -> Ranked:
    """Reciprocal rank fusion (Cormack, Clarke & Buettcher, SIGIR 2009), a weight for each list.

    Args:
        lists: of the same requests, of every name in ``weights``.
    """
    parts = []
    for begin in range(0, _length(lists), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        total = np.zeros((len(next(iter(lists.values())).items[part]), n_items + 1), np.float32)
        for name, weight in weights.items():
            items = lists[name].items[part]  # -1 is the last column, which is cut off
            ranks = np.take_along_axis(total, items, 1) + np.float32(weight) * _reciprocal_ranks()
            np.put_along_axis(total, items, ranks, 1)
        total = total[:, :-1]
        parts.append(best(np.where(total > 0, total, np.float32(-np.inf))))
    return joined(parts)


def _length(lists: Lists) -> int:
    return len(next(iter(lists.values())).items)


def _reciprocal_ranks() -> Floats:
    return (1 / (OFFSET + np.arange(POOL))).astype(np.float32)


@dataclass
class LambdaRank:
    """LightGBM's lambdarank (Burges, MSR-TR-2010-82) over the best of a rank fusion, whose score it starts from.

    Its features are each list's reciprocal rank and score below the best, popularity in four windows, and how long and
    how fresh the user's history is. The number of trees is chosen in cross-validation by user; none is a choice, too.

    Attributes:
        weights: of the rank fusion; seed: of the trees.
        trees, ndcg: how many ``fit`` chose, and their NDCG@10 in cross-validation.
    """

    weights: Mapping[str, float]
    seed: int = 0
    trees: int = 0
    ndcg: float = 0.0
    _counts: Sequence[Popularity] = field(init=False, repr=False)
    _booster: lgb.Booster | None = field(init=False, repr=False, default=None)

    def fit(self, history: History, asked: Sequence[Asked], lists: Lists, truth: Truth) -> None:
        """Learn from requests whose lists come from peers fitted before them."""
        self._counts = [Popularity(str(days), days) for days in (1, 7, 30, 10_000)]
        for each in self._counts:
            each.fit(history, 0)
        fused = fuse(lists, self.weights, truth.items)
        features, start = self._features(fused, asked, lists, truth.items), _start(fused)
        keys = np.arange(len(asked))[:, None] * truth.items + fused.items
        labels = np.isin(keys, truth.keys) & (fused.items >= 0)
        fold = np.array([one.user for one in asked]) % FOLDS
        rows = np.flatnonzero(labels.any(1))
        out = {trees: start.copy() for trees in TREES}
        for held in range(FOLDS):
            booster = self._train(fused, features, labels, rows[fold[rows] != held])
            for trees in TREES:
                out[trees][fold == held] += _predict(booster, features[fold == held], trees)
        values = {trees: ndcg(_reordered(fused, scores), truth) for trees, scores in out.items()}
        self.trees = max(TREES, key=values.__getitem__)
        self.ndcg = values[self.trees]
        self._booster = self._train(fused, features, labels, rows)

    def rank(self, asked: Sequence[Asked], lists: Lists, n_items: int) -> Ranked:
        """The fusion's best, in the order of the trees."""
        fused = fuse(lists, self.weights, n_items)
        scores = _start(fused) + _predict(self._booster, self._features(fused, asked, lists, n_items), self.trees)
        return _reordered(fused, scores)

    def _train(self, fused: Ranked, features: Table, labels: Mask, rows: Numbers) -> lgb.Booster | None:
        named = fused.items[rows] >= 0
        if not labels[rows].any():
            return None
        data = lgb.Dataset(
            features[rows][named],
            labels[rows][named].astype(np.float32),
            group=named.sum(1),
            init_score=_start(fused)[rows][named].astype(np.float64),
        )
        return lgb.train({**PARAMETERS, "seed": self.seed}, data, max(TREES))

    def _features(self, fused: Ranked, asked: Sequence[Asked], lists: Lists, n_items: int) -> Table:
        """float32 [n, POOL, features]; NaN where a list does not name the item."""
        parts = []
        for begin in range(0, len(asked), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            items = fused.items[part]
            columns = [_start(Ranked(items, fused.scores[part]))]
            for name in self.weights:
                columns += _columns(items, Ranked(lists[name].items[part], lists[name].scores[part]), n_items)
            for each in self._counts:
                counts = np.take_along_axis(each.scores(asked[part]), items.clip(0), 1)
                columns.append(np.log1p(counts.clip(0)))
            columns += [np.repeat(each[:, None], POOL, 1) for each in _histories(asked[part])]
            parts.append(np.stack(columns, -1).astype(np.float32))
        return np.concatenate(parts) if parts else np.empty((0, POOL, 0), np.float32)


def _start(fused: Ranked) -> Floats:
    """The fusion's score on the scale of the trees: 1 for the first place of a list of weight 1."""
    return np.where(fused.items >= 0, OFFSET * fused.scores, 0).astype(np.float32)


def _predict(booster: lgb.Booster | None, features: Table, trees: int) -> Floats:
    if booster is None or not trees or not len(features):
        return np.zeros(features.shape[:2], np.float32)
    flat = features.reshape(-1, features.shape[-1])
    return booster.predict(flat, num_iteration=trees, num_threads=1).reshape(features.shape[:2]).astype(np.float32)


def _reordered(fused: Ranked, scores: Floats) -> Ranked:
    scores = np.where(fused.items >= 0, scores, np.float32(-np.inf))
    order = np.argsort(-scores, 1, kind="stable")
    return Ranked(np.take_along_axis(fused.items, order, 1), np.take_along_axis(scores, order, 1))


def _places(items: NDArray[np.int32], ranked: Ranked, n_items: int) -> NDArray[np.int16]:
    """Where each item stands in another list of the same request: [n, POOL], -1 where it does not."""
    places = np.full((len(items), n_items + 1), -1, np.int16)
    order = np.broadcast_to(np.arange(POOL, dtype=np.int16), items.shape)
    np.put_along_axis(places, ranked.items, order, 1)
    places[:, -1] = -1  # what stands for no item
    return np.take_along_axis(places, items, 1)


def _columns(items: NDArray[np.int32], ranked: Ranked, n_items: int) -> list[Floats]:
    """What one list says of some items: how far below its best, and the reciprocal rank."""
    place = _places(items, ranked, n_items)
    scores = np.where(ranked.items >= 0, ranked.scores, 0)
    below = np.take_along_axis(scores - scores[:, :1], place.clip(0), 1)
    return [np.where(place >= 0, below, np.nan), np.where(place >= 0, _reciprocal_ranks()[place], 0)]


def _histories(asked: Sequence[Asked]) -> list[Floats]:
    """Log of the length of each history, and of the seconds since its end."""
    quiet = [(one.now_us - one.time_us[-1]) / 1e6 if len(one.items) else NEVER_S for one in asked]
    return [np.log1p(each).astype(np.float32) for each in ([len(one.items) for one in asked], quiet)]
