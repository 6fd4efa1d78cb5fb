"""The rules hold whatever answers: stock, expiry, what was seen, categories, caps; a list is whole or says so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from bento.recommender.rules import SeenRule
from bento.recommender.visitors import SEEN_ITEMS, Visitor
from feature_repo.events import EVENT_TYPES, Event, Item, UserProfile
from feature_repo.online import ViewCodec
from feature_repo.schema import ITEM_CATALOG, USER_SEEN
from feature_repo.state import type_bits
from infra.settings import Settings, SettingsError

CATEGORIES = ("garden", "kitchen", "music")
ALL = {f"{category}-{n}" for category in CATEGORIES for n in range(20)}
GONE, OVER, SOON = "kitchen-4", "music-4", "garden-4"
"""Out of stock; expired; about to expire, in an hour."""
HOUR = timedelta(hours=1)


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def ask(api: Any, **body: Any) -> dict[str, Any]:
    response = api.post("/recommend", json=body)
    assert response.status_code == 200, response.text
    return dict(response.json())


def category(item_id: str) -> str:
    return item_id.partition("-")[0]


def limited(item_id: str, **flags: Any) -> Item:
    return Item(item_id=item_id, title=item_id, categories=(category(item_id),), **flags)


@pytest.fixture
def limits(shop: Any) -> None:
    now = datetime.now(UTC)
    shop.put_items(
        [limited(GONE, in_stock=False), limited(OVER, expires_at=now - HOUR), limited(SOON, expires_at=now + HOUR)]
    )


def test_what_is_out_of_stock_or_expired_is_shown_nowhere(limits: None, api: Any) -> None:
    for user in ("user-0", "user-1", "user-2", "nobody-yet"):
        shown = set(ids(ask(api, user_id=user, k=60)))
        assert not {GONE, OVER} & shown and len(shown) > 40
    assert {GONE, OVER} & set(ids(api.get("/popular?k=60").json())) == set()
    for near in ("kitchen-3", "music-3"):
        assert not {GONE, OVER} & set(ids(api.get(f"/items/{near}/similar?k=60").json()))
        assert not {GONE, OVER} & set(ids(ask(api, user_id="user-1", context_item=near, k=60)))


def test_expiry_goes_by_the_requests_clock(limits: None, api: Any) -> None:
    now = time.time()
    assert SOON in ids(ask(api, user_id="nobody-yet", k=60))
    assert SOON not in ids(ask(api, user_id="nobody-yet", k=60, at=now + 7_200))
    assert OVER in ids(ask(api, user_id="nobody-yet", k=60, at=now - 7_200))


def test_whoever_names_items_has_them_ranked_all_the_same(limits: None, api: Any) -> None:
    assert set(ids(ask(api, user_id="user-1", items=[GONE, OVER, "music-1"]))) == {GONE, OVER, "music-1"}


def test_stock_comes_back(limits: None, api: Any, shop: Any, eventually: Callable[..., Any]) -> None:
    shop.put_items([limited(GONE)])
    eventually(lambda: GONE in ids(ask(api, user_id="nobody-yet", k=60)), within_s=2)


def test_a_catalogue_row_from_before_the_flags_is_in_stock_for_ever(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    codec = ViewCodec(ITEM_CATALOG)
    fields = dict(zip(ITEM_CATALOG.fields, codec.hash_fields, strict=False))
    shop.client.hdel(codec.key("garden-5"), fields["in_stock"], fields["expires_us"])
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir}))
    features = api.get("/items/garden-5/features").json()["features"]
    assert features["in_stock"] is None and features["expires_us"] is None
    assert "garden-5" in ids(ask(api, user_id="nobody-yet", k=60))


def past(user_id: str, item_id: str, event_type: str, days: float) -> Event:
    return Event.model_validate(
        {
            "user_id": user_id,
            "item_id": item_id,
            "event_type": event_type,
            "timestamp": time.time() - days * 86_400,
        }
    )


@pytest.fixture
def buyer(settings: Settings, shop: Any, bundle_dir: Any) -> tuple[Settings, list[Event]]:
    """One who bought, clicked and looked at something, a while ago."""
    events = [
        past("buyer", "music-1", "purchase", 20),
        past("buyer", "music-2", "click", 2),
        past("buyer", "music-3", "view", 1),
    ]
    shop.act(events)
    return settings.model_copy(update={"bundle_dir": bundle_dir}), events


@pytest.mark.parametrize(
    ("settings_of_the_filter", "shown_again"),
    [
        ({}, set()),
        ({"seen_days": 7.0}, {"music-1"}),
        ({"seen_event_types": "purchase"}, {"music-2", "music-3"}),
        ({"seen_event_types": "purchase, view", "seen_days": 7.0}, {"music-1", "music-2"}),
        ({"seen_event_types": ""}, {"music-1", "music-2", "music-3"}),
    ],
)
def test_how_long_and_after_what_an_item_counts_as_seen(
    buyer: Any, serve: Any, settings_of_the_filter: dict[str, Any], shown_again: set[str]
) -> None:
    settings, events = buyer
    api = serve(settings.model_copy(update=settings_of_the_filter))
    session = [{"item_id": e.item_id, "event_type": e.event_type, "timestamp": e.time_us / 1e6} for e in events]
    for answer in (ask(api, user_id="buyer", k=60), ask(api, events=session, k=60)):
        assert answer["fallback"] is None
        assert set(ids(answer)) == ALL - {"music-1", "music-2", "music-3"} | shown_again


def test_a_row_from_before_times_and_types_were_kept_counts_whole(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    shop.act([past("buyer", "music-1", "view", 20)])
    codec = ViewCodec(USER_SEEN)
    fields = dict(zip(USER_SEEN.fields, codec.hash_fields, strict=False))
    shop.client.hdel(codec.key("buyer"), fields["seen_us"], fields["seen_types"])
    api = serve(
        settings.model_copy(update={"bundle_dir": bundle_dir, "seen_days": 7.0, "seen_event_types": "purchase"})
    )
    assert set(ids(ask(api, user_id="buyer", k=60))) == ALL - {"music-1"}


def test_the_filter_reads_times_and_types_only_where_it_needs_them() -> None:
    assert SeenRule(0, type_bits(EVENT_TYPES)).view is SEEN_ITEMS
    assert SeenRule(1, type_bits(EVENT_TYPES)).view is USER_SEEN and SeenRule(0, 1).view is USER_SEEN
    with pytest.raises(SettingsError, match="FRESHET_SEEN_EVENT_TYPES: stare"):
        SeenRule.of(Settings(seen_event_types="view,stare"))


def test_the_filters_horizon_is_exact() -> None:
    visitor = Visitor(seen=("a", "b"), seen_us=(1_000_000, 1_000_001), seen_types=(1, 1))
    later = 1_000_001 + 86_400 * 1_000_000
    assert SeenRule(1, 1).hidden(visitor, later) == ["b"]
    assert SeenRule(1, 2).hidden(visitor, later) == []


def test_no_more_of_a_category_than_the_request_or_the_setting_says(
    settings: Settings, shop: Any, bundle_dir: Any, serve: Any
) -> None:
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir, "max_per_category": 3}))
    for user in ("user-1", "nobody-yet"):
        answer = ask(api, user_id=user, k=9)
        assert Counter(map(category, ids(answer))) == dict.fromkeys(CATEGORIES, 3) and not answer["exhausted"]
        two = ask(api, user_id=user, k=9, max_per_category=2)
        assert Counter(map(category, ids(two))) == dict.fromkeys(CATEGORIES, 2) and two["exhausted"]
    assert ask(api, user_id="user-1", k=9, category="music")["count"] == 9  # the setting means no single shelf


def test_a_list_that_is_short_says_so(api: Any, shop: Any) -> None:
    everything = ask(api, user_id="user-1", k=60)
    left = ALL - set(shop.users["user-1"].seen_items)
    assert set(ids(everything)) == left and everything["exhausted"]
    assert not ask(api, user_id="user-1", k=len(left))["exhausted"]
    assert ask(api, user_id="user-1", items=["music-1"], k=2)["exhausted"]
    assert ask(api, user_id="user-1", category="no-such-thing")["exhausted"]


shops = st.sampled_from(["user-0", "user-1", "user-2", "user-3", "nobody-yet", "quiet"])
questions = st.fixed_dictionaries(
    {"user_id": shops, "k": st.integers(1, 70), "exclude": st.lists(st.sampled_from(sorted(ALL)), max_size=40)},
    optional={
        "category": st.sampled_from([*CATEGORIES, "no-such-thing"]),
        "diversity": st.floats(0, 1),
        "max_per_category": st.integers(1, 6),
        "context_item": st.sampled_from(["music-3", "garden-0", "never-heard-of"]),
    },
)


@pytest.fixture
def busy_api(settings: Settings, limits: None, shop: Any, bundle_dir: Any, serve: Any) -> Any:
    """Everything at once: limits, an unranked profile, and as many places for new items as may be."""
    shop.put_users([UserProfile(user_id="quiet", segments=("likes:music",))])
    update = {"bundle_dir": bundle_dir, "explore_share": 0.1, "explore_max_events": 1_000, "candidates": 15}
    return serve(settings.model_copy(update=update))


@tries(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=questions)
def test_no_answer_breaks_a_rule_or_is_shorter_than_it_must_be(
    busy_api: Any, shop: Any, question: dict[str, Any]
) -> None:
    answer = ask(busy_api, **question)
    shown, user = ids(answer), question["user_id"]
    seen = shop.users[user].seen_items if user in shop.users else []
    forbidden = {GONE, OVER, *question["exclude"], *seen}
    if (context := question.get("context_item")) in ALL:
        forbidden.add(context)
    free = {name for name in ALL - forbidden if question.get("category") in (None, category(name))}
    assert len(shown) == len(set(shown)) and set(shown) <= free
    assert answer["exhausted"] == (len(shown) < question["k"])
    most = question.get("max_per_category", 1_000)
    counts = Counter(map(category, shown))
    assert all(count <= most for count in counts.values())
    if answer["exhausted"]:
        assert not [name for name in free - set(shown) if counts[category(name)] < most]
