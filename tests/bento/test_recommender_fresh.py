"""What happens shows: new items, clicks and sessions change the answers at once, and the rules hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from feature_repo.events import Event, Item, UserProfile


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def get(api: Any, **query: Any) -> dict[str, Any]:
    response = api.get("/recommend", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_a_new_item_is_recommendable_and_similar_by_content_at_once(
    api: Any, shop: Any, eventually: Callable[..., Any]
) -> None:
    shop.put_items([Item(item_id="sitar", title="Sitar", categories=("music",), published_at=datetime.now(UTC))])
    near = eventually(lambda: api.get("/items/sitar/similar?k=5").json().get("recommendations"), within_s=5)
    assert all(item["item_id"].startswith("music") and item["source"] == "content" for item in near)
    assert "sitar" in ids(api.get("/items/music-1/similar?k=60").json())
    shelf = get(api, user_id="user-2", category="music", k=60)
    assert "sitar" in ids(shelf)
    assert "sitar" in ids(get(api, user_id="user-2", k=60))


def test_an_item_that_moves_to_another_category_is_found_there_alone(
    api: Any, shop: Any, eventually: Callable[..., Any]
) -> None:
    shop.put_items([Item(item_id="garden-3", title="Gong", categories=("music",))])
    eventually(lambda: "garden-3" in ids(api.get("/popular?category=music&k=60").json()), within_s=5)
    assert "garden-3" not in ids(api.get("/popular?category=garden&k=60").json())


def test_an_item_of_events_alone_is_not_shown_before_the_catalogue_names_it(
    api: Any, shop: Any, eventually: Callable[..., Any]
) -> None:
    shop.click("user-3", *["mystery"] * 30)
    eventually(lambda: api.get("/model").json()["items"] == 61, within_s=5)
    assert "mystery" not in ids(get(api, user_id="nobody-yet", k=100))
    shop.put_items([Item(item_id="mystery", title="Mystery")])
    eventually(lambda: ids(get(api, user_id="nobody-yet", k=100))[0] == "mystery", within_s=5)


def test_seen_items_are_never_shown_again(api: Any, shop: Any) -> None:
    shown = ids(get(api, user_id="user-1", k=3))
    shop.click("user-1", *shown)
    after = ids(get(api, user_id="user-1", k=60))
    assert not set(after) & set(shop.users["user-1"].seen_items)
    assert set(after) | set(shop.users["user-1"].seen_items) == {
        f"{c}-{n}" for c in ("garden", "kitchen", "music") for n in range(20)
    }


def test_the_next_answer_knows_the_last_clicks(api: Any, shop: Any) -> None:
    assert get(api, user_id="visitor")["fallback"] == "popular"
    shop.click("visitor", "music-2", "music-3", "music-4")
    answer = get(api, user_id="visitor", k=3)
    assert answer["fallback"] is None and answer["feature_age_ms"] < 5_000
    assert all(name.startswith("music") for name in ids(answer))


def test_excluded_items_are_left_out_and_unknown_ones_ignored(api: Any) -> None:
    first = ids(get(api, user_id="user-1", k=3))
    rest = ids(get(api, user_id="user-1", k=3, exclude=f"{first[0]},{first[2]},never-heard-of"))
    assert not {first[0], first[2]} & set(rest) and first[1] in rest
    assert ids(api.post("/recommend", json={"user_id": "user-1", "k": 3, "exclude": first}).json())[0] not in first


def test_a_category_holds_for_personal_and_for_popular_lists(api: Any) -> None:
    for user in ("user-1", "nobody-yet"):
        answer = get(api, user_id=user, category="garden", k=60)
        assert answer["count"] and all(name.startswith("garden") for name in ids(answer))
    assert get(api, user_id="user-1", category="no-such-thing")["count"] == 0


def test_a_context_item_asks_for_what_goes_with_it(api: Any) -> None:
    near = get(api, user_id="user-1", context_item="music-3", k=3)
    assert near["fallback"] is None and all(name.startswith("music") for name in ids(near))
    assert ids(get(api, user_id="user-1", context_item="never-heard-of")) == ids(get(api, user_id="user-1"))


def test_given_items_are_ranked_and_unknown_ones_left_out(api: Any, shop: Any) -> None:
    seen = next(iter(shop.users["user-1"].seen_items))
    wanted = ["music-3", "garden-3", "kitchen-5", seen, "never-heard-of"]
    answer = api.post("/recommend", json={"user_id": "user-1", "items": wanted}).json()
    assert sorted(ids(answer)) == sorted({*wanted} - {"never-heard-of"}) and answer["fallback"] is None
    assert ids(answer)[0].startswith("kitchen")
    cold = api.post("/recommend", json={"user_id": "nobody-yet", "items": wanted, "k": 2}).json()
    assert cold["fallback"] == "popular" and cold["count"] == 2 and set(ids(cold)) < set(wanted)


def test_a_session_is_answered_as_a_stored_user_of_the_same_events(api: Any, shop: Any) -> None:
    events = shop.click("stored", "music-2", "garden-1", "music-3", "music-5")
    at = time.time()
    session = [
        {"item_id": e.item_id, "event_type": e.event_type, "timestamp": e.time_us / 1e6, "event_id": e.event_id}
        for e in events
    ]
    body = {"events": [*session, session[-1]], "k": 60, "at": at}
    anonymous = api.post("/recommend", json=body).json()
    stored = get(api, user_id="stored", k=60, at=at)
    assert anonymous["fallback"] is None and anonymous["user_id"] == "anonymous"
    assert anonymous["recommendations"] == stored["recommendations"]
    assert anonymous["feature_age_ms"] == stored["feature_age_ms"]
    assert api.get("/users/anonymous/features").status_code == 404


def test_more_than_the_model_ranks_is_filled_up_with_popular_items_below(
    settings: Any, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "candidates": 5}))
    answer = get(api, user_id="user-1", k=30)
    scores = [item["score"] for item in answer["recommendations"]]
    sources = [item["source"] for item in answer["recommendations"]]
    assert answer["count"] == 30 == len(set(ids(answer))) and scores == sorted(scores, reverse=True)
    assert sources[5:] == ["popular"] * 25


def test_reasons_are_given_only_when_asked_for(api: Any) -> None:
    assert all("reasons" not in item for item in get(api, user_id="user-1")["recommendations"])
    for user in ("user-1", "nobody-yet"):
        for item in get(api, user_id=user, explain=True)["recommendations"]:
            assert 1 <= len(item["reasons"]) <= 3 and all(item["reasons"])
    assert "Kitchen" in str(get(api, user_id="user-1", explain=True)["recommendations"][0]["reasons"])


def test_diversity_brings_other_categories_in(api: Any) -> None:
    def categories(diversity: float) -> set[str]:
        return {name.partition("-")[0] for name in ids(get(api, user_id="user-1", k=4, diversity=diversity))}

    assert categories(0) == {"kitchen"} and categories(1) == {"garden", "kitchen", "music"}


def test_a_row_past_its_time_to_live_counts_as_missing(settings: Any, shop: Any, bundle_dir: Any, serve: Any) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "feature_ttl_s": 3_600.0}))
    old = Event.model_validate(
        {"user_id": "sleeper", "item_id": "music-1", "event_type": "click", "timestamp": time.time() - 7_200}
    )
    shop.act([old])
    assert get(api, user_id="sleeper")["fallback"] == "popular"
    assert api.get("/users/sleeper/features").status_code == 404
    session = [{"item_id": "music-1", "event_type": "click", "timestamp": old.time_us / 1e6}]
    assert api.post("/recommend", json={"events": session}).json()["fallback"] == "popular"
    shop.click("sleeper", "music-2")
    assert get(api, user_id="sleeper")["fallback"] is None


def test_what_an_old_row_says_was_seen_is_forgotten_but_the_profile_is_not(
    settings: Any, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "feature_ttl_s": 3_600.0}))
    old = time.time() - 7_200
    shelf = [f"music-{n}" for n in range(20)]
    events = [
        {"user_id": "sleeper", "item_id": item_id, "event_type": "click", "timestamp": old + n}
        for n, item_id in enumerate(shelf)
    ]
    shop.act([Event.model_validate(event) for event in events])
    assert set(ids(get(api, user_id="sleeper", category="music", k=60))) == set(shelf)
    shop.put_users([UserProfile(user_id="sleeper", segments=("likes:music",))])
    answer = api.get("/users/sleeper/features").json()
    assert answer["features"]["event_count"] == 0 and answer["features"]["segments"] == ["likes:music"]
    assert answer["age_ms"] < 60_000
    assert get(api, user_id="sleeper")["feature_age_ms"] is None


def test_an_items_counts_past_their_time_to_live_count_as_missing_also_in_the_table(
    settings: Any, shop: Any, bundle_dir: Any, serve: Any, eventually: Callable[..., Any]
) -> None:
    ttl_s = 6.0
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "feature_ttl_s": ttl_s, "item_refresh_s": 0.1}))
    shop.put_items([Item(item_id="fleeting", title="Fleeting")])
    shop.click("somebody", *["fleeting"] * 30)
    eventually(lambda: ids(api.get("/popular?k=1").json()) == ["fleeting"], within_s=2)
    assert api.get("/items/fleeting/features").json()["features"]["event_count"] == 30
    eventually(lambda: api.get("/popular?k=1").json()["fallback"] == "static", within_s=2 * ttl_s)
    features = api.get("/items/fleeting/features").json()["features"]
    assert features["event_count"] == 0 and features["title"] == "Fleeting"
