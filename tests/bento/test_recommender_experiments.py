"""Experiments over HTTP: sticky halves, two real models, later pages, and a PostgreSQL that comes and goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.serving.proxy import Proxy
from bento.recommender import schemas
from feature_repo.events import pseudonym
from infra.settings import Settings
from models import registry
from models.bundle import Bundle
from models.experiment_store import ExperimentStore
from models.experiments import Experiment, Rules, assigned
from models.outcome_store import OutcomeStore

POLL_S = 0.05
USERS = [f"user-{n}" for n in range(24)]

VARIETY = Experiment.model_validate(
    {
        "name": "more-variety",
        "variants": [
            {"name": "control", "share": 0.4},
            {"name": "varied", "share": 0.4, "rules": {"max_per_category": 2}},
        ],
    }
)
MODEL = Experiment.model_validate(
    {
        "name": "next-model",
        "metric": "ndcg",
        "variants": [{"name": "now", "share": 0.5}, {"name": "next", "share": 0.5, "model": "challenger"}],
    }
)


def expected(experiment: Experiment, user_id: str) -> str | None:
    """The variant that a user is to be given."""
    variant = assigned(experiment, pseudonym(user_id))
    return None if variant is None else variant.name


def user_of(experiment: Experiment, variant: str | None) -> str:
    """A user who is given this variant."""
    return next(user for user in USERS if expected(experiment, user) == variant)


def get(api: Any, user_id: str, **query: Any) -> dict[str, Any]:
    response = api.get("/recommend", params={"user_id": user_id, "k": 6, **query})
    assert response.status_code == 200, response.text
    return dict(response.json())


def categories(answer: dict[str, Any]) -> set[str]:
    return {item["item_id"].partition("-")[0] for item in answer["recommendations"]}


def counted(api: Any, metric: str) -> float:
    return float(api.get("/metrics").text.partition(f"freshet_recommender_{metric} ")[2].partition("\n")[0] or 0)


@pytest.fixture
def store(settings: Settings) -> Iterator[ExperimentStore]:
    with closing(ExperimentStore(settings.database_url)) as found:
        yield found


@pytest.fixture
def lab(
    *,
    settings: Settings,
    shop: Any,
    bundle_dir: Path,
    serve: Callable[[Settings], Any],
    store: ExperimentStore,
    eventually: Callable[..., Any],
) -> Any:
    """The sample shop, with the experiment of rules running."""
    store.put(VARIETY)
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "experiments_poll_s": POLL_S}))
    eventually(lambda: api.runtime.experiments.running, within_s=20)
    return api


def test_every_user_is_served_by_the_rules_of_his_variant_each_time(
    lab: Any, settings: Settings, impressions: Any
) -> None:
    users = [*USERS, *(f"nobody-{n}" for n in range(6))]
    answers = {user: [get(lab, user) for _ in range(2)] for user in users}
    for user, both in answers.items():
        variant = expected(VARIETY, user)
        label = "champion" if variant is None else f"more-variety:{variant}"
        assert [answer["variant"] for answer in both] == [label] * 2
        if user in USERS:
            assert len(categories(both[0])) == (3 if variant == "varied" else 1), (user, variant)
    logged = {(each := orjson.loads(message.value()))["user_key"]: each for message in impressions(settings, 2 * 30)}
    for user in users:
        variant, message = expected(VARIETY, user), logged[pseudonym(user)]
        assert message["experiments"] == ({} if variant is None else {"more-variety": variant})
        assert message["variant"] == answers[user][0]["variant"]
        assert message["shadow"] is None and message["registered_version"] is None
    of_varied = sum(expected(VARIETY, user) == "varied" for user in users)
    line = 'experiment_answers_total{experiment="more-variety",variant="varied"}'
    assert counted(lab, line) == 2 * of_varied > 0


def test_what_a_request_says_goes_before_what_a_variant_says(lab: Any) -> None:
    varied, control = user_of(VARIETY, "varied"), user_of(VARIETY, "control")
    assert len(categories(get(lab, varied, max_per_category=6))) == 1
    assert len(categories(get(lab, control, max_per_category=2))) == 3
    within = get(lab, varied, category="garden")
    assert within["count"] == 6 and within["variant"] == "more-variety:varied", "a category asked for is not capped"


def test_sessions_and_replays_are_in_no_experiment(lab: Any, settings: Settings, impressions: Any) -> None:
    varied = user_of(VARIETY, "varied")
    replay = get(lab, varied, at="2030-01-01T00:00:00Z")
    events = [{"item_id": f"garden-{n}", "event_type": "click"} for n in range(3)]
    session = lab.post("/recommend", json={"user_id": varied, "events": events, "k": 6}).json()
    assert (replay["variant"], session["variant"]) == ("champion", "champion")
    assert {len(categories(each)) for each in (replay, session)} == {1}
    assert [orjson.loads(message.value())["experiments"] for message in impressions(settings, 2)] == [{}, {}]


def test_later_pages_keep_the_variant_of_their_list_even_when_the_experiment_is_over(
    lab: Any, settings: Settings, store: ExperimentStore, impressions: Any, eventually: Callable[..., Any]
) -> None:
    varied = user_of(VARIETY, "varied")
    first = get(lab, varied)
    store.end("more-variety")
    eventually(lambda: lab.runtime.experiments.running is None, within_s=20)
    rest = get(lab, varied, recommendation_id=first["recommendation_id"], offset=6)
    assert rest["variant"] == first["variant"] == "more-variety:varied" and len(categories(rest)) == 3
    found = [orjson.loads(message.value()) for message in impressions(settings, 2)]
    assert [each["experiments"] for each in found] == [{"more-variety": "varied"}] * 2
    assert found[0]["time_us"] == found[1]["time_us"], "a page goes on with a list as it was made"
    after = get(lab, varied)
    assert after["variant"] == "champion" and len(categories(after)) == 1


def test_an_impression_says_the_clock_by_which_its_features_were_made(
    lab: Any, settings: Settings, impressions: Any
) -> None:
    for _ in range(5):
        get(lab, USERS[0])
    found = [orjson.loads(message.value()) for message in impressions(settings, 5)]
    hits = counted(lab, 'answer_cache_total{outcome="hit"}')
    assert len({each["time_us"] for each in found}) == 5 - hits and hits > 0
    assert len({each["timestamp"] for each in found}) > 1
    idle = found[0]["feature_names"].index("user_log_hours_idle")
    for each in found:
        same = [other for other in found if other["time_us"] == each["time_us"]]
        assert len({other["features"][0][idle] for other in same}) == 1


def test_the_rules_of_variants_have_the_bounds_of_requests() -> None:
    rules, request = Rules.model_json_schema()["properties"], schemas.RecommendBody.model_json_schema()["properties"]

    def bounds(field: dict[str, Any]) -> dict[str, Any]:
        found = next((each for each in field.get("anyOf", [field]) if each.get("type") != "null"), {})
        return {name: found.get(name) for name in ("type", "minimum", "maximum")}

    for name in ("diversity", "max_per_category"):
        assert bounds(rules[name]) == bounds(request[name])
    setting = Settings.model_json_schema()["properties"]["explore_share"]
    assert bounds(rules["explore_share"]) == bounds(setting)


def test_a_model_experiment_waits_for_its_model_and_then_gives_each_his_own(
    *,
    settings: Settings,
    shop: Any,
    bundle_dir: Path,
    second_dir: Path,
    store: ExperimentStore,
    serve: Callable[[Settings], Any],
    impressions: Any,
    eventually: Callable[..., Any],
) -> None:
    champion = registry.register(settings, bundle_dir, {}, {}, {})
    registry.promote(settings, champion, settings.model_alias)
    store.put(MODEL)
    changes = {"experiments_poll_s": POLL_S, "release_poll_s": 0.1, "answer_cache_s": 86_400.0}
    api = serve(settings.model_copy(update=changes))
    eventually(lambda: api.runtime.experiments.running, within_s=20)
    waiting = [get(api, user) for user in USERS[:6]]
    assert {answer["variant"] for answer in waiting} == {"champion"}, "the control waits, too"
    assert api.get("/experiments").json()["experiments"][0]["waits_for"] == ["challenger"]
    challenger = registry.register(settings, second_dir, {}, {}, {})
    registry.challenge(settings, challenger)
    eventually(lambda: api.runtime.releases.named("challenger"), within_s=20)
    assert api.get("/experiments").json()["experiments"][0]["waits_for"] == []
    versions = {"now": Bundle.load(bundle_dir).version, "next": Bundle.load(second_dir).version}
    before = counted(api, 'answer_cache_total{outcome="hit"}')
    for answers in ([get(api, user) for user in USERS], [get(api, user) for user in USERS]):
        for user, answer in zip(USERS, answers, strict=True):
            variant = str(expected(MODEL, user))
            assert answer["variant"] == f"next-model:{variant}" and answer["model_version"] == versions[variant]
            assert answer["fallback"] is None
    hits = counted(api, 'answer_cache_total{outcome="hit"}') - before
    assert hits >= len(USERS), "both models' answers are remembered side by side"
    found = [orjson.loads(message.value()) for message in impressions(settings, 6 + 2 * len(USERS))]
    registered = {"now": champion, "next": challenger}
    labelled = [each for each in found if each["experiments"]]
    assert len(labelled) == 2 * len(USERS)
    for each in labelled:
        assert each["registered_version"] == registered[each["experiments"]["next-model"]]
    _check_without_challenger(api, settings, eventually)


def _check_without_challenger(api: Any, settings: Settings, eventually: Callable[..., Any]) -> None:
    """The alias goes: nobody is labelled with a model that is not there, and nobody is refused."""
    from mlflow import MlflowClient

    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    client.delete_registered_model_alias(settings.model_name, "challenger")
    eventually(lambda: get(api, user_of(MODEL, "next"))["variant"] == "champion", within_s=20)
    assert get(api, user_of(MODEL, "now"))["variant"] == "champion"


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    """A way to the test's PostgreSQL that can be cut."""
    port = int(settings.database_url.rpartition(":")[2].partition("/")[0])
    with Proxy(settings.host, port) as proxy:
        yield proxy


