"""Writes ``rules/slos.yml``: the objectives, how far they are missed, and two alerts for each.

    python -m infra.observability.slos

Multi-window, multi-burn-rate alerts as in the Site Reliability Workbook, chapter 5 ("Alerting on SLOs"): what would
spend the budget of 30 days in two days (14.4 times too fast, over an hour) or in five (6 times, over six hours) wakes
somebody; what would spend it in ten or thirty days waits for the morning. The shorter window of each pair ends the
alert soon after the trouble has ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

RULES = Path(__file__).with_name("rules") / "slos.yml"

PAGE = ((14.4, "1h", "5m"), (6, "6h", "30m"))
TICKET = ((3, "1d", "2h"), (1, "3d", "6h"))
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


class Slo(NamedTuple):
    """An objective.

    Attributes:
        name: in labels, and of the runbook.
        alert: what its alerts' names begin with.
        promise: what is promised, in words.
        objective: share of good events in 30 days.
        errors: PromQL, the share of bad ones; ``$w`` stands for the window.
    """

    name: str
    alert: str
    promise: str
    objective: float
    errors: str

    @property
    def budget(self) -> str:
        """The share that may be bad."""
        return f"{1 - self.objective:.6g}"


def refused(requests: str) -> str:
    """The share of requests that were answered by 5xx or 429."""
    bad = requests.replace("}", ',status=~"5..|429"}')
    return f"(sum(rate({bad}[$w])) or vector(0))\n/ sum(rate({requests}[$w]))"


def above(histogram: str, labels: str, bound: str) -> str:
    """The share of observations above one of the histogram's own bounds."""
    within = f'{histogram}_bucket{{{labels},le="{bound}"}}'
    return f"1 - sum(rate({within}[$w]))\n/ sum(rate({histogram}_count{{{labels}}}[$w]))"


SLOS = (
    Slo(
        "ingest-availability",
        "IngestAvailability",
        "POST /events is answered, and neither by 5xx nor by 429",
        0.999,
        refused('freshet_ingest_requests_total{method="POST",route="/events"}'),
    ),
    Slo(
        "recommend-availability",
        "RecommendAvailability",
        "/recommend is answered, and neither by 5xx nor by 429",
        0.999,
        refused('freshet_recommender_requests_total{route="/recommend"}'),
    ),
    Slo(
        "recommend-latency",
        "RecommendLatency",
        "/recommend is answered within 50 ms",
        0.99,
        above("freshet_recommender_request_seconds", 'route="/recommend"', "0.05"),
    ),
    Slo(
        "freshness",
        "Freshness",
        "a user's row is written within 100 ms of the broker's acknowledgement",
        0.99,
        above("freshet_stream_freshness_seconds", 'view="user_features"', "0.1"),
    ),
    Slo(
        "loss",
        "Loss",
        "a message of the log is used, and is no dead letter",
        0.999,
        "(sum(rate(freshet_stream_dead_letters_total[$w])) or vector(0))\n"
        "/ (sum(rate(freshet_stream_events_total[$w]))\n"
        '   + (sum(rate(freshet_stream_dead_letters_total{reason!="late"}[$w])) or vector(0)))',
    ),
)
"""Late events are decoded first, so they are among the events already."""

HEAD = """\
# Written by `python -m infra.observability.slos`; a test compares them.
groups:
"""

BUDGET = """\
      - record: slo:error_budget:ratio
        expr: vector({budget})
        labels: {{slo: {name}}}
"""

RECORD = """\
      - record: slo:error_ratio:rate{window}
        expr: |
          {expression}
        labels: {{slo: {name}}}
"""

ALERT = """\
      - alert: {alert}
        expr: |
          {expression}
        labels: {{severity: {severity}, slo: {name}}}
        annotations:
          summary: "{summary}"
          description: "{promise}: promised for {objective:.4g} % of 30 days. {{{{ $value | humanizePercentage }}}} \
of the last {window} broke the promise."
          runbook_url: docs/runbooks/{name}.md
"""


def rules() -> str:
    """The file's text."""
    return HEAD + "\n".join(map(_group, SLOS))


def _group(slo: Slo) -> str:
    records = [_record(slo, window) for window in WINDOWS]
    alerts = [
        _alert(slo, "BurnsFast", "page", PAGE, "spends its error budget fast; people notice now"),
        _alert(slo, "BurnsSlowly", "ticket", TICKET, "spends its error budget before its 30 days are over"),
    ]
    parts = [BUDGET.format(budget=slo.budget, name=slo.name), *records, *alerts]
    return f"  - name: slo-{slo.name}\n    rules:\n" + "".join(parts)


def _record(slo: Slo, window: str) -> str:
    return RECORD.format(window=window, expression=_indented(slo.errors.replace("$w", window)), name=slo.name)


def _alert(slo: Slo, suffix: str, severity: str, pairs: tuple[tuple[float, str, str], ...], summary: str) -> str:
    expression = "\nor\n".join(
        f"(slo:error_ratio:rate{long}{{{_own(slo)}}} > {burn} * {slo.budget}\n"
        f" and slo:error_ratio:rate{short}{{{_own(slo)}}} > {burn} * {slo.budget})"
        for burn, long, short in pairs
    )
    return ALERT.format(
        alert=slo.alert + suffix,
        expression=_indented(expression),
        severity=severity,
        name=slo.name,
        summary=f"{slo.name} {summary}",
        promise=slo.promise,
        objective=100 * slo.objective,
        window=" or ".join(long for _, long, _ in pairs),
    )


def _own(slo: Slo) -> str:
    return f'slo="{slo.name}"'


def _indented(text: str) -> str:
    return text.replace("\n", "\n          ")


if __name__ == "__main__":
    RULES.write_text(rules())
