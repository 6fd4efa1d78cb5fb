"""/popular in its three orders: what is popular, what rises, what is new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bento.recommender.shelves import newest, rising
from feature_repo.events import Event, Item
from feature_repo.item_table import ItemTable
from feature_repo.state import ItemState

DAY_S = 86_400.0
NOW_S = 1_790_000_000.0


def table_of(acts: dict[str, list[float]], published: dict[str, str] | None = None) -> ItemTable:
    """Items with clicks so many days before NOW_S."""
    table = ItemTable([])
    for item_id, days in acts.items():
        state = ItemState()
        for ago in days:
            at = NOW_S - ago * DAY_S
            state.apply(
                Event(user_id="u", item_id=item_id, event_type="click", timestamp=datetime.fromtimestamp(at, UTC))
            )
        table.put_catalog(item_id, Item(item_id=item_id, published_at=(published or {}).get(item_id)).row())
        if days:
            table.put_features(item_id, state.row())
    return table


def names(table: ItemTable, numbers: Any) -> list[str]:
    return [table.ids[n] for n in numbers]


def everything(table: ItemTable) -> Any:
    return np.ones(len(table), bool)


def test_what_rises_is_what_is_met_more_than_its_own_month_would_have_it() -> None:
    steady = [day + part for day in range(90) for part in (0.1, 0.4, 0.7)]
    table = table_of(
        {"steady": steady, "burst": [0.1] * 12 + [20.0] * 12, "bigger": [0.1] * 30, "gone": [9.0] * 40, "unmet": []}
    )
    numbers, scores = rising(table, NOW_S * 1e6, 5, everything(table))
    assert names(table, numbers)[:2] == ["bigger", "burst"] and list(scores) == sorted(scores, reverse=True)
    assert not {"gone", "unmet"} & set(names(table, numbers))
    # 3 acts a day, every day, are no news: below a standard deviation
    assert all(score < 1 for name, score in zip(names(table, numbers), scores, strict=True) if name == "steady")


def test_new_is_by_publication_then_by_first_act_and_not_of_the_future() -> None:
    published = {
        "old": "1950-01-01",
        "a": "2020-01-01",
        "b": "2020-01-01",
        "coming": "2099-01-01",
        "newest": "2021-01-01",
    }
    table = table_of({"unknown": [1.0], "old": [1.0], "a": [5.0], "b": [2.0], "coming": [], "newest": []}, published)
    for k in (1, 3, 6):
        numbers, scores = newest(table, NOW_S * 1e6, k, everything(table))
        assert names(table, numbers) == ["newest", "b", "a", "old", "unknown"][:k]
        assert list(scores) == sorted(scores, reverse=True)
    hidden = everything(table)
    hidden[table.index["newest"]] = False
    assert names(table, newest(table, NOW_S * 1e6, 1, hidden)[0]) == ["b"]


def shelf(api: Any, order: str, **query: Any) -> dict[str, Any]:
    answer = api.get("/popular", params={"order": order, **query})
    assert answer.status_code == 200
    return dict(answer.json())


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["recommendations"]]


def test_the_orders_over_http(api: Any, shop: Any, eventually: Callable[..., Any]) -> None:
    assert ids(shelf(api, "popular")) == [item["item_id"] for item in api.get("/popular").json()["recommendations"]]
    # All that the shop knows has happened within a week: only what people have turned away from does not rise.
    long_ago = datetime.now(UTC) - timedelta(days=9)
    shop.act([Event(user_id=f"gone-{n}", item_id="music-3", event_type="view", timestamp=long_ago) for n in range(400)])
    for n in range(9):
        shop.click(f"crowd-{n}", "garden-7")
    rises = eventually(lambda: (a := shelf(api, "trending", k=60)) and ids(a)[0] == "garden-7" and a, within_s=10)
    sources = [item["source"] for item in rises["recommendations"]]
    scores = [item["score"] for item in rises["recommendations"]]
    assert rises["fallback"] is None and rises["count"] == len(set(ids(rises))) == 60
    assert sources[0] == "trending" and sources == sorted(sources, reverse=True)
    assert sources[ids(rises).index("music-3")] == "popular"
    assert scores == sorted(scores, reverse=True)
    now = datetime.now(UTC)
    shop.put_items([Item(item_id=f"fresh-{n}", published_at=now - timedelta(hours=n + 1)) for n in range(3)])
    fresh = eventually(lambda: (a := shelf(api, "new", k=3)) and ids(a)[0] == "fresh-0" and a, within_s=5)
    assert ids(fresh) == ["fresh-0", "fresh-1", "fresh-2"] and fresh["fallback"] is None
    assert {item["source"] for item in fresh["recommendations"]} == {"new"}
    assert all(name.startswith("garden") for name in ids(shelf(api, "new", k=5, category="garden")))


def test_an_order_that_there_is_not_is_refused_by_name(steady_api: Any) -> None:
    refusal = steady_api.get("/popular", params={"order": "loudest"})
    assert refusal.status_code == 422 and refusal.json()["error"]["details"][0]["field"] == "order"