def test_a_postgresql_that_is_away_changes_no_answer_and_is_found_again(
    *,
    settings: Settings,
    shop: Any,
    bundle_dir: Path,
    store: ExperimentStore,
    proxy: Proxy,
    serve: Callable[[Settings], Any],
    eventually: Callable[..., Any],
) -> None:
    store.put(VARIETY)
    database = settings.database_url.rpartition("/")[2]
    changes = {
        "bundle_dir": bundle_dir,
        "experiments_poll_s": POLL_S,
        "database_url": f"postgresql://postgres@{settings.host}:{proxy.port}/{database}",
    }
    varied = user_of(VARIETY, "varied")
    proxy.refused = b""  # whatever is said
    api = serve(settings.model_copy(update=changes))
    eventually(lambda: 'dependency_up{dependency="postgres"} 0.0' in api.get("/metrics").text, within_s=20)
    assert get(api, varied)["variant"] == "champion" and api.get("/ready").status_code == 200
    away = api.get("/experiments")
    assert away.status_code == 503 and away.headers["retry-after"] == "1"
    assert away.json()["error"]["code"] == "unavailable" and "DATABASE_URL" in away.json()["error"]["message"]
    proxy.refused = None
    eventually(lambda: get(api, varied)["variant"] == "more-variety:varied", within_s=20)
    assert api.get("/experiments").json()["count"] == 1
    assert 'dependency_up{dependency="postgres"} 1.0' in api.get("/metrics").text
    proxy.deaf = True
    asked = time.monotonic()
    hanging = api.get("/experiments")
    assert hanging.status_code == 503 and time.monotonic() - asked < 9
    assert get(api, varied)["variant"] == "more-variety:varied", "those known last go on"
    store.end("more-variety")
    proxy.deaf = False
    eventually(lambda: get(api, varied)["variant"] == "champion", within_s=20)


def test_results_stand_beside_the_definitions(lab: Any, settings: Settings, store: ExperimentStore) -> None:
    result = {"impressions": 10, "ctr": 0.3, "versus_control": {"metric": "ctr", "difference": 0.1, "decided": False}}
    outcomes = OutcomeStore(settings.database_url)
    outcomes.results()
    outcomes.close()
    import psycopg

    with psycopg.connect(settings.database_url) as connection:
        row = ("more-variety", "varied", orjson.dumps(result).decode())
        connection.execute("INSERT INTO experiment_results VALUES (%s, %s, %s)", row)
    store.put(MODEL)
    store.end("next-model")
    told = lab.get("/experiments")
    assert told.status_code == 200
    schemas.ExperimentsAnswer.model_validate(told.json())
    first, second = told.json()["experiments"]
    assert (first["name"], first["state"], second["name"], second["state"]) == (
        "more-variety",
        "running",
        "next-model",
        "ended",
    )
    control, varied = first["variants"]
    assert control["control"] and control["result"] is None and control["rules"] == {}
    assert varied["result"] == result and varied["rules"] == {"max_per_category": 2} and not varied["control"]
    assert second["ended_at"] is not None and second["waits_for"] == []
