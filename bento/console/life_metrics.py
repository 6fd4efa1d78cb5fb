"""What has become of models and of the flows that make them, for Prometheus; ``watcher`` looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge

from models.drift_store import VERDICTS, DriftReport
from models.history import Word

VERSIONS = 200
"""The newest ones, whose gate's words are counted."""

FLOWS = ("train", "drift", "materialize")
"""Those on a schedule."""

RESULTS = {"completed": ["COMPLETED"], "failed": ["FAILED", "CRASHED"]}
"""What is told of a run -> Prefect's types of its last state."""

SOURCES = ("prefect", "mlflow", "postgres")


class LifeMetrics:
    """Gauges of a model's life. A time of 0 stands for never.

    Args:
        registry: where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.known = Gauge(
            "freshet_lifecycle_known",
            "1: what is told of flows, gate and drift is as of the last look; 0: this source did not answer it",
            ["source"],
            registry=registry,
        )
        self.last_run = Gauge(
            "freshet_flow_last_run_timestamp_seconds",
            "When the last run of a scheduled flow that completed, or failed, ended; 0: none has",
            ["flow", "result"],
            registry=registry,
        )
        self.versions = Gauge(
            "freshet_model_versions",
            f"Registered versions among the newest {VERSIONS}, by the gate's word",
            ["gate"],
            registry=registry,
        )
        self.last_version = Gauge(
            "freshet_model_last_version_timestamp_seconds",
            "When the newest version with this word of the gate was registered; 0: there is none",
            ["gate"],
            registry=registry,
        )
        self.reports = Gauge("freshet_drift_reports", "Looks for drift, by verdict", ["verdict"], registry=registry)
        self.last_report = Gauge(
            "freshet_drift_last_report_timestamp_seconds",
            "When the last look for drift with this verdict was; 0: there was none",
            ["verdict"],
            registry=registry,
        )
        self.share = Gauge(
            "freshet_drift_share", "Share of the features that had drifted when last compared", registry=registry
        )
        self.distance = Gauge(
            "freshet_drift_distance_ratio",
            "A column's distance from the reference when last compared, over the bound of drift",
            ["column"],
            registry=registry,
        )
        self._columns: set[str] = set()
        self.share.set(math.nan)  # until something was compared
        for source in SOURCES:
            self.known.labels(source)

    def tell_runs(self, ends: Mapping[tuple[str, str], float]) -> None:
        """Show when runs ended, by flow and result."""
        for labels, end in ends.items():
            self.last_run.labels(*labels).set(end)

    def tell_versions(self, words: Sequence[tuple[Word, datetime]]) -> None:
        """Show the gate's words, newest first."""
        for word in get_args(Word):
            times = [at.timestamp() for each, at in words if each == word]
            self.versions.labels(word).set(len(times))
            self.last_version.labels(word).set(max(times, default=0.0))

    def tell_drift(self, tally: Mapping[str, tuple[int, datetime]], compared: DriftReport | None) -> None:
        """Show the looks for drift, and the newest one's figures."""
        for verdict in VERDICTS:
            count, at = tally.get(verdict, (0, None))
            self.reports.labels(verdict).set(count)
            self.last_report.labels(verdict).set(at.timestamp() if at else 0.0)
        if compared is None:
            return
        self.share.set(compared.share or 0.0)
        for column in self._columns - set(compared.features):  # of a model before
            self.distance.labels(column).set(math.nan)
        self._columns |= set(compared.features)
        for column, found in compared.features.items():
            known = found["threshold"] and found["distance"] is not None
            self.distance.labels(column).set(found["distance"] / found["threshold"] if known else math.nan)
