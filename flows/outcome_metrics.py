"""What the dataflow of outcomes counts, and what experiments have come to, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge

from flows.flow_metrics import FlowMetrics
from models.outcome_store import METRICS

ACTS = ("joined", "early", "late", "foreign", "duplicate")
BOUNDS = {"mean": "", "low": "_low", "high": "_high"}


class OutcomeMetrics(FlowMetrics):
    """Counters of the join, gauges of the results."""

    def __init__(self) -> None:
        super().__init__("outcomes", ("impression",), ("dead_letters", "outcomes", "served_rows"))
        registry = self.registry
        self.impressions = Counter(
            "freshet_outcomes_impressions_total", "Lists read, by whether they were shown", ["kind"], registry=registry
        )
        self.acts = Counter(
            "freshet_outcomes_acts_total",
            "Acts that name a list: joined, early (before the list, and joined), late, foreign (another user's, or on "
            "no item of the list) or duplicate",
            ["result"],
            registry=registry,
        )
        self.open_states = Gauge("freshet_outcomes_open_states", "Lists whose window is open", registry=registry)
        self.served_rows = Counter("freshet_outcomes_served_rows_total", "Served rows kept", registry=registry)
        self.results_seconds = Gauge(
            "freshet_outcomes_results_seconds", "How long the last computation of results took", registry=registry
        )
        names = ["experiment", "variant"]
        self.lists = Gauge("freshet_experiment_lists", "Lists of a variant", names, registry=registry)
        self.users = Gauge("freshet_experiment_users", "Users of a variant", names, registry=registry)
        self.rate = Gauge(
            "freshet_experiment_rate",
            "A variant's ctr, conversion or ndcg: mean and 95 % interval",
            [*names, "metric", "bound"],
            registry=registry,
        )
        self.difference = Gauge(
            "freshet_experiment_difference",
            "From the control in the experiment's metric: mean and an interval that holds at all times",
            [*names, "bound"],
            registry=registry,
        )
        self.p_value = Gauge("freshet_experiment_p_value", "Anytime-valid p-value", names, registry=registry)
        self._results = {result: self.acts.labels(result) for result in ACTS}
        self._kinds = {shadow: self.impressions.labels("shadow" if shadow else "shown") for shadow in (False, True)}

    def count_act(self, result: str) -> None:
        """Count what became of one act."""
        self._results[result].inc()

    def count_impression(self, shadow: bool) -> None:
        """Count one list."""
        self._kinds[shadow].inc()

    def tell_results(self, results: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Show the results of variants, by (experiment, variant)."""
        for key, result in results.items():
            self.lists.labels(*key).set(result["impressions"])
            self.users.labels(*key).set(result["users"])
            for metric in METRICS:
                for bound, suffix in BOUNDS.items():
                    self.rate.labels(*key, metric, bound).set(result[f"{metric}{suffix}"])
            if versus := result["versus_control"]:
                self.p_value.labels(*key).set(versus["p_value"])
                for bound in ("difference", "low", "high"):
                    self.difference.labels(*key, bound).set(versus[bound])
