"""Where a user stands in several experiments at once, and what follows for his requests."""

from __future__ import annotations

from typing import Any

import pytest

from bento.recommender.ask import Ask
from bento.recommender.placement import OUTSIDE, Running, Treatment
from feature_repo.events import pseudonym
from models.experiments import CHAMPION, Experiment, assigned

KEYS = [pseudonym(f"user-{n}") for n in range(200)]


def experiment(name: str, *variants: dict[str, Any]) -> Experiment:
    return Experiment.model_validate({"name": name, "variants": variants})


MODEL = experiment(
    "a-model",
    {"name": "now", "share": 0.5},
    {"name": "next", "share": 0.4, "model": "challenger"},
    {"name": "before", "shadow": True, "model": "previous"},
)
RULES = experiment(
    "b-rules",
    {"name": "plain", "share": 0.5},
    {"name": "varied", "share": 0.5, "rules": {"diversity": 0.5, "max_per_category": 3}},
    {"name": "flat", "shadow": True, "rules": {"diversity": 0.0}},
)


def everything_loaded(alias: str) -> bool:
    return True


def test_two_experiments_give_each_user_both_of_their_variants() -> None:
    running = Running([MODEL, RULES])
    assert running.aliases == {"challenger", "previous"}
    met = set()
    for key in KEYS:
        place, model, rules = running.place(key, everything_loaded), assigned(MODEL, key), assigned(RULES, key)
        assert rules is not None
        named = {"a-model": model.name} if model else {}
        assert place.variants == named | {"b-rules": rules.name}
        assert place.label == ",".join(f"{name}:{variant}" for name, variant in place.variants.items())
        assert place.treatment == Treatment(model.model if model else CHAMPION, rules.rules.given)
        assert running.place(key, everything_loaded) is place
        met.add(place.label)
    assert len(met) == 6


def test_a_shadow_is_what_a_user_would_have_had_in_its_place() -> None:
    running = Running([MODEL, RULES])
    key = next(key for key in KEYS if running.place(key, everything_loaded).label == "a-model:next,b-rules:varied")
    shadows = dict(running.place(key, everything_loaded).shadows)
    assert shadows == {
        "a-model:before": Treatment("previous", {"diversity": 0.5, "max_per_category": 3}),
        "b-rules:flat": Treatment("challenger", {"diversity": 0.0}),
    }
    outside = next(key for key in KEYS if assigned(MODEL, key) is None)
    assert [shadow.name for shadow in running.place(outside, everything_loaded).shadows] == ["b-rules:flat"]


def test_an_experiment_waits_for_the_models_that_it_shows_and_no_other_does() -> None:
    running = Running([MODEL, RULES])
    for key in KEYS:
        assert set(running.place(key, lambda alias: alias == "previous").variants) == {"b-rules"}
        shadow_missing = running.place(key, lambda alias: alias == "challenger")
        assert shadow_missing == running.place(key, everything_loaded)
    assert all(Running([MODEL]).place(key, lambda _: None) is OUTSIDE for key in KEYS)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, (0.5, 3)),
        ({"diversity": 0.0}, (0.0, 3)),
        ({"max_per_category": 1}, (0.5, 1)),
        ({"category": "garden"}, (0.5, None)),
        ({"category": "garden", "max_per_category": 2}, (0.5, 2)),
    ],
)
def test_a_request_goes_before_the_rules(said: dict[str, Any], expected: tuple[float, int | None]) -> None:
    ask = Ask("user-1", **said)
    asked = Treatment(rules={"diversity": 0.5, "max_per_category": 3}).asked(ask)
    assert (asked.diversity, asked.max_per_category) == expected and asked.category == ask.category
    assert Treatment().asked(ask) is ask
