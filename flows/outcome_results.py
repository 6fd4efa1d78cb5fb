"""Results of experiments, computed anew every few seconds beside the dataflow that fills ``outcomes``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from feature_repo.events import MICROSECONDS
from flows.outcome_metrics import OutcomeMetrics
from flows.served_store import ServedStore, served_folder
from infra.settings import Settings
from models.experiment_store import ExperimentStore, Stored
from models.experiments import Experiment
from models.outcome_store import METRICS, OutcomeStore
from models.sequential import ALPHA, Moments, compare, rate

log = logging.getLogger(__name__)

CLEAN_EVERY_S = 600.0

Key = tuple[str, str]
"""Experiment and variant."""
Result = dict[str, Any]


class Results:
    """Keeps ``experiment_results`` up to date.

    Args:
        settings: database_url, home, outcomes_every_s, attribution_s, served_days.
        metrics: shows the results.
    """

    def __init__(self, settings: Settings, metrics: OutcomeMetrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._outcomes = OutcomeStore(settings.database_url)
        self._experiments = ExperimentStore(settings.database_url)
        self._served = ServedStore(served_folder(settings))
        self._changed = threading.Event()
        self._names: list[str] | None = None  # of a process that has not computed anything yet
        self._cleaned = float("-inf")

    def touch(self) -> None:
        """Some list has changed."""
        self._changed.set()

    def run(self, stop: threading.Event) -> None:
        """Compute again and again until told to stop; a database that is away is waited for."""
        away = False
        while not stop.wait(self._settings.outcomes_every_s):
            try:
                self.step()
                away = False
            except (psycopg.Error, OSError) as error:
                if not away:
                    log.warning("results wait, will try again", extra={"error": repr(error)})
                away = True
            except Exception:  # of a definition that nobody foresaw: the join must go on
                log.exception("results could not be computed")

    def step(self) -> bool:
        """Compute once, when something has changed; returns whether so."""
        began = time.monotonic()
        if began - self._cleaned > CLEAN_EVERY_S:
            self._clean()
            self._cleaned = began
        experiments = [each for each in self._experiments.all() if self._counts(each)]
        names = [each.experiment.name for each in experiments]
        if names == self._names and not self._changed.is_set():
            return False
        self._changed.clear()
        try:
            self._compute([each.experiment for each in experiments])
        except BaseException:
            self._changed.set()
            raise
        self._names = names
        self._metrics.results_seconds.set(time.monotonic() - began)
        return True

    def _counts(self, stored: Stored) -> bool:
        """Whether acts may still change an experiment's results; later its lists grow too old and are removed."""
        open_s = timedelta(seconds=2 * self._settings.attribution_s)
        return stored.ended_at is None or datetime.now(UTC) - stored.ended_at < open_s

    def _compute(self, experiments: Sequence[Experiment]) -> None:
        moments = self._outcomes.moments()
        before = {(row["experiment"], row["variant"]): row["result"] for row in self._outcomes.results()}
        results: dict[Key, Result] = {}
        for experiment in experiments:
            results |= results_of(experiment, moments, before)
        self._outcomes.put_results(results)
        self._metrics.tell_results(results)

    def _clean(self) -> None:
        oldest_us = time.time_ns() // 1_000 - round(self._settings.served_days * 86_400 * MICROSECONDS)
        self._outcomes.drop_before(oldest_us)
        self._served.drop_before(oldest_us)


def results_of(
    experiment: Experiment, moments: Mapping[Key, Mapping[str, Moments]], before: Mapping[Key, Result]
) -> dict[Key, Result]:
    """The results of an experiment's variants.

    A shadow's are told without a comparison: its lists are judged by acts on what was shown instead, which favours
    what was shown.

    Args:
        experiment: the definition.
        moments: of users, by (experiment, variant) and metric; a variant without any list is left out.
        before: earlier results; the smallest p-value ever seen is kept, as the method allows.
    """
    nothing = dict.fromkeys(METRICS, Moments(*np.zeros(7)))
    name, computed_at = experiment.name, datetime.now(UTC).isoformat(timespec="milliseconds")
    control = moments.get((name, experiment.control.name), nothing)
    results: dict[Key, Result] = {}
    for variant in experiment.variants:
        key = name, variant.name
        sums = moments.get(key, nothing)
        result = _rates(sums) | {"shadow": variant.shadow, "computed_at": computed_at, "versus_control": None}
        if variant != experiment.control and not variant.shadow:
            earlier = (before.get(key) or {}).get("versus_control") or {}
            result["versus_control"] = _versus(experiment.metric, sums, control, earlier.get("p_value", 1.0))
        results[key] = result
    return results


def _rates(sums: Mapping[str, Moments]) -> Result:
    clicked = sums["ctr"]
    result: Result = {
        "impressions": int(clicked.lists),
        "users": int(clicked.users),
        "clicks": int(clicked.total),
        "conversions": int(sums["conversion"].total),
    }
    for metric in METRICS:
        found = rate(sums[metric])
        result |= {metric: float(found.mean), f"{metric}_low": float(found.low), f"{metric}_high": float(found.high)}
    return result


def _versus(metric: str, sums: Mapping[str, Moments], control: Mapping[str, Moments], smallest: float) -> Result:
    found = compare(sums[metric], control[metric])
    p_value = min(float(found.p_value), smallest)
    return {
        "metric": metric,
        "difference": float(found.difference),
        "low": float(found.low),
        "high": float(found.high),
        "p_value": p_value,
        "decided": p_value < ALPHA,
    }
