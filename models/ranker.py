"""The ranker: LightGBM lambdarank that starts from the fusion's score and corrects it.

As many trees stand as cross-validation shows to help, none where they do not: then the fusion's order is the ranker's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from feature_repo.request_features import REQUEST_FEATURES
from models.sources import SOURCE_FEATURES

Floats = NDArray[np.float32]
Values = NDArray[np.float64]
Numbers = NDArray[np.intp]

FUSION = "fusion_score"

PARAMETERS: dict[str, object] = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "learning_rate": 0.03,
    "num_leaves": 15,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "lambdarank_truncation_level": 20,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
MAX_LEAF_ROWS = 300
MAX_TREES = 40


def ranker_features() -> tuple[str, ...]:
    """What the ranker sees, in order: the one list that a bundle must agree with to be served."""
    return (*REQUEST_FEATURES, *SOURCE_FEATURES, FUSION)


class Ranker:
    """A trained ranker. ``text`` is LightGBM's own text format."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._booster = lgb.Booster(model_str=text)
        self.trees = int(self._booster.num_trees())

    @property
    def features(self) -> list[str]:
        return list(self._booster.feature_name())

    def gains(self) -> dict[str, float]:
        """How much each feature's splits gained in training, in order of ``features``; all 0 without trees."""
        return dict(zip(self.features, self._booster.feature_importance("gain").tolist(), strict=True))

    def correct(self, matrix: Floats) -> NDArray[np.float64]:
        """What the trees add to the fusion's score: [n] for [n, len(ranker_features())]."""
        return np.asarray(
            self._booster.predict(matrix, num_threads=1, raw_score=True, predict_disable_shape_check=True)
        )

    def contributions(self, matrix: Floats) -> NDArray[np.float64]:
        """How much each feature moved each correction: float64 [n, len(ranker_features())].

        Lundberg, Lee, "A unified approach to interpreting model predictions", NIPS 2017, as LightGBM computes it.
        """
        shares = self._booster.predict(matrix, num_threads=1, pred_contrib=True, predict_disable_shape_check=True)
        return np.asarray(shares)[:, :-1]


class RankerReport(NamedTuple):
    """How many trees stand, and the cross-validated NDCG@10 of the candidates without and with the best number of them.

    ``validation_gain_error`` is the standard error of the difference, over moments. ``curve``: that NDCG@10 with 0, 1,
    ..., MAX_TREES trees.
    """

    trees: int
    validation_ndcg_fusion: float
    validation_ndcg_ranker: float
    validation_gain_error: float
    curve: Sequence[float] = ()


def train_ranker(
    matrix: Floats,
    labels: NDArray[np.int64],
    groups: NDArray[np.intp],
    folds: NDArray[np.intp],
    *,
    seed: int = 0,
    threads: int = 1,
) -> tuple[Ranker, RankerReport]:
    """Train, with the number of trees chosen by cross-validation over users.

    Trees stand when their best number gains more than two standard errors over none, because the best of many is
    somewhat better by luck alone; the report tells what they gain.

    Args:
        matrix: [rows, len(ranker_features())]; the last column, the fusion's score, is where boosting starts.
        labels: [rows] relevance grades, small integers.
        groups: [moments] rows of each moment, in order.
        folds: [moments] fold of each moment's user; all moments of a user are of one fold.

    Raises:
        ValueError: there is no moment to learn from.
    """
    if not len(groups):
        raise ValueError("ranker: no candidate of its window of time was ever chosen by a user; more events are needed")
    leaf = min(MAX_LEAF_ROWS, max(1, len(matrix) // 100))
    parameters = {**PARAMETERS, "num_threads": threads, "seed": seed, "min_data_in_leaf": leaf}
    held_out = [_held_out(parameters, matrix, labels, groups, folds == fold) for fold in np.unique(folds)]
    values = np.concatenate(held_out)  # [moments, 1 + MAX_TREES]
    best = 1 + int(np.argmax(values[:, 1:].mean(0)))
    gain = values[:, best] - values[:, 0]
    error = float(gain.std() / np.sqrt(len(gain)))
    trees = best if gain.mean() > 2 * error else 0
    booster = lgb.Booster(parameters, _data(matrix, labels, groups, folds >= 0))
    for _ in range(trees):
        booster.update()
    means = values.mean(0).tolist()
    report = RankerReport(trees, means[0], means[best], error, means)
    return Ranker(booster.model_to_string()), report


def _held_out(
    parameters: Mapping[str, object],
    matrix: Floats,
    labels: NDArray[np.int64],
    groups: NDArray[np.intp],
    chosen: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """NDCG@10 of the held-out moments with 0, 1, ..., MAX_TREES trees learned from the others: a column each."""
    rows = np.repeat(chosen, groups)
    start, told, sizes = matrix[rows, -1].astype(np.float64), labels[rows], groups[chosen]
    columns = [ndcg(start, told, sizes)] * (MAX_TREES + 1)
    if not chosen.all():
        booster = lgb.Booster(dict(parameters), _data(matrix, labels, groups, ~chosen))
        for trees in range(1, MAX_TREES + 1):
            if booster.update():  # no split helps any more: more trees would be no other model
                break
            start = start + booster.predict(
                matrix[rows], start_iteration=trees - 1, num_iteration=1, num_threads=1, raw_score=True
            )
            columns[trees:] = [ndcg(start, told, sizes)] * (MAX_TREES + 1 - trees)
    return np.stack(columns, 1)


def _data(
    matrix: Floats,
    labels: NDArray[np.int64],
    groups: NDArray[np.intp],
    chosen: NDArray[np.bool_],
) -> lgb.Dataset:
    rows = np.repeat(chosen, groups)
    return lgb.Dataset(
        matrix[rows],
        labels[rows],
        group=groups[chosen],
        init_score=matrix[rows, -1].astype(np.float64),
        feature_name=list(ranker_features()),
        params={"verbose": -1},
    )


def ndcg(scores: Values, labels: NDArray[np.int64], groups: Numbers) -> Values:
    """NDCG@10 of every moment, gains 2^label - 1: float64 [moments]; 0 for one without a relevant candidate."""
    moment = np.repeat(np.arange(len(groups)), groups)
    gains, first = np.exp2(labels) - 1, np.cumsum(groups) - groups
    found, ideal = (_dcg(np.lexsort((-key, moment)), gains, moment, first) for key in (scores, labels))
    return np.divide(found, ideal, out=np.zeros(len(groups)), where=ideal > 0)


def _dcg(order: Numbers, gains: Values, moment: Numbers, first: Numbers) -> Values:
    place = np.arange(len(order)) - first[moment]
    counted = place < 10
    shares = gains[order] / np.log2(place + 2)
    return np.bincount(moment[counted], shares[counted], len(first)).astype(np.float64)
