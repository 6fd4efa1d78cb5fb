"""Which distance finds drift, and at which threshold: ``python -m benchmarks.drift_methods [--dataset DIR]``.

A bundle is trained on the first part of a data set; what it shows in the rest, as ``models.reference`` keeps it, is cut
into a reference and a current part in several ways. In random parts nothing has changed: every feature that drifts is
a false alarm. Then some features are moved by parts of their standard deviation: these are to be found.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import wasserstein_distance

from feature_repo.events import Event, Item, UserProfile
from flows.drift_report import AGE, LEAST, LIST, thresholds
from flows.load import prepare
from models.evaluate import evaluate
from models.ranker import ranker_features
from models.recipe import TrainingSettings, train_bundle
from models.reference import Reference
from models.training import make_plan

SHARE, SAMPLE, REPEATS = 0.7, 6_000, 5
REFERENCE_LISTS, LISTS = 500, (20, 50, 200, 500)
MOVED = ("item_log_1h", "item_log_1d", "item_log_7d", "item_log_30d", "item_rising", "category_affinity",
         "last_item_similarity", "retriever_score", "long_term_score", "item_to_item_score", "trending_score",
         "popular_score")  # fmt: skip
OTHERS = ("psi", "jensenshannon", "kl_div", "hellinger", "ks")
"""Evidently's other tests of numbers, at its own thresholds; ``ks`` gives a p-value."""

Pair = tuple[pd.DataFrame, pd.DataFrame]
Test = Callable[[Pair, list[str]], NDArray[np.bool_]]

COUNTED = [name for name in ranker_features() if name not in AGE]


def shown_rows(events: Sequence[Event], items: Sequence[Item], users: Sequence[UserProfile]) -> pd.DataFrame:
    """What a bundle of the first part shows in the rest, by list."""
    since_us = events[int(len(events) * SHARE)].time_us
    before = [event for event in events if event.time_us < since_us]
    bundle = train_bundle(before, items, users, TrainingSettings(epochs=4, seed=7, threads=1))
    watch, until_us = Reference(), events[-1].time_us + 1
    plan = make_plan(events, items, users)
    evaluate(bundle, plan, events, since_us=since_us, until_us=until_us, sample=SAMPLE, watch=watch)
    rows = watch.frame()
    return rows.assign(**{LIST: (rows["rank"] == 0).cumsum()})


def random_parts(rows: pd.DataFrame, lists: int, random: np.random.Generator) -> Iterator[Pair]:
    """Two parts without a list in common, REPEATS times."""
    for _ in range(REPEATS):
        drawn = random.permutation(rows[LIST].unique())
        reference = drawn[lists : lists + REFERENCE_LISTS]
        yield rows[rows[LIST].isin(reference)], rows[rows[LIST].isin(drawn[:lists])]


def halves_of_time(rows: pd.DataFrame, lists: int, random: np.random.Generator) -> Iterator[Pair]:
    """Lists of the earlier half of time, and of the later one."""
    numbers = rows[LIST].unique()
    early, late = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
    for _ in range(REPEATS):
        one, other = (random.permutation(part)[:most] for part, most in ((early, REFERENCE_LISTS), (late, lists)))
        yield rows[rows[LIST].isin(one)], rows[rows[LIST].isin(other)]


def moved(pairs: Iterator[Pair], deviations: float) -> Iterator[Pair]:
    """Some features of the current part moved by parts of their standard deviation."""
    for reference, current in pairs:
        names = [name for name in MOVED if name in current]
        yield reference, current.assign(**{n: current[n] + deviations * reference[n].std() for n in names})


def plain(pair: Pair, names: list[str]) -> NDArray[np.bool_]:
    """Wasserstein distance in standard deviations, at Evidently's threshold."""
    return _distances(pair, names) >= LEAST


def by_chance(pair: Pair, names: list[str]) -> NDArray[np.bool_]:
    """The same, at each feature's threshold by ``flows.drift_report.thresholds``."""
    limits = thresholds(pair[0], names, pair[1][LIST].nunique(), np.random.default_rng(0))
    return _distances(pair, names) >= np.array([limits[name] for name in names])


def evidently(test: str) -> Test:
    """One of Evidently's tests, at its own threshold."""
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    def drifted(pair: Pair, names: list[str]) -> NDArray[np.bool_]:
        found: list[Any] = []
        for name in names:
            one, other = (part[name].astype(float) for part in pair)
            found.append(get_stattest(one, other, ColumnType.Numerical, test)(one, other, ColumnType.Numerical, None))
        return np.array([each.drifted for each in found])

    return drifted


def _distances(pair: Pair, names: list[str]) -> NDArray[np.float64]:
    reference, current = pair
    spread = np.maximum(reference[names].std(ddof=0).to_numpy(), 1e-3)
    return np.array([wasserstein_distance(reference[name], current[name]) for name in names]) / spread


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_methods", description=__doc__)
    parser.add_argument("--dataset", default="synthetic:300x500x40")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(options.dataset, Path(folder))
        rows = shown_rows(sorted(data.events(), key=lambda e: e.time_us), [*data.items()], [*data.users()])
    tests: dict[str, Test] = {"wasserstein": plain, "by chance": by_chance} | {name: evidently(name) for name in OTHERS}
    table = Table(
        "lists", "what changed", *tests, title=f"{options.dataset}: share of {len(COUNTED)} features that drift"
    )
    changes: dict[str, Callable[[int], Iterator[Pair]]] = {
        "nothing": lambda lists: random_parts(rows, lists, np.random.default_rng(lists)),
        "time": lambda lists: halves_of_time(rows, lists, np.random.default_rng(lists)),
        f"{len(MOVED)} by 1/4 sd": lambda lists: moved(random_parts(rows, lists, np.random.default_rng(lists)), 0.25),
        f"{len(MOVED)} by 1/2 sd": lambda lists: moved(random_parts(rows, lists, np.random.default_rng(lists)), 0.5),
    }
    for change, make in changes.items():
        for lists in LISTS:
            pairs = list(make(lists))
            shares = [np.mean([test(pair, COUNTED) for pair in pairs]) for test in tests.values()]
            table.add_row(str(lists), change, *(f"{share:.2f}" for share in shares))
    Console().print(table)


if __name__ == "__main__":
    main()
