"""The recommender's REST contract: fields, statuses, refusals, and that OpenAPI says the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies
from hypothesis import settings as tries

from bento.recommender import schemas
from feature_repo.events import UserProfile

ID = r"[^\s/\x00-\x1f\ud800-\udfff]{1,128}"
ANSWER = {
    "recommendation_id", "user_id", "recommendations", "count", "model_version", "variant", "fallback",
    "feature_age_ms", "took_ms", "timestamp", "offset", "exhausted",
}  # fmt: skip


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def documented(api: Any, method: str, path: str) -> dict[str, Any]:
    """The OpenAPI operation of a path."""
    for template, operations in api.get("/openapi.json").json()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path) and method.lower() in operations:
            return dict(operations[method.lower()])
    raise AssertionError(f"{method} {path} is not in the OpenAPI document")


def test_a_personal_answer_has_exactly_the_contracts_fields(api: Any, shop: Any) -> None:
    answer = api.get("/recommend", params={"user_id": "user-1", "k": 5}).json()
    assert set(answer) == ANSWER
    schemas.RecommendAnswer.model_validate(answer)
    assert answer["user_id"] == "user-1" and answer["count"] == 5 == len(answer["recommendations"])
    assert answer["fallback"] is None and answer["variant"] == "champion" and answer["model_version"]
    assert answer["took_ms"] > 0 and re.fullmatch("[0-9a-f]{32}", answer["recommendation_id"])
    assert set(answer["recommendations"][0]) == {"item_id", "score", "source", "title"}
    scores = [item["score"] for item in answer["recommendations"]]
    assert scores == sorted(scores, reverse=True)


def test_feature_age_counts_from_the_users_newest_event(api: Any, shop: Any) -> None:
    at = shop.users["user-1"].last_us / 1e6 + 60
    answer = api.get("/recommend", params={"user_id": "user-1", "at": at}).json()
    assert answer["feature_age_ms"] == pytest.approx(60_000, abs=1)


def test_an_unknown_user_gets_the_popular_items_by_that_name(api: Any) -> None:
    answer = api.get("/recommend", params={"user_id": "nobody-yet"}).json()
    popular = api.get("/popular").json()
    assert answer["fallback"] == "popular" and answer["feature_age_ms"] is None
    assert ids(answer) == ids(popular) and answer["count"] == 10
    assert popular["fallback"] is None


def test_a_profile_without_events_is_answered_by_the_model(api: Any, shop: Any) -> None:
    shop.put_users([UserProfile(user_id="quiet", segments=("likes:music",))])
    answer = api.get("/recommend", params={"user_id": "quiet", "k": 4, "explain": True}).json()
    assert answer["fallback"] == "profile" and answer["feature_age_ms"] is None and answer["count"] == 4
    assert all(item["item_id"].startswith("music") and item["reasons"] for item in answer["recommendations"])


def test_a_profile_that_the_model_does_not_know_gets_what_its_segments_like(api: Any, shop: Any) -> None:
    favourites = {"items": ["music-7", "music-3"], "scores": [0.6, 0.4]}
    shop.store.write({"segment_favourites": {"of:late": (favourites, 1_700_000_000_000_000)}})
    shop.put_users([UserProfile(user_id="late", segments=("of:late",))])
    answer = api.get("/recommend", params={"user_id": "late", "k": 4}).json()
    assert answer["fallback"] == "segment" and answer["count"] == 4
    assert {"music-7", "music-3"} & set(ids(answer)), "what his people like is among what everybody likes"
    sources = {item["item_id"]: item["source"] for item in answer["recommendations"]}
    assert {name for name, source in sources.items() if source == "segment"} == {"music-7", "music-3"} & set(sources)
    other = api.get("/recommend", params={"user_id": "late", "exclude": "music-7,music-3"}).json()
    assert other["fallback"] == "popular"


@tries(max_examples=60, deadline=None)
@given(user_id=strategies.from_regex(ID, fullmatch=True))
def test_any_well_formed_user_is_answered(steady_api: Any, user_id: str) -> None:
    response = steady_api.get("/recommend", params={"user_id": user_id})
    assert response.status_code == 200 and response.json()["user_id"] == user_id


def test_empty_parameters_are_absent_ones(api: Any) -> None:
    full = "/recommend?user_id=user-1&k=10&exclude=&category=&context_item=&diversity=&explain=&at="
    assert ids(api.get(full).json()) == ids(api.get("/recommend?user_id=user-1").json())


BAD_QUERIES = [
    ("", "user_id"),
    ("user_id=", "user_id"),
    ("user_id=a%20b", "user_id"),
    ("user_id=a%2Fb", "user_id"),
    ("user_id=" + "u" * 129, "user_id"),
    ("user_id=u&k=0", "k"),
    ("user_id=u&k=10000", "k"),
    ("user_id=u&k=ten", "k"),
    ("user_id=u&exclude=a%20b", "exclude"),
    ("user_id=u&diversity=2", "diversity"),
    ("user_id=u&diversity=nan", "diversity"),
    ("user_id=u&explain=perhaps", "explain"),
    ("user_id=u&at=yesterday", "at"),
    ("user_id=u&at=9999-12-31T23:59:59-05:00", "at"),
    ("user_id=u&catgory=film", "catgory"),
]


@pytest.mark.parametrize(("query", "field"), BAD_QUERIES)
def test_a_bad_query_is_refused_by_the_name_of_its_field(steady_api: Any, query: str, field: str) -> None:
    refusal = steady_api.get(f"/recommend?{query}")
    assert refusal.status_code == 422
    error = refusal.json()["error"]
    assert set(error) == {"code", "message", "details"} and error["code"] == "invalid"
    assert error["details"][0]["field"].startswith(field) and error["message"].startswith(field)


BAD_BODIES: list[tuple[bytes, int, str]] = [
    (b'{"user_id": "u"', 400, "JSON"),
    (b"[]", 422, "body"),
    (b"{}", 422, "user_id"),
    (b'{"user_id": "a b"}', 422, "user_id"),
    (b'{"user_id": "u", "k": 0}', 422, "k:"),
    (b'{"user_id": "u", "k": 10000}', 422, "k:"),
    (b'{"user_id": "u", "items": []}', 422, "items"),
    (b'{"user_id": "u", "colour": "red"}', 422, "colour"),
    (b'{"events": [{"item_id": "garden-1", "event_type": "stare"}]}', 422, "events.0.event_type"),
    (
        b'{"events": [{"item_id": "garden-1", "event_type": "click", "timestamp": 4102444800}]}',
        422,
        "events.0.timestamp",
    ),
    (b'{"user_id": "' + b"u" * 2_000_000 + b'"}', 413, "1048576"),
]


@pytest.mark.parametrize(("body", "status", "word"), BAD_BODIES)
def test_a_bad_body_is_refused_and_says_why(steady_api: Any, body: bytes, status: int, word: str) -> None:
    refusal = steady_api.post("/recommend", content=body, headers={"content-type": "application/json"})
    assert refusal.status_code == status
    assert word in refusal.json()["error"]["message"]
    assert str(status) in documented(steady_api, "POST", "/recommend")["responses"]


def test_a_large_body_of_undeclared_length_is_cut_off(steady_api: Any) -> None:
    chunks = (b" " * 65_536 for _ in range(40))
    refusal = steady_api.post("/recommend", content=chunks, headers={"content-type": "application/json"})
    assert refusal.status_code == 413 and refusal.json()["error"]["code"] == "too_large"


def test_a_body_of_another_type_is_refused_and_one_without_a_type_is_json(steady_api: Any) -> None:
    body = b'{"user_id": "u"}'
    form = steady_api.post("/recommend", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert form.status_code == 415 and "application/json" in form.json()["error"]["message"]
    assert "415" in documented(steady_api, "POST", "/recommend")["responses"]
    assert steady_api.post("/recommend", content=body).status_code == 200


def test_too_many_events_are_refused(steady_api: Any) -> None:
    events = [{"item_id": "garden-1", "event_type": "view"}] * 1_001
    refusal = steady_api.post("/recommend", json={"events": events})
    assert refusal.status_code == 422 and refusal.json()["error"]["details"][0]["field"] == "events"


REFUSALS = [
    ("GET", "/users/nobody-yet/features", 404),
    ("GET", "/users/a%20b/features", 422),
    ("GET", "/items/nothing/features", 404),
    ("GET", "/items/a%20b/features", 422),
    ("GET", "/items/nothing/similar", 404),
    ("GET", "/items/a%20b/similar", 422),
    ("GET", "/items/garden-1/similar?k=0", 422),
    ("GET", "/items/garden-1/similar?k=10000", 422),
    ("GET", "/popular?k=0", 422),
    ("GET", "/popular?k=10000", 422),
    ("DELETE", "/recommend", 405),
    ("GET", "/nowhere", 404),
    ("GET", "/", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), REFUSALS)
def test_every_refusal_has_the_same_shape(steady_api: Any, method: str, path: str, status: int) -> None:
    refusal = steady_api.request(method, path)
    assert refusal.status_code == status
    assert set(refusal.json()) == {"error"} and set(refusal.json()["error"]) == {"code", "message", "details"}
    if method == "GET" and path.count("/") > 1:
        assert str(status) in documented(steady_api, "GET", path.partition("?")[0].replace("%20", ""))["responses"]


def test_features_of_a_user_and_of_an_item(api: Any, shop: Any) -> None:
    user = api.get("/users/user-1/features").json()
    assert set(user) == {"user_id", "features", "event_timestamp", "age_ms"}
    assert user["features"]["event_count"] == shop.users["user-1"].event_count
    assert user["features"]["segments"] == ["likes:kitchen"] and user["age_ms"] > 0
    item = api.get("/items/garden-1/features").json()
    assert item["features"]["event_count"] == shop.items["garden-1"].event_count
    assert item["features"]["title"] == "Garden 1" and item["features"]["categories"] == ["garden"]


def test_a_profile_alone_is_a_known_user_without_events(api: Any, shop: Any) -> None:
    shop.put_users([UserProfile(user_id="quiet", segments=("likes:music",))])
    features = api.get("/users/quiet/features").json()["features"]
    assert features["event_count"] == 0 and features["segments"] == ["likes:music"]


def test_similar_items_leave_out_the_item_itself(api: Any) -> None:
    answer = api.get("/items/garden-1/similar", params={"k": 5}).json()
    schemas.SimilarAnswer.model_validate(answer)
    assert answer["count"] == 5 and "garden-1" not in ids(answer)
    assert all(name.startswith("garden") for name in ids(answer)[:3])


def test_the_model_says_what_it_is(api: Any) -> None:
    model = api.get("/model").json()
    schemas.ModelAnswer.model_validate(model)
    assert model["model_version"] == api.get("/recommend?user_id=user-1").json()["model_version"]
    assert model["source"] == "bundle_dir" and model["items"] == 60 and "fusion_score" in model["feature_names"]


def test_liveness_readiness_and_metrics(api: Any) -> None:
    assert api.get("/health").json() == {"status": "ok"}
    assert api.get("/ready").json() == {"status": "ready"}
    api.get("/recommend?user_id=user-1")
    api.get("/recommend?user_id=nobody-yet")
    api.get("/nowhere")
    text = api.get("/metrics").text
    for line in (
        'freshet_recommender_requests_total{route="/recommend",status="200"} 2.0',
        'freshet_recommender_requests_total{route="none",status="404"} 1.0',
        'freshet_recommender_fallbacks_total{name="popular"} 1.0',
        "freshet_recommender_feature_age_seconds_count 1.0",
        'freshet_recommender_stage_seconds_count{stage="rank"} 2.0',
        "freshet_recommender_item_table_items 60.0",
        "freshet_recommender_model_info{",
    ):
        assert line in text, line


def test_the_requests_clock_is_refused_outside_local_mode(
    settings: Any, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "mode": "production", "anonymous_roles": "read"}))
    refusal = api.get("/recommend", params={"user_id": "user-1", "at": 1_800_000_000})
    assert refusal.status_code == 403 and refusal.json()["error"]["message"].startswith("at:")
    assert api.get("/recommend?user_id=user-1").status_code == 200
