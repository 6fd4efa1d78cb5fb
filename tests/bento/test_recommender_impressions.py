"""What was shown is in the log with the values it was ranked by."""

from __future__ import annotations

from typing import Any

import orjson

from feature_repo.events import Item, pseudonym
from models.ranker import ranker_features


def test_every_answer_is_logged_with_its_items_and_feature_values(api: Any, settings: Any, impressions: Any) -> None:
    personal = api.get("/recommend?user_id=user-1&k=4").json()
    popular = api.get("/recommend?user_id=nobody-yet&k=3").json()
    logged = impressions(settings, 2)
    found = {message.key().decode(): orjson.loads(message.value()) for message in logged}
    shown = found[pseudonym("user-1")]
    assert [b"user-1" in message.value() for message in logged] == [False, False], "an erasure has nothing to find here"
    assert {key: message["user_key"] for key, message in found.items()} == {key: key for key in found}
    assert shown["recommendation_id"] == personal["recommendation_id"]
    assert shown["model_version"] == personal["model_version"] and shown["fallback"] is None
    assert [item["item_id"] for item in shown["items"]] == [item["item_id"] for item in personal["recommendations"]]
    assert shown["feature_names"] == list(ranker_features())
    assert [len(row) for row in shown["features"]] == [len(ranker_features())] * 4
    column = shown["feature_names"].index("user_log_events")
    assert len({row[column] for row in shown["features"]}) == 1 and shown["features"][0][column] > 2
    assert found[pseudonym("nobody-yet")]["fallback"] == "popular" == popular["fallback"]
    assert len(found[pseudonym("nobody-yet")]["items"]) == 3 and found[pseudonym("nobody-yet")]["features"] == []


def test_later_pages_are_logged_with_their_place_and_new_items_without_values(
    settings: Any, shop: Any, bundle_dir: Any, serve: Any, impressions: Any
) -> None:
    shop.put_items([Item(item_id=f"rake-{n}", title=f"Rake {n}", categories=("garden",)) for n in range(5)])
    update = {"bundle_dir": bundle_dir, "explore_share": 0.1, "explore_max_events": 0}
    api = serve(settings.model_copy(update=update))
    first = api.get("/recommend?user_id=user-1&k=10").json()
    query = {"user_id": "user-1", "recommendation_id": first["recommendation_id"], "offset": 10, "k": 10}
    second = api.get("/recommend", params=query).json()
    logged = sorted((orjson.loads(message.value()) for message in impressions(settings, 2)), key=lambda m: m["offset"])
    assert [message["offset"] for message in logged] == [0, 10]
    assert {message["recommendation_id"] for message in logged} == {first["recommendation_id"]}
    for message, answer in zip(logged, (first, second), strict=True):
        assert [item["item_id"] for item in message["items"]] == [item["item_id"] for item in answer["recommendations"]]
    sources = [item["source"] for item in logged[0]["items"]]
    unknown = [None] * len(ranker_features())
    assert sources.count("new") == 1 and logged[1]["features"] == []
    assert [row == unknown for row in logged[0]["features"]] == [source == "new" for source in sources]
