"""History, moments and the split of time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from feature_repo.events import Event
from feature_repo.state import UserState
from models.dataset import History, moments, time_split


def act(user: str, item: str, second: int, event_type: str = "click") -> Event:
    return Event.model_validate(
        {
            "user_id": user,
            "item_id": item,
            "event_type": event_type,
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
        ("a", {"x": 1.0}),
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
