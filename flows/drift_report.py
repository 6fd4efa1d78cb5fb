"""Reference rows against served rows, by Evidently: a distance a column, and its reports.

The distance is the Wasserstein distance in standard deviations of the reference. Rows of one list are alike, and so
are few lists among themselves, so each feature has a threshold of its own: what two random samples of the reference's
own lists, as large as those that are compared, differ by in one of a hundred cases; never less than LEAST.
Measured by ``python -m benchmarks.drift_methods``. Evidently takes many seconds to import: only ``compare`` does.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from infra.telemetry import THIRD_PARTIES_OFF

METHOD, LABEL_METHOD = "wasserstein", "jensenshannon"
LEAST = 0.1
"""Evidently's own threshold: less is no drift, however many rows show it."""

PREDICTION, LABEL, LIST = "prediction", "label", "list"

AGE = frozenset({"user_log_events", "item_log_events", "ever_score", "item_log_age_days"})
"""Features that only grow while the shop grows older: they tell the time since the training, not a change of taste.
Reported, not counted."""

MOST_LISTS = 2_000
SAMPLES = 50

Lists = NDArray[np.intp]
Kinds = Mapping[str, list[str]]


class Comparison(NamedTuple):
    """What was found.

    Attributes:
        columns: name -> {"distance", "threshold", "drifted", "counts"}; prediction and label among them.
        html, json: Evidently's reports.
    """

    columns: dict[str, dict[str, Any]]
    html: str
    json: str

    @property
    def counted(self) -> dict[str, dict[str, Any]]:
        """Only the features that count."""
        return {name: found for name, found in self.columns.items() if found["counts"]}

    @property
    def drifted(self) -> list[str]:
        """The features that count and drifted, the farthest first."""
        found = self.counted
        names = [name for name in found if found[name]["drifted"]]
        return sorted(names, key=lambda name: -found[name]["distance"] / found[name]["threshold"])

    @property
    def share(self) -> float:
        """Of the features that count, those that drifted."""
        return len(self.drifted) / max(1, len(self.counted))


def compare(
    reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str], share: float, seed: int
) -> Comparison:
    """Compare by feature, prediction and label.

    Args:
        reference, current: columns ``features``, prediction, label (may be missing in some rows) and LIST, the list
            that a row belongs to.
        share: of the features that must have drifted; Evidently shows it.
        seed: of the samples.
    """
    random = np.random.default_rng(seed)
    before, now = (_sample(frame, MOST_LISTS, random) for frame in (reference, current))
    numbers = [*features, PREDICTION]
    limits = thresholds(before, numbers, now[LIST].nunique(), random)
    label = [LABEL] if before[LABEL].notna().any() and now[LABEL].notna().any() else []
    preset = {
        "drift_share": share,
        "num_method": METHOD,
        "cat_method": LABEL_METHOD,
        "per_column_threshold": {**limits, **dict.fromkeys(label, LEAST)},
    }
    report = _evidently(before, now, {"numerical_columns": numbers, "categorical_columns": label}, preset)
    columns = {
        name: {
            "distance": round(distance, 4),
            "threshold": round(limits.get(name, LEAST), 4),
            "drifted": distance >= limits.get(name, LEAST),
            "counts": name in features and name not in AGE,
        }
        for name, distance in _distances(report.dict()).items()
    }
    return Comparison(columns, report.get_html_str(as_iframe=False), report.json())


def thresholds(
    reference: pd.DataFrame, names: Sequence[str], lists: int, random: np.random.Generator
) -> dict[str, float]:
    """By column, what samples of the reference's lists differ by when nothing has changed (see the module).

    Args:
        lists: number of lists that the reference is compared with.
    """
    values = reference[list(names)].to_numpy(np.float64)
    rows = list(reference.groupby(LIST, sort=False).indices.values())
    spread = np.maximum(np.nanstd(values, axis=0), 1e-3)
    found = np.zeros((SAMPLES, len(names)))
    for sample in found:
        one, other = (values[_drawn(rows, count, random)] for count in (len(rows), lists))
        sample[:] = [
            wasserstein_distance(a[~np.isnan(a)], b[~np.isnan(b)]) if not np.isnan(a).all() else 0.0
            for a, b in zip(one.T, other.T, strict=True)
        ]
    chance = np.quantile(found / spread, 0.99, axis=0)
    return dict(zip(names, np.maximum(LEAST, chance).tolist(), strict=True))


def _drawn(rows: Sequence[Lists], count: int, random: np.random.Generator) -> Lists:
    return np.concatenate([rows[n] for n in random.integers(len(rows), size=count)])


def _sample(frame: pd.DataFrame, most: int, random: np.random.Generator) -> pd.DataFrame:
    lists = frame[LIST].unique()
    if len(lists) <= most:
        return frame
    return frame[frame[LIST].isin(random.choice(lists, most, replace=False))]


def _evidently(reference: pd.DataFrame, current: pd.DataFrame, kinds: Kinds, preset: Mapping[str, Any]) -> Any:
    for name, value in THIRD_PARTIES_OFF.items():
        os.environ.setdefault(name, value)  # Evidently looks once, at its import
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column of one value has no correlations
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        definition, columns = DataDefinition(**kinds), [name for names in kinds.values() for name in names]
        data = [Dataset.from_pandas(frame[columns], data_definition=definition) for frame in (current, reference)]
        return Report([DataDriftPreset(columns=columns, include_tests=False, **preset)]).run(*data)


def _distances(report: Mapping[str, Any]) -> dict[str, float]:
    found = (metric for metric in report["metrics"] if "column" in metric["config"])
    return {str(metric["config"]["column"]): float(metric["value"]) for metric in found}
