"""Are lists answered, in time, and personally?"""

from __future__ import annotations

from infra.observability.boards.names import LISTS, RECOMMENDER
from infra.observability.panels import Json, Query, dashboard, graph, heatmap, quantile, quantiles, rate, row

HIT = 'outcome="hit"'


def serving() -> Json:
    """The dashboard."""
    return dashboard(
        "serving",
        "Serving",
        "Are lists answered, in time, and personally? What are they made of?",
        row(
            8,
            graph(
                "Requests by route",
                "All answers a second.",
                "reqps",
                Query(rate(f"{RECOMMENDER}_requests_total", "route"), "{{route}}"),
                stacked=True,
            ),
            graph(
                "Errors",
                "Answers of 4xx and 5xx a second; /recommend promises no 5xx.",
                "reqps",
                Query(
                    rate(f"{RECOMMENDER}_requests_total", "route", "status", labels='status=~"[45].."'),
                    "{{status}} {{route}}",
                ),
            ),
            graph(
                "Time of /recommend",
                "Within the service.",
                "s",
                *quantiles(f"{RECOMMENDER}_request_seconds", LISTS),
                bound=0.05,
            ),
        ),
        row(
            8,
            heatmap(
                "Time of /recommend", "How many answers took so long.", "s", f"{RECOMMENDER}_request_seconds", LISTS
            ),
            graph(
                "Time by stage, p99",
                "queue: for its turn; read: Redis; rank: sources, features, model; encode: the answer.",
                "s",
                Query(quantile(0.99, f"{RECOMMENDER}_stage_seconds", "stage"), "{{stage}}"),
            ),
            graph(
                "Time by route, p99",
                "Within the service.",
                "s",
                Query(quantile(0.99, f"{RECOMMENDER}_request_seconds", "route"), "{{route}}"),
            ),
        ),
        row(
            8,
            graph(
                "Lists that are not personal",
                "By the name of the fallback; the rest is personal.",
                "percentunit",
                Query(
                    f"{rate(f'{RECOMMENDER}_fallbacks_total', 'name')} / on () group_left () "
                    f"{rate(f'{RECOMMENDER}_requests_total', labels=LISTS)}",
                    "{{name}}",
                ),
                stacked=True,
            ),
            graph(
                "Age of the features used",
                "Of personal answers: since the user's newest event.",
                "s",
                *quantiles(f"{RECOMMENDER}_feature_age_seconds"),
            ),
            graph(
                "Answers given again",
                "Share of requests that the answer cache had the answer to.",
                "percentunit",
                Query(
                    f"{rate(f'{RECOMMENDER}_answer_cache_total', labels=HIT)} / "
                    f"{rate(f'{RECOMMENDER}_answer_cache_total')}",
                    "hits",
                ),
            ),
        ),
        row(
            8,
            graph(
                "Under way",
                "Requests that wait or are worked on, and how many may.",
                "short",
                Query(f"sum({RECOMMENDER}_in_flight)", "under way"),
                Query(f"sum({RECOMMENDER}_in_flight_limit)", "limit"),
            ),
            graph(
                "Refused by 429",
                "in_flight: too many at once; queue: they would wait too long.",
                "reqps",
                Query(rate(f"{RECOMMENDER}_shed_total", "part"), "{{part}}"),
                stacked=True,
            ),
            graph(
                "Steps that failed",
                "Behind answers that were given all the same.",
                "ops",
                Query(rate(f"{RECOMMENDER}_failures_total", "step"), "{{step}}"),
            ),
        ),
        row(
            8,
            graph(
                "Dependencies",
                "0 while nobody waits for one that is away.",
                "none",
                Query(f"min by (dependency) ({RECOMMENDER}_dependency_up)", "{{dependency}}"),
            ),
            graph(
                "Breakers that opened",
                "Times in the interval.",
                "short",
                Query(
                    f"sum by (dependency) (increase({RECOMMENDER}_breaker_opened_total[$__rate_interval]))",
                    "{{dependency}}",
                ),
            ),
            graph(
                "Impressions",
                "What was shown, by whether it reached the log.",
                "ops",
                Query(rate(f"{RECOMMENDER}_impressions_total", "outcome"), "{{outcome}}"),
            ),
        ),
        row(
            8,
            graph(
                "Item table: age",
                "Since it was level with Redis; negative: never.",
                "s",
                Query(f"max by (instance) ({RECOMMENDER}_item_table_age_seconds)", "{{instance}}"),
                signed=True,
            ),
            graph(
                "Item table: items",
                "In the smallest of the tables.",
                "short",
                Query(f"min by (instance) ({RECOMMENDER}_item_table_items)", "{{instance}}"),
            ),
            graph(
                "New items shown, later pages, index away",
                "Places given to new items; pages by where the list "
                "was found; requests without an answer of the vector index.",
                "ops",
                Query(rate(f"{RECOMMENDER}_explored_total"), "new items"),
                Query(rate(f"{RECOMMENDER}_pages_total", "place"), "page {{place}}"),
                Query(rate(f"{RECOMMENDER}_index_away_total"), "index away"),
            ),
        ),
    )
