"""Shadow variants over HTTP: their lists are on the topic, beside those that were shown, and never in an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from bento.recommender.shadow import WAITING
from feature_repo.events import pseudonym
from infra.settings import Settings
from models import registry
from models.bundle import Bundle
from models.experiment_store import ExperimentStore
from models.experiments import Experiment, assigned

USERS = [f"user-{n}" for n in range(12)]
NAME = "beside:varied"


def experiment(share: float = 1.0, **shadow: Any) -> Experiment:
    variants = [{"name": "shown", "share": share}, {"name": "varied", "shadow": True, **shadow}]
    return Experiment.model_validate({"name": "beside", "variants": variants})


RULES = experiment(rules={"max_per_category": 2})


@pytest.fixture
def lab(
    settings: Settings,
    shop: Any,
    bundle_dir: Path,
    serve: Callable[[Settings], Any],
    eventually: Callable[..., Any],
) -> Iterator[Callable[..., Any]]:
    """``lab(experiment, **settings)``: the application with this experiment running."""
    with closing(ExperimentStore(settings.database_url)) as store:

        def start(running: Experiment, **changes: Any) -> Any:
            store.put(running)
            own = {"bundle_dir": bundle_dir, "experiments_poll_s": 0.05, "shadow_share": 1.0} | changes
            api = serve(settings.model_copy(update=own))
            eventually(lambda: api.runtime.experiments.running, within_s=20)
            return api

        yield start


def get(api: Any, user_id: str, **query: Any) -> dict[str, Any]:
    response = api.get("/recommend", params={"user_id": user_id, "k": 6, **query})
    assert response.status_code == 200, response.text
    return dict(response.json())


def shown_ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer.get("recommendations", answer.get("items"))]


def categories(answer: dict[str, Any]) -> int:
    return len({item_id.partition("-")[0] for item_id in shown_ids(answer)})


def outcomes(api: Any) -> dict[str, int]:
    """Lists of shadows by what became of them."""
    lines = api.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("freshet_recommender_shadows_total{")]
    return {line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in found}


def scored(api: Any, count: int, eventually: Callable[..., Any]) -> None:
    eventually(lambda: outcomes(api).get("scored", 0) == count, within_s=20)


def test_shadow_lists_are_logged_beside_what_was_shown_and_never_shown(
    lab: Callable[..., Any], settings: Settings, impressions: Any, eventually: Callable[..., Any]
) -> None:
    api = lab(RULES)
    answers = {user: get(api, user) for user in USERS}
    scored(api, len(USERS), eventually)
    found = [orjson.loads(message.value()) for message in impressions(settings, 2 * len(USERS))]
    of = {(each["user_key"], each["shadow"]): each for each in found}
    assert len(of) == 2 * len(USERS)
    for user, answer in answers.items():
        shown, beside = of[pseudonym(user), None], of[pseudonym(user), NAME]
        assert answer["variant"] == "beside:shown" and categories(answer) == 1
        assert shown_ids(shown) == shown_ids(answer) != shown_ids(beside) and categories(beside) == 3
        assert beside["recommendation_id"] == shown["recommendation_id"] == answer["recommendation_id"]
        assert beside["experiments"] == shown["experiments"] == {"beside": "shown"}
        assert beside["time_us"] == shown["time_us"] and len(beside["items"]) == 6
        assert beside["feature_names"] == shown["feature_names"]
        assert all(None not in row for row in beside["features"]) and len(beside["features"]) == 6
        common = set(shown_ids(shown)) & set(shown_ids(beside))
        at = {name: dict(zip(shown_ids(each), each["features"], strict=True)) for name, each in of.items()}
        for item in common:
            assert at[pseudonym(user), None][item] == at[pseudonym(user), NAME][item], "of one moment, by one model"


def test_a_shadow_model_scores_who_is_in_the_experiment_and_nobody_else(
    *,
    lab: Callable[..., Any],
    settings: Settings,
    bundle_dir: Path,
    second_dir: Path,
    impressions: Any,
    eventually: Callable[..., Any],
) -> None:
    champion = registry.register(settings, bundle_dir, {}, {}, {})
    registry.promote(settings, champion, settings.model_alias)
    half = experiment(share=0.5, model="challenger")
    api = lab(half, bundle_dir=None, release_poll_s=0.1)
    inside = [user for user in USERS if assigned(half, pseudonym(user))]
    assert 0 < len(inside) < len(USERS)
    get(api, inside[0])
    eventually(lambda: outcomes(api).get("not_loaded") == 1, within_s=20)
    challenger = registry.register(settings, second_dir, {}, {}, {})
    registry.challenge(settings, challenger)
    eventually(lambda: api.runtime.releases.named("challenger"), within_s=60)
    answers = [get(api, user) for user in USERS]
    versions = {name: Bundle.load(path).version for name, path in (("a", bundle_dir), ("b", second_dir))}
    assert {answer["model_version"] for answer in answers} == {versions["a"]}
    scored(api, len(inside), eventually)
    found = [orjson.loads(message.value()) for message in impressions(settings, 1 + len(USERS) + len(inside))]
    beside = [each for each in found if each["shadow"]]
    assert {each["user_key"] for each in beside} == {pseudonym(user) for user in inside}
    assert {(each["model_version"], each["registered_version"]) for each in beside} == {(versions["b"], challenger)}
    assert {each["registered_version"] for each in found if not each["shadow"]} == {champion}


def test_a_shadow_that_fails_is_counted_and_touches_no_answer(
    *,
    lab: Callable[..., Any],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    impressions: Any,
    eventually: Callable[..., Any],
) -> None:
    api = lab(RULES)
    scorer = api.runtime.releases.current.scorer
    recommend = scorer.recommend

    def broken_in_the_shadow(*arguments: Any) -> Any:
        ranked = recommend(*arguments)
        if threading.current_thread().name != "shadows":
            return ranked
        if arguments[0].user["event_count"] % 2:
            raise ArithmeticError("a bad bundle")
        return ranked._replace(scores=np.full_like(ranked.scores, np.nan))

    monkeypatch.setattr(scorer, "recommend", broken_in_the_shadow)
    answers = [get(api, user) for user in USERS]
    eventually(lambda: outcomes(api).get("failed") == len(USERS), within_s=20)
    assert {answer["fallback"] for answer in answers} == {None}
    failures = [line for line in api.get("/metrics").text.splitlines() if "_failures_total{" in line]
    assert failures and all(line.endswith(" 0.0") for line in failures)
    assert not api.runtime.releases.refused
    found = [orjson.loads(message.value())["shadow"] for message in impressions(settings, len(USERS))]
    assert found == [None] * len(USERS)


def test_what_is_too_much_is_dropped_and_what_is_too_late_is_left(
    lab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    monkeypatch.setattr("bento.recommender.shadow.DEADLINE_S", 0.5)
    api = lab(RULES)
    monkeypatch.setattr(api.runtime.shadows, "_busy", lambda: True)  # requests are under way without a pause
    get(api, USERS[0])
    eventually(lambda: outcomes(api).get("late") == 1, within_s=20)
    monkeypatch.setattr("bento.recommender.shadow.DEADLINE_S", 60.0)
    for n in range(WAITING + 12):
        get(api, USERS[n % len(USERS)])
    assert outcomes(api)["dropped"] in (10, 11, 12)
    monkeypatch.setattr(api.runtime.shadows, "_busy", lambda: False)
    eventually(lambda: sum(outcomes(api).values()) == WAITING + 13, within_s=60)
    assert outcomes(api)["scored"] >= WAITING


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_only_a_share_of_the_requests_is_scored(
    lab: Callable[..., Any], eventually: Callable[..., Any], share: float
) -> None:
    api = lab(RULES, shadow_share=share)
    for n in range(100):
        get(api, USERS[n % len(USERS)])
    eventually(lambda: not api.runtime.shadows._waiting, within_s=20)
    assert 10 <= outcomes(api).get("scored", 0) <= 55 if share else not any(outcomes(api).values())
