"""The ranker: LightGBM lambdarank that starts from the fusion's score and corrects it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from feature_repo.request_features import REQUEST_FEATURES
from models.sources import SOURCE_FEATURES

Floats = NDArray[np.float32]

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

    @property
    def trees(self) -> int:
        return int(self._booster.num_trees())

    @property
    def features(self) -> list[str]:
        return list(self._booster.feature_name())

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
    """How many trees stand, and the cross-validated NDCG@10 of the candidates without and with them."""

    trees: int
    validation_ndcg_fusion: float
    validation_ndcg_ranker: float


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

    At least one tree stands; the report tells whether it earns its place.

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
    curves = [_curve(parameters, matrix, labels, groups, folds == fold) for fold in np.unique(folds)]
    sizes = [int((folds == fold).sum()) for fold in np.unique(folds)]
    curve = np.average(curves, axis=0, weights=sizes)
    trees = 1 + int(np.argmax(curve[1:]))
    booster = lgb.train(parameters, _data(matrix, labels, groups, folds >= 0), trees)
    return Ranker(booster.model_to_string()), RankerReport(trees, float(curve[0]), float(curve[trees]))


def _curve(
    parameters: Mapping[str, object],
    matrix: Floats,
    labels: NDArray[np.int64],
    groups: NDArray[np.intp],
    held_out: NDArray[np.bool_],
) -> list[float]:
    """NDCG@10 on the held-out moments with 0, 1, ..., MAX_TREES trees learned from the others."""
    rows = np.repeat(held_out, groups)
    start = mean_ndcg(matrix[rows, -1], labels[rows], groups[held_out])
    if held_out.all():
        return [start] * (MAX_TREES + 1)
    told: dict[str, dict[str, list[float]]] = {}
    train = _data(matrix, labels, groups, ~held_out)
    check = _data(matrix, labels, groups, held_out, train)
    lgb.train(dict(parameters), train, MAX_TREES, [check], ["held out"], callbacks=[lgb.record_evaluation(told)])
    curve = told["held out"]["ndcg@10"]
    # Boosting ends early when no split helps: more trees would be no other model.
    return [start, *curve, *[curve[-1]] * (MAX_TREES - len(curve))]


def _data(
    matrix: Floats,
    labels: NDArray[np.int64],
    groups: NDArray[np.intp],
    chosen: NDArray[np.bool_],
    reference: lgb.Dataset | None = None,
) -> lgb.Dataset:
    rows = np.repeat(chosen, groups)
    return lgb.Dataset(
        matrix[rows],
        labels[rows],
        group=groups[chosen],
        init_score=matrix[rows, -1].astype(np.float64),
        feature_name=list(ranker_features()),
        reference=reference,
        params={"verbose": -1},
    )


def mean_ndcg(scores: Floats, labels: NDArray[np.int64], groups: NDArray[np.intp]) -> float:
    """Mean NDCG@10 over the moments that have a relevant candidate, counted as LightGBM counts it."""
    discount = 1 / np.log2(np.arange(2, 12))
    values = []
    for part, gains in zip(
        np.split(scores, np.cumsum(groups)[:-1]), np.split(2.0**labels - 1, np.cumsum(groups)[:-1]), strict=True
    ):
        if gains.any():
            best = gains[np.argsort(-part, kind="stable")[:10]]
            ideal = np.sort(gains)[::-1][:10]
            values.append((best @ discount[: len(best)]) / (ideal @ discount[: len(ideal)]))
    return float(np.mean(values)) if values else 0.0
