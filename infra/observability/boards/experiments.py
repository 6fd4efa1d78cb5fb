"""What have variants come to?"""

from __future__ import annotations

from infra.observability.boards.names import OUTCOMES, RECOMMENDER
from infra.observability.panels import Json, Query, choice, dashboard, graph, rate, row

OF_CHOICE = 'experiment=~"$experiment"'


def experiments() -> Json:
    """The dashboard."""
    each = "{{experiment}}: {{variant}}"
    return dashboard(
        "experiments",
        "Experiments",
        "What have variants come to, with intervals that hold whenever one looks?",
        row(
            8,
            graph(
                "Difference from the control",
                "In the experiment's metric, with an interval that holds at all times: decided when 0 lies outside.",
                "none",
                Query(f"freshet_experiment_difference{{{OF_CHOICE}}}", f"{each} {{{{bound}}}}"),
                signed=True,
            ),
            graph(
                "Anytime-valid p-value",
                "It may be looked at whenever one likes.",
                "none",
                Query(f"freshet_experiment_p_value{{{OF_CHOICE}}}", each),
                bound=0.05,
            ),
            graph(
                "Lists with a click",
                "Mean and 95 % interval.",
                "percentunit",
                Query(f'freshet_experiment_rate{{{OF_CHOICE},metric="ctr"}}', f"{each} {{{{bound}}}}"),
            ),
        ),
        row(
            8,
            graph(
                "Conversion",
                "Share of lists with a conversion.",
                "percentunit",
                Query(f'freshet_experiment_rate{{{OF_CHOICE},metric="conversion",bound="mean"}}', each),
            ),
            graph(
                "NDCG@10",
                "Of what was clicked.",
                "none",
                Query(f'freshet_experiment_rate{{{OF_CHOICE},metric="ndcg",bound="mean"}}', each),
            ),
            graph("Users", "Who were given a list.", "short", Query(f"freshet_experiment_users{{{OF_CHOICE}}}", each)),
        ),
        row(
            8,
            graph(
                "Lists",
                "Should stand to each other as the shares do.",
                "short",
                Query(f"freshet_experiment_lists{{{OF_CHOICE}}}", each),
            ),
            graph(
                "Answers",
                "To users of running experiments, a second.",
                "ops",
                Query(rate(f"{RECOMMENDER}_experiment_answers_total", "experiment", "variant", labels=OF_CHOICE), each),
            ),
            graph(
                "Shadows",
                "Lists of shadow variants, by what became of them.",
                "ops",
                Query(rate(f"{RECOMMENDER}_shadows_total", "outcome"), "{{outcome}}"),
            ),
        ),
        row(
            8,
            graph(
                "Lists read",
                "Shown ones and shadows.",
                "ops",
                Query(rate(f"{OUTCOMES}_impressions_total", "kind"), "{{kind}}"),
            ),
            graph(
                "Acts",
                "That name a list, by what became of them.",
                "ops",
                Query(rate(f"{OUTCOMES}_acts_total", "result"), "{{result}}"),
            ),
            graph(
                "Open lists, rows kept",
                "Lists whose window is open; served rows a second.",
                "short",
                Query(f"sum({OUTCOMES}_open_states)", "open"),
                Query(rate(f"{OUTCOMES}_served_rows_total"), "rows a second"),
            ),
            graph(
                "Computing the results",
                "How long the last time took.",
                "s",
                Query(f"max({OUTCOMES}_results_seconds)", "seconds"),
            ),
        ),
        variable=choice("experiment", "Experiment", "label_values(freshet_experiment_lists, experiment)"),
    )
