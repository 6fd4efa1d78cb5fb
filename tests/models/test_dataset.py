"""History, moments and the split of time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from feature_repo.events import Event
from feature_repo.state import UserState
from models.dataset import History, moments, time_split


def act(user: str, item: str, second: int, event_type: str = "click", value: float | None = None) -> Event:
    return Event.model_validate(
        {
            "user_id": user,
            "item_id": item,
            "event_type": event_type,
            "value": value,
            "timestamp": datetime.fromtimestamp(10**9 + second, UTC),
        }
    )


EVENTS = [
    act("b", "x", 1),
    act("a", "z", 5),
    act("a", "y", 5, "purchase"),
    act("a", "x", 2, "view"),
    act("a", "x", 7, "purchase"),
    act("a", "w", 9, "remove_from_cart"),
]


def test_events_stand_in_the_order_in_which_the_state_remembers_them() -> None:
    history, state = History.of(EVENTS), UserState()
    for event in EVENTS:
        if event.user_id == "a":
            state.apply(event)
    mine = slice(history.start[0], history.start[1])
    assert [history.item_ids[n] for n in history.item[mine]] == state.row()["recent_items"]
    assert history.time_us[mine].tolist() == state.row()["recent_us"]


def test_moments_hold_what_was_first_met_then() -> None:
    found = moments(History.of(EVENTS), 0, 2 * 10**15)
    assert [(m.user_id, dict(m.relevant)) for m in found] == [
        ("b", {"x": 2.0}),
        ("a", {"x": 8.0}),
        ("a", {"y": 8.0, "z": 2.0}),
    ]
    assert found[0].now_us == found[0].time_us - 1


def test_moments_of_a_window_and_a_seeded_sample() -> None:
    history = History.of([act(f"u{n % 7}", f"i{n}", n) for n in range(100)])
    start = 10**15
    window = moments(history, start + 20 * 10**6, start + 60 * 10**6)
    assert [m.time_us for m in window] == [start + n * 10**6 for n in range(20, 60)]
    sample = moments(history, start, start + 10**9, limit=10, seed=3)
    assert sample == moments(history, start, start + 10**9, limit=10, seed=3)
    assert len(sample) == 10
    assert sample != moments(history, start, start + 10**9, limit=10, seed=4)
    assert [m.time_us for m in sample] == sorted(m.time_us for m in sample)


def test_the_past_knows_only_its_own_users_and_items() -> None:
    history = History.of(EVENTS)
    past = history.before(10**15 + 5 * 10**6)
    assert past.user_ids == ("a", "b")
    assert past.item_ids == ("x",)
    assert len(past) == 2
    assert np.array_equal(past.start, [0, 1, 2])


def test_the_split_is_by_time_over_all_users() -> None:
    history = History.of([act(f"u{n % 3}", f"i{n}", n) for n in range(100)])
    split = time_split(history)
    assert len(history.before(split.validation_us)) == 85
    assert len(history.before(split.test_us)) == 90
    assert len(history.before(split.end_us)) == 100


def test_a_rating_counts_by_its_value_and_every_other_act_by_its_type() -> None:
    ratings = [act("u", f"i{n}", n, "rate", value) for n, value in enumerate([1, 3, 5, 3, None, 0, -2, 40])]
    others = [
        act("u", f"o{n}", 100 + n, name, 5) for n, name in enumerate(["view", "click", "add_to_cart", "purchase"])
    ]
    history = History.of(ratings[:4])
    assert history.weight.tolist() == pytest.approx([4 / 3, 4, 4 * 5 / 3, 4])  # the mean is 3
    history = History.of([*ratings[:7], *others])
    assert history.weight.tolist() == pytest.approx([4 / 3, 4, 4 * 5 / 3, 4, 4, 0, 0, 1, 2, 4, 8])
    assert max(History.of([*[act("u", f"j{n}", n, "rate", 1) for n in range(9)], ratings[7]]).weight) == 8
    assert len(moments(history, 0, 2 * 10**15)) == 9  # what was rated 0 or less was no wish


def test_a_view_that_ends_in_a_purchase_is_worth_a_purchase_but_not_before_it_was_made() -> None:
    day = 86_400
    acts = [act("u", "x", 0, "view"), act("u", "x", 60, "purchase"), act("u", "y", 90, "view")]
    acts += [act("u", "y", 90 + day + 1, "purchase"), act("v", "x", 30, "view"), act("v", "x", 40, "remove_from_cart")]
    history = History.of(acts)
    weights = {(history.user_ids[u], history.item_ids[i]): 0.0 for u, i in zip(history.user, history.item, strict=True)}
    for u, i, weight in zip(history.user, history.item, history.weight, strict=True):
        weights[history.user_ids[u], history.item_ids[i]] += float(weight)
    assert weights == {("u", "x"): 8.0, ("u", "y"): 1.0, ("v", "x"): 1.0}
    assert [m.relevant for m in moments(history, 0, 2 * 10**15)] == [{"x": 8.0}, {"x": 1.0}, {"y": 1.0}]
    assert History.of(acts).before((10**9 + 50) * 10**6).weight.tolist() == [1.0, 1.0, 0.0]
