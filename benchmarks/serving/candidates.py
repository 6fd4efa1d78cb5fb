"""How many candidates, and what the trees cost: ``python -m benchmarks.serving.candidates [--dataset ...]``.

Candidates are chosen by NDCG@10 of the next moment on the validation window (learned from the first 85 % of time,
judged on the 5 % that follow, live) against the CPU time of a request. Trees are timed by themselves on the candidates
that they judge: LightGBM's own predictor, one thread, for several numbers of trees.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import lightgbm as lgb
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality import Data, data_of, train
from flows.console import training_bars
from flows.load import prepare
from infra.settings import load_settings
from models.bundle import Bundle
from models.dataset import moments
from models.evaluate import Mask, Numbers, product_lists
from models.judging import Evaluation, judge_lists
from models.metrics import DEPTH
from models.ranker import ranker_features
from models.recipe import TrainingSettings
from models.scorer import RERANKED, Scorer
from models.sources import Query

COUNTS = (50, 100, 200, 500)
TREES = (10, 25, 40, 100, 300)
ROUNDS = 300

console = Console()


class Timed:
    """The product's list alone, and the CPU time that it took."""

    def __init__(self) -> None:
        self.spent_ms: list[float] = []

    def __call__(self, scorer: Scorer, allowed: Mask, query: Query) -> Mapping[str, Numbers]:
        began = time.thread_time()
        found = scorer.recommend(query, 10, allowed)
        self.spent_ms.append(1_000 * (time.thread_time() - began))
        return {"product": scorer.recommend(query, DEPTH, allowed).items if len(found.items) else found.items}


def measure(data: Data, bundle: Bundle, count: int, sample: int, seed: int) -> tuple[Evaluation, float]:
    """Quality with so many candidates, and the median CPU milliseconds of a request."""
    plan, split = data.plan, data.plan.split
    judged = moments(plan.history, split.test_us, split.end_us, sample, seed)
    timed = Timed()
    lists = product_lists(bundle, plan, data.events, judged, since_us=split.test_us, candidates=count, systems=timed)
    evaluation = judge_lists(plan, judged, lists, since_us=split.test_us, until_us=split.end_us)
    return evaluation, float(np.median(timed.spent_ms))


def candidates_table(data: Data, bundle: Bundle, counts: Sequence[int], sample: int, seed: int) -> Table:
    """Quality and cost by the number of candidates."""
    shown = Table("candidates", "NDCG@10 live", "Recall@50", "frozen NDCG@10", "CPU ms a request", title="Candidates")
    for count in counts:
        evaluation, cpu_ms = measure(data, bundle, count, sample, seed)
        live, frozen = (evaluation.results[mode]["product"] for mode in ("live", "frozen"))
        shown.add_row(
            str(count),
            f"{live.means['ndcg@10']:.4f} ± {live.half_widths['ndcg@10']:.4f}",
            f"{live.means['recall@50']:.4f}",
            f"{frozen.means['ndcg@10']:.4f}",
            f"{cpu_ms:.2f}",
        )
    return shown


def trees_table() -> Table:
    """CPU time of LightGBM's predictor by trees, for the candidates that are judged and for 200 and 500."""
    random, names = np.random.default_rng(7), ranker_features()
    matrix = random.normal(size=(5_000, len(names))).astype(np.float32)
    labels = random.integers(0, 2, len(matrix))
    rows = (RERANKED, 200, 500)
    shown = Table("trees of 15 leaves", *(f"{n} rows, CPU us" for n in rows), title="LightGBM, one thread")
    for trees in TREES:
        how = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1}
        booster = lgb.train(how, lgb.Dataset(matrix, labels), trees)
        predict = partial(booster.predict, num_threads=1, raw_score=True, predict_disable_shape_check=True)
        shown.add_row(str(trees), *(f"{_median_us(partial(predict, matrix[:n])):.0f}" for n in rows))
    return shown


def _median_us(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        work()
        spent.append(time.thread_time_ns() - began)
    return float(np.median(spent)) / 1_000


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.candidates", description=__doc__)
    defaults = load_settings()
    parser.add_argument("--dataset", default=defaults.dataset, help="folder, ml-100k, or ml-1m:PATH")
    parser.add_argument("--moments", type=int, default=3_000, help="most moments judged (a seeded sample)")
    options = parser.parse_args()
    how = replace(TrainingSettings(), seed=defaults.seed, threads=defaults.train_threads)
    data = data_of(prepare(options.dataset, defaults.home / "dataset"), "validation")
    with training_bars(console) as steps:
        bundle = train(data, how, steps).bundle
    console.print(candidates_table(data, bundle, COUNTS, options.moments, how.seed))
    console.print(trees_table())
    return 0


if __name__ == "__main__":
    main()
