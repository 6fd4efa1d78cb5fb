"""Later pages go on with the very list that was made: no repeats, no gaps, whatever happens and whoever answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bento.recommender import schemas
from bento.recommender.impressions import Origin
from bento.recommender.paging import PREFIX, Listed
from feature_repo.events import pseudonym
from infra.settings import Settings


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def get(api: Any, **query: Any) -> dict[str, Any]:
    response = api.get("/recommend", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


def page(api: Any, first: dict[str, Any], offset: int, **query: Any) -> dict[str, Any]:
    named = {"user_id": first["user_id"], "recommendation_id": first["recommendation_id"], "offset": offset}
    return get(api, **named | query)


@pytest.mark.parametrize("user", ["user-1", "nobody-yet"])
def test_pages_are_the_list_in_pieces(api: Any, shop: Any, user: str) -> None:
    at = time.time()
    whole, first = get(api, user_id=user, k=45, at=at), get(api, user_id=user, k=10, at=at)
    shop.click(user, *ids(first)[:3], "music-7")
    pages = [first, *(page(api, first, offset, k=10) for offset in (10, 20, 30))]
    for answer in pages:
        schemas.RecommendAnswer.model_validate(answer)
        shared = ("recommendation_id", "user_id", "model_version", "variant", "fallback", "timestamp")
        assert {name: answer[name] for name in shared} == {name: first[name] for name in shared}
        assert answer["count"] == 10 and not answer["exhausted"]
    assert [answer["offset"] for answer in pages] == [0, 10, 20, 30]
    shown = [item for answer in pages for item in answer["recommendations"]]
    assert [item["item_id"] for item in shown] == ids(whole)[:40]
    assert all(item["title"] and item["source"] for item in shown)
    assert page(api, first, 0, k=10)["recommendations"] == first["recommendations"]


def test_the_list_ends_where_nothing_is_left(api: Any) -> None:
    first = get(api, user_id="user-1", k=10)
    everything = get(api, user_id="user-1", k=60)
    last = page(api, first, 40, k=60)
    assert last["exhausted"] and ids(last) == ids(everything)[40:]
    beyond = page(api, first, 5_000)
    assert beyond["exhausted"] and beyond["count"] == 0


def test_the_cap_holds_on_every_page(api: Any) -> None:
    first = get(api, user_id="user-1", k=6, max_per_category=2)
    for answer in (first, page(api, first, 6, k=6), page(api, first, 12, k=6)):
        shelves = [name.partition("-")[0] for name in ids(answer)]
        assert len(shelves) == 6 and all(shelves.count(shelf) == 2 for shelf in shelves)


def test_a_session_has_pages_too(api: Any) -> None:
    session = [{"item_id": "music-1", "event_type": "click"}, {"item_id": "music-2", "event_type": "view"}]
    first = api.post("/recommend", json={"events": session, "k": 5, "timeout_ms": 2_000}).json()
    body = {"user_id": "anonymous", "recommendation_id": first["recommendation_id"], "offset": 5, "k": 5}
    second = api.post("/recommend", json=body).json()
    assert first["fallback"] is None and len({*ids(first), *ids(second)}) == 10


def test_an_answer_from_the_cache_has_a_list_of_its_own(api: Any) -> None:
    first, again = get(api, user_id="user-1"), get(api, user_id="user-1")
    assert first["recommendation_id"] != again["recommendation_id"]
    assert ids(page(api, first, 10)) == ids(page(api, again, 10)) != ids(first)


def refused(api: Any, **query: Any) -> str:
    response = api.get("/recommend", params=query)
    assert response.status_code == 404, response.text
    error = response.json()["error"]
    assert error["code"] == "not_found"
    return str(error["message"])


def test_a_list_that_there_is_not_or_of_someone_else_is_not_found(api: Any) -> None:
    first = get(api, user_id="user-1")
    message = refused(api, user_id="user-1", recommendation_id="never-made")
    assert message.startswith("recommendation_id: never-made") and "FRESHET_PAGE_TTL_S" in message
    refused(api, user_id="user-2", recommendation_id=first["recommendation_id"], offset=10)
    assert 'pages_total{place="nowhere"} 2.0' in api.get("/metrics").text


def test_an_offset_needs_its_list(api: Any) -> None:
    refusal = api.get("/recommend", params={"user_id": "user-1", "offset": 10})
    assert refusal.status_code == 422 and "offset: give the recommendation_id" in refusal.json()["error"]["message"]
    assert api.get("/recommend", params={"user_id": "u", "recommendation_id": "x", "offset": -1}).status_code == 422


def test_reasons_of_later_pages_say_where_an_item_came_from(api: Any) -> None:
    first = get(api, user_id="user-1")
    later = page(api, first, 10, explain=True)
    assert all(len(item["reasons"]) == 1 for item in later["recommendations"])
    assert all("reasons" not in item for item in page(api, first, 10)["recommendations"])


def test_another_worker_goes_on_with_the_list(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any, eventually: Callable[..., Any]
) -> None:
    mine = serve(settings.model_copy(update={"bundle_dir": bundle_dir}))
    other = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "home": settings.home.with_name("other")}))
    first = get(mine, user_id="user-1")
    key = PREFIX + first["recommendation_id"]
    eventually(lambda: shop.client.exists(key), within_s=2)
    assert 0 < shop.client.pttl(key) <= settings.page_ttl_s * 1_000
    assert b"user-1" not in shop.client.get(key)
    there, here = page(other, first, 10), page(mine, first, 10)
    assert there["recommendations"] == here["recommendations"] and there["timestamp"] == first["timestamp"]
    refused(other, user_id="user-2", recommendation_id=first["recommendation_id"])


def test_lists_are_forgotten_everywhere(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any, eventually: Callable[..., Any]
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "page_ttl_s": 0.5}))
    first = get(api, user_id="user-1")
    query = {"user_id": "user-1", "recommendation_id": first["recommendation_id"], "offset": 10}
    assert api.get("/recommend", params=query).status_code == 200
    eventually(lambda: api.get("/recommend", params=query).status_code == 404, within_s=3)
    assert not shop.client.keys(PREFIX + "*")


def test_without_redis_a_process_still_knows_its_own_lists(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir}))
    first = get(api, user_id="user-1")
    pages = api.runtime.pages
    pages._client = redis.Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))  # patient by default
    again = get(api, user_id="user-2")
    for made in (first, again):
        assert page(api, made, 10)["count"] == 10
    refused(api, user_id="user-1", recommendation_id="never-made")


def test_pages_can_be_turned_off(settings: Settings, shop: Any, bundle_dir: Any, serve: Any) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "page_items": 0}))
    first = get(api, user_id="user-1")
    assert first["count"] == 10
    refused(api, user_id="user-1", recommendation_id=first["recommendation_id"], offset=10)
    assert not shop.client.keys(PREFIX + "*")


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_packed_list_comes_back(length: int) -> None:
    head = {"model_version": None, "variant": "champion", "fallback": "popular", "feature_age_ms": 1.5}
    scores = np.linspace(3, -3, length, dtype=np.float32)
    names = [f"ünter-{n}" for n in range(length)]
    origin = Origin(1_700_000_000_000_000, "3", {"more-variety": "varied"})
    made = Listed(pseudonym("u"), head, origin, names, [("retriever", "new")[n % 2] for n in range(length)], scores)
    back = Listed.unpacked(made.packed())
    assert back[:5] == made[:5] and back.scores.tolist() == scores.tolist()


def test_what_is_no_list_is_refused() -> None:
    for raw in (b"", b"{}", b"[1, 2]\n", b'["u", {}, ["a"], ["x"], [0]]\nabc'):
        with pytest.raises(ValueError):
            Listed.unpacked(raw)
