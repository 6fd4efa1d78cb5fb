"""What a process remembers of users: bounded in number and in time, and never of who was erased."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bento.recommender.last_known import LastKnown
from infra.settings import Settings

ROW = [b"a", None, b"b"]


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def recommend(api: Any, **query: Any) -> dict[str, Any]:
    response = api.get("/recommend", params={"user_id": "user-1", "k": 5, **query})
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_a_row_comes_back_as_it_was_read_and_equal_rows_are_equal() -> None:
    last = LastKnown(10, 60)
    packed = last.keep(b"u", ROW)
    assert last.get(b"u") == (ROW, packed)
    assert last.keep(b"v", list(ROW)) == packed != last.keep(b"u", [b"a", b"", b"b"])


def test_who_has_no_rows_any_more_is_forgotten() -> None:
    last = LastKnown(10, 60)
    last.keep(b"u", ROW)
    last.keep(b"u", [None, None, None])
    assert b"u" not in last and last.get(b"u") is None


def test_the_row_read_longest_ago_makes_room() -> None:
    last = LastKnown(2, 60)
    for key in (b"a", b"b", b"a", b"c"):
        last.keep(key, ROW)
    assert (b"a" in last, b"b" in last, b"c" in last, len(last)) == (True, False, True, 2)
    nothing = LastKnown(0, 60)
    nothing.keep(b"a", ROW)
    assert len(nothing) == 0


def test_all_rows_together_take_no_more_memory_than_they_may() -> None:
    last = LastKnown(1_000, 60, most_bytes=100_000)
    for n in range(500):
        last.keep(b"%d" % n, [b"x" * (n % 7) * 1_000])
        assert last.bytes <= 100_000
    assert 10 < len(last) < 100 and b"499" in last
    for n in range(500):
        last.keep(b"%d" % n, [None])
    assert (len(last), last.bytes) == (0, 0)


def test_rows_are_forgotten_in_time_whether_asked_for_or_not() -> None:
    last = LastKnown(10, 0.05)
    last.keep(b"a", ROW)
    assert last.get(b"a") is not None
    time.sleep(0.1)
    assert last.get(b"a") is None
    last.keep(b"b", ROW)
    assert len(last) == 1


@pytest.fixture
def api(
    home: Settings,
    start_stack: Callable[..., Any],
    bundle_dir: Path,
    serve: Callable[[Settings], Any],
    stocked: Callable[[str], Any],
) -> Any:
    """With a Redis of its own, ``api.redis``; nothing is answered from the answer cache."""
    servers = start_stack(home, "redis")
    shop = stocked(servers.settings.redis_url)
    changes = {"bundle_dir": bundle_dir, "answer_cache": 0, "explore_share": 0.0}
    api = serve(servers.settings.model_copy(update=changes))
    api.redis, api.shop = servers, shop
    return api


def test_the_answer_while_redis_is_away_knows_the_last_act_that_was_read(api: Any) -> None:
    shown = recommend(api)["recommendations"][0]["item_id"]
    api.shop.click("user-1", shown)
    live = recommend(api)
    api.redis.kill("redis")
    known = recommend(api)
    assert known["fallback"] == "last_known" and ids(known) == ids(live)
    assert known["feature_age_ms"] >= live["feature_age_ms"]
    session = {"events": [{"item_id": "garden-1", "event_type": "click"}]}
    assert api.post("/recommend", json=session).json()["fallback"] is None, "a session needs no Redis"


def test_who_is_erased_is_gone_with_the_next_read(api: Any) -> None:
    recommend(api)
    for view in ("user_features", "user_seen", "user_profile"):
        api.shop.store.remove(view, ["user-1"])
    assert recommend(api)["fallback"] == "popular"
    api.redis.kill("redis")
    assert recommend(api)["fallback"] == "popular"


def test_a_profile_and_what_its_segments_like_are_remembered_too(api: Any) -> None:
    from feature_repo.events import UserProfile

    api.shop.put_users([UserProfile(user_id="newcomer", segments=("likes:music",))])
    before = recommend(api, user_id="newcomer")
    assert before["fallback"] == "profile" and before["count"] == 5
    api.redis.kill("redis")
    after = recommend(api, user_id="newcomer")
    assert after["fallback"] == "profile" and ids(after) == ids(before)


def test_a_request_short_of_time_gets_a_cheaper_answer(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = api.runtime.releases.current.scorer
    quick = scorer.recommend

    def slow(*args: Any, **more: Any) -> Any:
        time.sleep(0.5)
        return quick(*args, **more)

    monkeypatch.setattr(scorer, "recommend", slow)
    for _ in range(5):
        assert recommend(api, timeout_ms=60_000)["fallback"] is None
    hurried = recommend(api, timeout_ms=50)
    assert hurried["fallback"] == "popular" and hurried["count"] == 5
    assert recommend(api, timeout_ms=60_000)["fallback"] is None
