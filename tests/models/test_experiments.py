"""Definitions of experiments are refused by the field; users are assigned evenly, independently, and for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chi2_contingency, chisquare, kstest

from feature_repo.events import pseudonym
from models.experiments import Experiment, ExperimentError, assigned, position, read

USERS = [pseudonym(f"user-{n}") for n in range(20_000)]


def experiment(*shares: float, name: str = "more-variety", **others: Any) -> Experiment:
    variants = [{"name": f"v{n}", "share": share} for n, share in enumerate(shares)]
    return Experiment.model_validate({"name": name, "variants": variants, **others})


def names(experiment: Experiment, users: list[str] = USERS) -> list[str | None]:
    found = (assigned(experiment, user) for user in users)
    return [None if variant is None else variant.name for variant in found]


def definition(**changes: Any) -> dict[str, Any]:
    variants = [{"name": "control", "share": 0.5}, {"name": "varied", "share": 0.5, "rules": {"diversity": 0.5}}]
    return {"name": "more-variety", "metric": "ctr", "variants": variants} | changes


def with_second(**fields: Any) -> dict[str, Any]:
    return definition(variants=[{"name": "control", "share": 0.5}, {"name": "varied"} | fields])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (definition(name="More variety"), r"^name: String should match"),
        (definition(name="a" * 41), r"^name: String should match"),
        (definition(metric="clicks"), r"^metric: Input should be 'ctr', 'conversion' or 'ndcg'"),
        (definition(goal="ctr"), r"^goal: Extra inputs"),
        (definition(variants=[]), r"^variants: there are 0; give a control, and 1 to 7"),
        (definition(variants=[{"name": "control", "share": 1}]), r"^variants: there are 1; give a control"),
        (definition(variants=[{"name": f"v{n}", "share": 0.1} for n in range(9)]), r"^variants: there are 9; give"),
        (with_second(share=0.6), r"^variants: the shares sum to 1\.1; they must not exceed 1"),
        (with_second(name="control", share=0.1), r"^variants\.1\.name: 'control' is there already"),
        (with_second(name="a,b", share=0.1), r"^variants\.1\.name: String should match"),
        (with_second(), r"^variants\.1\.share: must be above 0, or shadow true"),
        (with_second(share=-0.1), r"^variants\.1\.share: Input should be greater"),
        (with_second(share=0.1, shadow=True), r"^variants\.1\.share: must be 0, not 0\.1: a shadow is shown to nobody"),
        (with_second(share=0.1, model="a/b"), r"^variants\.1\.model: String should match"),
        (with_second(share=0.1, rules={"diversity": 1.5}), r"^variants\.1\.rules\.diversity: Input should be less"),
        (with_second(share=0.1, rules={"max_per_category": 0}), r"^variants\.1\.rules\.max_per_category: Input should"),
        (with_second(share=0.1, rules={"explore_share": 0.2}), r"^variants\.1\.rules\.explore_share: Input should be"),
        (with_second(share=0.1, rules={"boost": 2}), r"^variants\.1\.rules\.boost: Extra inputs"),
        (
            definition(variants=[{"name": "next", "shadow": True}, {"name": "control", "share": 1}]),
            r"^variants\.0\.shadow: must be false: the first variant is the control",
        ),
    ],
)
def test_a_bad_definition_is_refused_by_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        read(json.dumps(values))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ExperimentError, match=r"^definition: Invalid JSON"):
        read(b"name: more-variety")


def test_a_definition_says_what_it_varies_and_stays_as_it_is() -> None:
    found = read(json.dumps(definition()))
    assert found.control.name == "control" and found.varies == {"diversity"} and not found.shadows
    shadow = read(json.dumps(with_second(model="challenger", shadow=True, rules={"max_per_category": 2})))
    assert shadow.varies == frozenset(), "what nobody is shown decides nothing"
    model = read(json.dumps(with_second(share=0.5, model="challenger", rules={"explore_share": 0.0})))
    assert model.varies == {"model", "explore_share"} and model.variants[1].rules.given == {"explore_share": 0.0}
    assert Experiment.model_validate_json(model.model_dump_json(exclude_defaults=True)) == model
    with pytest.raises(ValidationError, match="frozen"):
        model.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.1, 0.2, 0.3), (0.05, 0.9)])
def test_users_are_spread_as_the_shares_say(shares: tuple[float, ...]) -> None:
    counts = Counter(names(experiment(*shares)))
    rest = round(1 - sum(shares), 9)
    groups = [*(f"v{n}" for n in range(len(shares))), *([None] if rest else [])]
    assert set(counts) == set(groups)
    expected = [share * len(USERS) for share in (*shares, rest) if share]
    assert chisquare([counts[name] for name in groups], expected).pvalue > 0.01


def test_places_are_uniform() -> None:
    places = np.array([position("more-variety", user) for user in USERS])
    assert places.min() >= 0 and places.max() < 1 and kstest(places, "uniform").pvalue > 0.01


def test_places_in_two_experiments_have_nothing_to_do_with_each_other() -> None:
    one, other = experiment(0.5, 0.5), experiment(0.3, 0.7, name="next-model")
    table = np.zeros((2, 2))
    for first, second in zip(names(one), names(other), strict=True):
        table[int(str(first)[1]), int(str(second)[1])] += 1
    assert chi2_contingency(table).pvalue > 0.01


def test_nobody_changes_sides_when_the_last_share_grows() -> None:
    small, large = names(experiment(0.2, 0.1)), names(experiment(0.2, 0.5))
    moved = [(before, after) for before, after in zip(small, large, strict=True) if before != after]
    assert set(moved) == {(None, "v1")}


def test_a_shadow_takes_nobody() -> None:
    beside = Experiment.model_validate(
        definition(variants=[{"name": "v0", "share": 0.5}, {"name": "x", "shadow": True}, {"name": "v1", "share": 0.5}])
    )
    assert names(beside) == names(experiment(0.5, 0.5))


def test_every_process_gives_the_same_variants() -> None:
    program = (
        "import json; from models.experiments import assigned, read; from feature_repo.events import pseudonym; "
        f"e = read({json.dumps(definition())!r}); "
        "print(json.dumps([assigned(e, pseudonym(f'user-{n}')).name for n in range(500)]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1234"}
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment)
    assert json.loads(told.stdout) == names(read(json.dumps(definition())), USERS[:500])
