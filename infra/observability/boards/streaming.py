"""How fresh is a feature? What waits, what is refused, what is retried?"""

from __future__ import annotations

from infra.observability.boards.names import INGEST, OUR_USERS, OUTCOMES, STREAM
from infra.observability.panels import Json, Query, dashboard, graph, heatmap, quantile, quantiles, rate, row

FLOWS = (STREAM, OUTCOMES)


def of_flows(name: str, label: str) -> list[Query]:
    """A counter of both dataflows."""
    return [Query(rate(f"{flow}_{name}", label), f"{flow.partition('_')[2]} {{{{{label}}}}}") for flow in FLOWS]


def streaming() -> Json:
    """The dashboard."""
    return dashboard(
        "streaming",
        "Streaming",
        "How fresh is a feature? What waits, what is refused, what is retried?",
        row(
            8,
            graph(
                "Freshness of users' rows",
                "From the broker's acknowledgement to the row in Redis.",
                "s",
                *quantiles(f"{STREAM}_freshness_seconds", OUR_USERS),
                bound=0.1,
            ),
            heatmap(
                "Freshness of users' rows", "How many rows took so long.", "s", f"{STREAM}_freshness_seconds", OUR_USERS
            ),
            graph(
                "Since the act itself, p99",
                "From the client's clock to the row, by view.",
                "s",
                Query(quantile(0.99, f"{STREAM}_event_freshness_seconds", "view"), "{{view}}"),
            ),
        ),
        row(
            8,
            graph(
                "Acknowledged events",
                "By type.",
                "ops",
                Query(rate(f"{INGEST}_events_total", "event_type"), "{{event_type}}"),
                stacked=True,
            ),
            graph(
                "Refused",
                "What did not enter the log, by reason.",
                "ops",
                Query(rate(f"{INGEST}_rejected_total", "reason"), "{{reason}}"),
                stacked=True,
            ),
            graph(
                "The broker's acknowledgement",
                "From sending to acknowledgement.",
                "s",
                *quantiles(f"{INGEST}_ack_seconds"),
                bound=0.25,
            ),
        ),
        row(
            8,
            graph(
                "Processed events",
                "By what became of them.",
                "ops",
                Query(rate(f"{STREAM}_events_total", "result"), "{{result}}"),
                stacked=True,
            ),
            graph(
                "Dead letters",
                "By dataflow and reason.",
                "ops",
                *of_flows("dead_letters_total", "reason"),
                stacked=True,
            ),
            graph(
                "Acknowledged and not processed",
                "Over six hours, without what waits in the log; negative: more was processed than came through ingest.",
                "short",
                Query("freshet:events_unaccounted:increase6h", "events"),
                signed=True,
            ),
        ),
        row(
            8,
            graph(
                "Waiting messages",
                "In the log, not yet read.",
                "short",
                Query(f"sum by (topic) ({STREAM}_lag_messages)", "stream {{topic}}"),
                Query(f"sum by (topic) ({OUTCOMES}_lag_messages)", "outcomes {{topic}}"),
            ),
            graph(
                "Behind",
                "Age of the last message read while others wait.",
                "s",
                Query(f"max by (topic) ({STREAM}_lag_seconds)", "stream {{topic}}"),
                Query(f"max by (topic) ({OUTCOMES}_lag_seconds)", "outcomes {{topic}}"),
                bound=60,
            ),
            graph(
                "Rebuilding",
                "Partitions of which stored messages are still read, and how many are read a second.",
                "short",
                Query(f"sum({STREAM}_rebuilding)", "partitions"),
                Query(rate(f"{STREAM}_history_messages_total"), "messages a second"),
            ),
        ),
        row(
            8,
            graph("Rows written to Redis", "A second.", "wps", Query(rate(f"{STREAM}_rows_total"), "rows")),
            graph(
                "Writes tried again",
                "By dataflow and sink; a sink that waits holds up everything.",
                "ops",
                *of_flows("sink_retries_total", "sink"),
            ),
            graph(
                "Size of a write, median",
                "Items, by sink.",
                "short",
                Query(quantile(0.5, f"{STREAM}_batch_size", "sink"), "stream {{sink}}"),
                Query(quantile(0.5, f"{OUTCOMES}_batch_size", "sink"), "outcomes {{sink}}"),
            ),
        ),
    )
