"""Which model serves, since when, and was one taken back?"""

from __future__ import annotations

from infra.observability.boards.names import FALLBACK_SHARE, LAST_RUN, OUTCOMES, PASSED, RECOMMENDER
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


def models() -> Json:
    """The dashboard."""
    info = f"{RECOMMENDER}_model_info"
    return dashboard(
        "models",
        "Models",
        "Which model serves, since when, and was one taken back? Do flows run, what says the gate, what has drifted?",
        row(
            6,
            table(
                "Serving now",
                "Release by process; several versions for long: runbook models-differ.",
                "none",
                Query(f"{info} == 1"),
                ["instance", "version", "variant"],
            ),
            number(
                "On trial",
                "Releases that a share of the users is answered by.",
                "none",
                Query(f"count({RECOMMENDER}_canary_info == 1) or vector(0)"),
                (GREEN, None),
                (AMBER, 1),
            ),
            number(
                "Processes without a model",
                "They answer by what is popular.",
                "none",
                Query(f'count(up{{job="recommender"}} == 1 unless on (job, instance) {info} == 1) or vector(0)'),
                (GREEN, None),
                (RED, 1),
            ),
        ),
        row(
            8,
            graph(
                "Which model served",
                "Processes by version.",
                "none",
                Query(f"sum by (version) ({info})", "{{version}}"),
                stacked=True,
            ),
            graph(
                "Answers of releases on trial",
                "A second.",
                "ops",
                Query(rate(f"{RECOMMENDER}_canary_answers_total"), "answers"),
            ),
            graph(
                "Taken into service, refused, taken back",
                "Since the processes started.",
                "none",
                Query(f"sum({RECOMMENDER}_model_swaps_total)", "taken into service"),
                Query(f"sum({RECOMMENDER}_model_refused_total)", "refused"),
                Query(f"sum by (cause) ({RECOMMENDER}_model_rolled_back_total)", "taken back: {{cause}}"),
            ),
        ),
        row(
            8,
            graph(
                "Ranking, p50 and p99",
                "A slower model shows here first.",
                "s",
                Query(quantile(0.5, f"{RECOMMENDER}_stage_seconds", labels='stage="rank"'), "p50"),
                Query(quantile(0.99, f"{RECOMMENDER}_stage_seconds", labels='stage="rank"'), "p99"),
            ),
            graph(
                "Lists that are not personal",
                "A model that knows nobody shows here.",
                "percentunit",
                Query(FALLBACK_SHARE, "fallbacks"),
            ),
            graph(
                "Clicks on lists",
                "Acts that name a list, by what became of them.",
                "ops",
                Query(rate(f"{OUTCOMES}_acts_total", "result"), "{{result}}"),
            ),
        ),
        row(
            8,
            table(
                "Hours since flows ended",
                "The last runs that completed, and that failed. Failed since: runbooks training-failed, flow-failed.",
                "h",
                Query(f"(time() - {LAST_RUN}) / 3600 and {LAST_RUN} > 0"),
                ["flow", "result"],
            ),
            graph(
                "The gate's words",
                "Versions in the registry; the newest 200.",
                "none",
                Query("freshet_model_versions", "{{gate}}"),
                stacked=True,
            ),
            number(
                "Hours since a model passed the gate",
                "Its registration.",
                "h",
                Query(f"(time() - {PASSED}) / 3600 and {PASSED} > 0"),
                (GREEN, None),
                (AMBER, 14 * 24),
            ),
        ),
        row(
            8,
            number(
                "Features that have drifted",
                "When last compared; a training starts from FRESHET_DRIFT_SHARE on.",
                "percentunit",
                Query("freshet_drift_share"),
                (GREEN, None),
                (AMBER, 0.3),
            ),
            graph(
                "Looks for drift",
                "By verdict; bad data: runbook flow-failed.",
                "none",
                Query("freshet_drift_reports", "{{verdict}}"),
            ),
            graph(
                "How far columns are from the reference",
                "The ten farthest, over the bound from which on a column counts as drifted.",
                "none",
                Query("topk(10, freshet_drift_distance_ratio)", "{{column}}"),
                bound=1.0,
            ),
        ),
    )
