"""What is taken from the topics of impressions and of events."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import orjson
import pytest

from feature_repo.events import Event, pseudonym
from flows.messages import STORED, DeadLetter, Source
from flows.outcome_messages import BOUGHT, CART, CLICK, Served, label_of, read_acts, read_impressions

MESSAGE: dict[str, Any] = {
    "recommendation_id": "r1",
    "user_key": "ann",
    "model_version": "m1",
    "variant": "champion",
    "fallback": None,
    "timestamp": "2026-01-01T00:00:00.500Z",
    "offset": 0,
    "items": [{"item_id": "a", "score": 0.5, "source": "retriever"}, {"item_id": "b", "score": 0.1, "source": "new"}],
    "feature_names": ["x", "y"],
    "features": [[0.1, 2.0], [None, 3.0]],
}


def source(value: bytes, **fields: Any) -> Source:
    given = {"topic": "t", "partition": 0, "offset": 0, "key": None, "value": value, "headers": [], "logged_ms": 7}
    return Source(**(given | fields))


def event(**fields: Any) -> Event:
    values = {"user_id": "ann", "item_id": "a", "event_type": "click", "event_id": "e1", "recommendation_id": "r1"}
    return Event.model_validate(values | fields)


def test_features_are_the_very_floats_that_were_served() -> None:
    served = np.array([[0.1, 1 / 3], [np.nan, 1e-30]], np.float32)
    raw = orjson.dumps(MESSAGE | {"features": served}, option=orjson.OPT_SERIALIZE_NUMPY)
    (found,) = read_impressions([source(raw)])
    assert isinstance(found, Served)
    assert found.features.tobytes() == served.tobytes()


def test_what_an_older_recommender_leaves_out_has_a_neutral_value() -> None:
    (found,) = read_impressions([source(orjson.dumps(MESSAGE))])
    assert isinstance(found, Served)
    listed = found.listed
    assert (listed.time_us, listed.logged_us) == (1_767_225_600_500_000, 7_000)
    assert (listed.shadow, dict(listed.experiments), listed.registered_version) == ("", {}, None)
    assert listed.item_ids == ("a", "b")


def test_a_list_that_nothing_ranked_has_no_features() -> None:
    (found,) = read_impressions([source(orjson.dumps(MESSAGE | {"feature_names": [], "features": []}))])
    assert isinstance(found, Served)
    assert found.features.size == 0


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[1]",
        b"{}",
        orjson.dumps(MESSAGE | {"items": [{"score": 1, "source": "new"}]}),
        orjson.dumps(MESSAGE | {"user_key": None}),
        orjson.dumps(MESSAGE | {"features": [[1.0]]}),
    ],
)
def test_a_wrong_message_is_a_dead_letter_with_its_reason(wrong: bytes) -> None:
    (found,) = read_impressions([source(wrong)])
    assert isinstance(found, DeadLetter)
    assert found.reason == "impression"
    assert found.source.value == wrong


def test_only_acts_that_name_a_list_are_taken() -> None:
    raws = [
        event(recommendation_id=None).encode(),
        event(event_type="remove_from_cart").encode(),
        b'{"recommendation_id"',
    ]
    assert list(read_acts(map(source, raws))) == []
    now_ms = time.time_ns() // 1_000_000
    (found,) = read_acts([source(event(event_type="purchase").encode(), logged_ms=now_ms)])
    assert found == ("r1", "e1", pseudonym("ann"), "a", BOUGHT, 1_000 * now_ms)


def test_a_replay_of_what_was_stored_is_no_news() -> None:
    now_ms = time.time_ns() // 1_000_000
    assert list(read_acts([source(event().encode(), logged_ms=now_ms, headers=[(STORED, b"1")])])) == []


def test_labels_rise_with_the_strength_of_the_act() -> None:
    kinds = ("view", "click", "add_to_cart", "purchase", "remove_from_cart")
    assert [label_of(event(event_type=kind)) for kind in kinds] == [CLICK, CLICK, CART, BOUGHT, 0]
    ratings = [event(event_type="rate", value=value) for value in (None, 5, 0, -1)]
    assert [label_of(rating) for rating in ratings] == [CLICK, CLICK, 0, 0]
