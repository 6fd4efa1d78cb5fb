"""Are the promises kept, is everything up, what fires?"""

from __future__ import annotations

from infra.observability.boards.names import FALLBACK_SHARE, INGEST, JOBS, LISTS, OUR_USERS, RECOMMENDER, STREAM
from infra.observability.panels import (
    AMBER,
    GREEN,
    RED,
    Json,
    Query,
    dashboard,
    graph,
    number,
    quantile,
    rate,
    row,
    table,
)

FRESHNESS_P99 = quantile(0.99, f"{STREAM}_freshness_seconds", labels=OUR_USERS)
LATENCY_P99 = quantile(0.99, f"{RECOMMENDER}_request_seconds", labels=LISTS)


def burn(window: str) -> str:
    """How many times too fast the budgets are spent."""
    return f"slo:error_ratio:rate{window} / on (slo) slo:error_budget:ratio"


def overview() -> Json:
    """The dashboard."""
    events, lists = rate(f"{INGEST}_events_total"), rate(f"{RECOMMENDER}_requests_total", labels=LISTS)
    return dashboard(
        "overview",
        "Overview",
        "Are the promises kept, is everything up, what fires?",
        row(
            4,
            number(
                "Error budgets, spent so many times too fast (1 h)",
                "1 spends the budget of 30 days in 30 days; from 14.4 on somebody is woken. docs/observability.md",
                "none",
                Query(burn("1h"), "{{slo}}"),
                (GREEN, None),
                (AMBER, 1),
                (RED, 6),
            ),
        ),
        row(
            4,
            number(
                "Up",
                "Share of a job's processes that answer.",
                "percentunit",
                Query(f"avg by (job) (up{{{JOBS}}})", "{{job}}"),
                (RED, None),
                (GREEN, 1),
            ),
        ),
        row(
            4,
            number("Events", "Acknowledged by the broker.", "reqps", Query(events)),
            number("Lists", "Requests to /recommend, whatever the answer.", "reqps", Query(lists)),
            number(
                "Freshness p99",
                "From the acknowledgement to the user's row.",
                "s",
                Query(FRESHNESS_P99),
                (GREEN, None),
                (RED, 0.1),
            ),
            number(
                "Latency p99", "Of /recommend, within the service.", "s", Query(LATENCY_P99), (GREEN, None), (RED, 0.05)
            ),
            number(
                "Not personal",
                "Share of lists that are a fallback.",
                "percentunit",
                Query(FALLBACK_SHARE),
                (GREEN, None),
                (AMBER, 0.3),
                (RED, 0.5),
            ),
            number(
                "Waiting in the log",
                "Messages that the dataflow has not read.",
                "short",
                Query("freshet:stream_lag:messages"),
                (GREEN, None),
                (AMBER, 1_000),
                (RED, 100_000),
            ),
        ),
        row(
            8,
            graph(
                "Error budgets over six hours",
                "As above, over a longer window.",
                "none",
                Query(burn("6h"), "{{slo}}"),
                bound=6,
            ),
            table(
                "Alerts that fire",
                "Each has a runbook: docs/observability.md.",
                "none",
                Query('ALERTS{alertstate="firing"}'),
                ["alertname", "severity", "slo"],
            ),
        ),
        row(
            8,
            graph(
                "POST /events by status",
                "Answers a second.",
                "reqps",
                Query(rate(f"{INGEST}_requests_total", "status", labels='method="POST",route="/events"'), "{{status}}"),
                stacked=True,
            ),
            graph(
                "/recommend by status",
                "Answers a second.",
                "reqps",
                Query(rate(f"{RECOMMENDER}_requests_total", "status", labels=LISTS), "{{status}}"),
                stacked=True,
            ),
            graph(
                "The page by status",
                "Answers of the console a second, long polls among them.",
                "reqps",
                Query(rate("freshet_console_requests_total", "status"), "{{status}}"),
                stacked=True,
            ),
        ),
        row(
            8,
            graph(
                "Processors",
                "Cores in use. The recommender's processes do not tell.",
                "none",
                Query(rate("process_cpu_seconds_total", "job", labels=JOBS), "{{job}}"),
            ),
            graph(
                "Memory",
                "Resident, by process. The recommender's processes do not tell.",
                "bytes",
                Query(f"process_resident_memory_bytes{{{JOBS}}}", "{{job}} {{instance}}"),
            ),
        ),
    )
