"""Reasons are true: what they name was done, what rises does rise, and the figures are the model's own."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from bento.recommender.because import Because
from bento.recommender.explain import LARGEST, MOST, OTHER, contributions
from bento.recommender.visitors import NOBODY
from feature_repo.events import Event, Item, UserProfile

DAY = 86_400.0
VERBS = {"looked at": "view", "clicked": "click", "bought": "purchase", "put": "add_to_cart", "rated": "rate"}
TOLD = re.compile(r"you (?:(looked at|clicked|bought|put) (.+?)(?: into the cart)?|(rated) (.+) (\d[\d.]*))$")


def act(user_id: str, item_id: str, event_type: str, ago_s: float, value: float | None = None) -> Event:
    return Event.model_validate(
        {
            "user_id": user_id,
            "item_id": item_id,
            "event_type": event_type,
            "timestamp": time.time() - ago_s,
            "value": value,
        }
    )


def explained(api: Any, **query: Any) -> list[dict[str, Any]]:
    response = api.get("/recommend", params={"explain": True} | query)
    assert response.status_code == 200, response.text
    return list(response.json()["recommendations"])


def told(reasons: list[str]) -> list[tuple[str, str, float]]:
    """(event type, title, value) of every act that the reasons name."""
    found = (TOLD.search(reason) for reason in reasons)
    return [(VERBS[match[1] or match[3]], match[2] or match[4], float(match[5] or 0)) for match in found if match]


def title(item_id: str) -> str:
    return item_id.replace("-", " ").title()


def test_every_act_that_is_named_was_done_with_that_value(api: Any, shop: Any) -> None:
    mine = [
        act("critic", "music-2", "rate", 500, 5.0),
        act("critic", "music-3", "rate", 400, 1.0),
        act("critic", "music-4", "purchase", 300),
        act("critic", "music-6", "view", 200),
        act("critic", "music-7", "remove_from_cart", 100),
        act("critic", "music-8", "rate", 50, 4.0),
    ]
    shop.act(mine)
    done = {(event.event_type, title(event.item_id), event.value or 0.0) for event in mine}
    named = [each for item in explained(api, user_id="critic", k=20) for each in told(item["reasons"])]
    assert named and set(named) <= done
    assert ("rate", "Music 3", 1.0) not in named, "a rating below his mean speaks for nothing"
    assert all(event_type != "remove_from_cart" for event_type, _, _ in named)
    assert ("rate", "Music 8", 4.0) in named or ("rate", "Music 2", 5.0) in named


def test_the_named_act_is_the_one_that_people_went_on_from(api: Any, shop: Any) -> None:
    shop.act([act("walker", "music-2", "click", 60), act("walker", "garden-9", "click", 30)])
    release = api.runtime.releases.current
    index, covisitation = release.catalog.table.index, release.bundle.covisitation
    found = 0
    for item in explained(api, user_id="walker", k=20):
        for reason in item["reasons"]:
            if reason.startswith("because you"):
                ((_, name, _),) = told([reason])
                from_item = index[name.lower().replace(" ", "-")]
                assert index[item["item_id"]] in covisitation.of(from_item)[0].tolist()
                found += 1
    assert found


def test_an_item_of_the_same_kind_is_said_to_be_so(api: Any, shop: Any) -> None:
    shop.click("fan", "music-2", "music-3", "garden-4")
    for item in explained(api, user_id="fan", k=30):
        for reason in item["reasons"]:
            if ", as you " in reason:
                kind = reason.partition(",")[0]
                assert kind == item["item_id"].partition("-")[0] == "music" and told([reason])[0][1] == "Music 3"


def test_what_is_said_to_rise_rises(api: Any, shop: Any, eventually: Any) -> None:
    paces = {
        "long-steady": [n * DAY for n in range(60)],
        "new-steady": [n * DAY / 4 for n in range(20)],
        "rising": [*(n * 3_600 for n in range(40)), 30 * DAY, 40 * DAY],
        "falling": [20 * DAY + n * DAY / 10 for n in range(100)],
        "rare": [60.0],
    }
    shop.put_items([Item(item_id=name, title=name) for name in paces])
    events = [act(f"u-{n}", name, "click", ago) for name, times in paces.items() for n, ago in enumerate(times)]
    shop.act(sorted(events, key=lambda event: event.time_us))
    release = api.runtime.releases.current
    table = release.catalog.table
    eventually(lambda: "rare" in table.index and table.column("event_count")[table.index["rare"]] == 1, within_s=3)
    because = Because(release, NOBODY, time.time_ns() // 1_000)
    assert {name: because.trend(table.index[name]) for name in paces} == {
        "long-steady": "much sought this week",
        "new-steady": "much sought today",
        "rising": "rising this week",
        "falling": "much sought this week",
        "rare": None,
    }


def test_sources_without_a_model_have_reasons_too(
    settings: Any, shop: Any, bundle_dir: Any, serve: Any, tmp_path: Any
) -> None:
    shop.store.write(
        {"segment_favourites": {"of:late": ({"items": ["music-7"], "scores": [0.6]}, 1_700_000_000_000_000)}}
    )
    shop.put_users([UserProfile(user_id="late", segments=("of:late",))])
    shop.put_users([UserProfile(user_id="quiet", segments=("likes:music",))])
    shop.put_items([Item(item_id="unmet", title="Unmet")])
    api = serve(settings.model_copy(update={"bundle_dir": bundle_dir}))
    segment = {item["item_id"]: item for item in explained(api, user_id="late", k=60)}
    assert segment["music-7"]["reasons"] == ["liked by people of of:late"] and not segment["music-7"]["contributions"]
    popular = {item["item_id"]: item["reasons"] for item in explained(api, user_id="nobody-yet", k=100)}
    assert popular["unmet"] == ["from the catalogue"]
    count = shop.items["music-5"].event_count
    assert f"popular: {count} acts so far" in popular["music-5"]
    assert explained(api, user_id="quiet")[0]["reasons"][0] == "fits people of likes:music"
    near = explained(api, user_id="user-1", context_item="music-3", k=60)
    assert near[0]["reasons"] == ["others went on to it after Music 3"]
    assert {item["reasons"][0] for item in near if item["source"] == "content"} == {"has much in common with Music 3"}


def test_a_new_item_is_called_new(settings: Any, shop: Any, bundle_dir: Any, serve: Any) -> None:
    shop.put_items([Item(item_id=f"rake-{n}", title=f"Rake {n}", categories=("garden",)) for n in range(5)])
    update = {"bundle_dir": bundle_dir, "explore_share": 0.1, "explore_max_events": 0}
    api = serve(settings.model_copy(update=update))
    (new,) = (item for item in explained(api, user_id="user-1") if item["source"] == "new")
    assert new["reasons"] == ["new here"] and new["contributions"] == {}


@pytest.mark.parametrize("hours", [0, 7])
def test_contributions_are_the_models_own_and_add_up(api: Any, shop: Any, hours: int) -> None:
    """Also where the stream has been away for hours, and the stale fusion answers."""
    at = datetime.now(UTC) + timedelta(hours=hours)
    first, second = explained(api, user_id="user-1", k=2, at=at.isoformat())
    for item in (first, second):
        assert 1 <= len(item["reasons"]) <= MOST and len(item["contributions"]) <= LARGEST + 1
    named = set(first["contributions"]) - {OTHER}
    assert named <= set(api.get("/model").json()["feature_names"])
    # Both start from the same average candidate, so what they add up to differs as their scores do.
    apart = sum(first["contributions"].values()) - sum(second["contributions"].values())
    assert apart == pytest.approx(first["score"] - second["score"], abs=0.05)


def test_nothing_is_explained_unless_asked_for(api: Any) -> None:
    plain = api.get("/recommend", params={"user_id": "user-1"}).json()["recommendations"]
    assert all({"reasons", "contributions"}.isdisjoint(item) for item in plain)


def test_the_rest_is_summed_up() -> None:
    shares = np.array([0.5, -2.0, *[0.1] * 10])
    names = [f"f{n}" for n in range(12)]
    found = contributions(names, shares)
    assert list(found)[:2] == ["f1", "f0"] and len(found) == LARGEST + 1
    assert sum(found.values()) == pytest.approx(shares.sum()) and found[OTHER] == pytest.approx(0.4)
    assert contributions(names[:2], shares[:2]) == {"f1": -2.0, "f0": 0.5}
