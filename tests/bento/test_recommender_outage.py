"""What stays when something is away: a labelled answer, never a 5xx, and recovery by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.settings import Settings


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def recommend(api: Any, user_id: str = "user-1") -> dict[str, Any]:
    response = api.get("/recommend", params={"user_id": user_id, "k": 5})
    assert response.status_code == 200
    return dict(response.json())


@pytest.fixture
def own_redis(home: Settings, start_stack: Callable[..., Any]) -> Any:
    """A Redis of this test alone, to be killed."""
    return start_stack(home, "redis")


@pytest.fixture
def api(own_redis: Any, bundle_dir: Any, serve: Callable[[Settings], Any], stocked: Callable[[str], Any]) -> Any:
    stocked(own_redis.settings.redis_url)
    return serve(
        own_redis.settings.model_copy(update={"bundle_dir": bundle_dir, "item_refresh_s": 0.1, "explore_share": 0.0})
    )


def test_a_killed_redis_gives_labelled_answers_and_its_return_personal_ones(
    api: Any, own_redis: Any, stocked: Callable[[str], Any], eventually: Callable[..., Any]
) -> None:
    before = recommend(api)
    popular = ids(recommend(api, "nobody-yet"))
    assert before["fallback"] is None
    own_redis.kill("redis")
    known = recommend(api)
    assert known["fallback"] == "last_known" and known["feature_age_ms"] > before["feature_age_ms"]
    assert ids(known) == ids(before)
    away = recommend(api, "user-2")
    assert away["fallback"] == "popular" and away["feature_age_ms"] is None and ids(away) == popular
    assert 'freshet_recommender_dependency_up{dependency="redis"} 0.0' in api.get("/metrics").text
    assert api.get("/ready").status_code == 200
    refusal = api.get("/users/user-1/features")
    assert refusal.status_code == 503 and refusal.json()["error"]["code"] == "unavailable"
    assert refusal.headers["retry-after"]
    assert api.get("/items/garden-1/features").status_code == 503
    assert api.get("/items/garden-1/similar").status_code == 200
    time.sleep(0.5)
    assert api.get("/model").json()["item_table_age_s"] > 0.4
    own_redis.restart("redis")
    stocked(own_redis.settings.redis_url).click("user-1", "kitchen-1")
    back = eventually(lambda: (answer := recommend(api))["fallback"] is None and answer, within_s=2)
    assert back["feature_age_ms"] < 10_000
    assert 'freshet_recommender_dependency_up{dependency="redis"} 1.0' in api.get("/metrics").text
    eventually(lambda: api.get("/model").json()["item_table_age_s"] < 0.3, within_s=5)


@pytest.fixture
def frozen(own_redis: Any) -> Iterator[Callable[[], None]]:
    """Stops the Redis process without ending it: connections stay open and nothing answers."""
    process = own_redis.process("redis").pid
    yield lambda: os.kill(process, signal.SIGSTOP)
    os.kill(process, signal.SIGCONT)


def test_a_redis_that_hangs_costs_no_more_than_the_timeout(api: Any, frozen: Callable[[], None]) -> None:
    recommend(api)
    frozen()
    for user_id, fallback in (("user-1", "last_known"), ("user-2", "popular"), ("user-3", "popular")):
        started = time.monotonic()
        assert recommend(api, user_id)["fallback"] == fallback
        assert time.monotonic() - started < 0.25 * 2 + 0.2


def test_without_redis_at_the_start_the_bundles_items_are_answered_and_it_is_not_ready(
    home: Settings, bundle_dir: Any, serve: Callable[[Settings], Any]
) -> None:
    api = serve(home.model_copy(update={"bundle_dir": bundle_dir, "redis_url": "redis://127.0.0.1:1/0"}))
    answer = recommend(api)
    assert answer["fallback"] == "static" and answer["count"] == 5
    refusal = api.get("/ready")
    assert refusal.status_code == 503 and set(refusal.json()["error"]["details"]) == {"items"}
    excluded = api.get("/recommend", params={"user_id": "u", "exclude": ",".join(ids(answer))}).json()
    assert not set(ids(excluded)) & set(ids(answer))
    body = {"events": [{"item_id": "garden-1", "event_type": "click"}]}
    assert api.post("/recommend", json=body).json()["fallback"] == "static"
    given = api.post("/recommend", json={"user_id": "u", "items": ["music-2", "never-heard-of", "garden-1"]}).json()
    assert sorted(ids(given)) == ["garden-1", "music-2"] and given["fallback"] == "static"


def test_a_failing_scorer_is_answered_by_popularity_and_counted(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(api.runtime.releases.current.scorer, "recommend", broken)
    assert recommend(api)["fallback"] == "popular"
    assert 'freshet_recommender_failures_total{step="personal"} 1.0' in api.get("/metrics").text


def test_a_dead_broker_delays_nothing_and_its_impressions_are_counted_as_dropped(
    settings: Settings, bundle_dir: Any, serve: Any, eventually: Callable[..., Any]
) -> None:
    dead = {"bundle_dir": bundle_dir, "kafka_bootstrap_servers": "127.0.0.1:1", "broker_timeout_s": 0.3}
    api = serve(settings.model_copy(update=dead))
    for _ in range(20):
        assert recommend(api)["took_ms"] < 200
    dropped = 'freshet_recommender_impressions_total{outcome="dropped"} 20.0'
    eventually(lambda: dropped in api.get("/metrics").text, within_s=10)


def test_a_broker_that_comes_back_gets_impressions_again(
    *,
    settings: Settings,
    home: Settings,
    shop: Any,
    bundle_dir: Any,
    serve: Callable[[Settings], Any],
    start_stack: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    broker = start_stack(home, "kafka")
    own = {"kafka_bootstrap_servers": broker.settings.kafka_bootstrap_servers, "broker_timeout_s": 0.5}
    topic = {"topic_impressions": broker.settings.topic_impressions, "bundle_dir": bundle_dir}
    api = serve(settings.model_copy(update=own | topic))

    def line(name: str) -> float:
        return float(api.get("/metrics").text.partition(f"freshet_recommender_{name} ")[2].partition("\n")[0] or 0)

    def sent() -> float:
        recommend(api)
        return line('impressions_total{outcome="sent"}')

    def dropped() -> bool:
        recommend(api)
        return line('dependency_up{dependency="kafka"}') == 0

    eventually(sent, within_s=20)
    broker.kill("kafka")
    eventually(dropped, within_s=20)
    before = line('impressions_total{outcome="dropped"}')
    recommend(api)
    eventually(lambda: line('impressions_total{outcome="dropped"}') > before, within_s=5)
    broker.restart("kafka")
    so_far = sent()
    eventually(lambda: sent() > so_far, within_s=20)
    assert line('dependency_up{dependency="kafka"}') == 1


def test_with_no_champion_it_starts_answers_popular_and_is_not_ready(
    settings: Settings, shop: Any, serve: Callable[[Settings], Any]
) -> None:
    api = serve(settings)
    answer = recommend(api)
    assert answer["fallback"] == "popular" and answer["count"] == 5 and answer["model_version"] is None
    refusal = api.get("/ready")
    assert refusal.status_code == 503 and set(refusal.json()["error"]["details"]) == {"model"}
    assert api.get("/health").status_code == 200
    assert ids(api.get("/items/garden-1/similar").json())[0].startswith("garden")
    assert api.get("/model").json()["model_version"] is None
