"""The keyed steps without a dataflow round them: whatever order, repetition or restart, states are a recount."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.events import EVENT_TYPES, Erasure, Event, to_us
from feature_repo.schema import USER_FEATURES, USER_SEEN
from feature_repo.state import ItemState, UserState
from flows.logics import ItemLogic, RecoveryError, UserLogic
from flows.messages import Arrival, ErasedBefore, Forgotten, Refresh, RowRemoval, Source

START = datetime(2026, 5, 1, tzinfo=UTC)
DAY_S = 86_400.0


def act(second: int, item: str = "i", **fields: Any) -> Event:
    values = {"user_id": "u", "item_id": item, "event_type": "click", "event_id": f"{second}-{item}"}
    return Event.model_validate(values | {"timestamp": START + timedelta(seconds=second)} | fields)


def logged(message: Any, stored: bool = False) -> Arrival:
    return Arrival(message, 1, Source("events", 0, 0, b"u", b"raw", [], 1), stored)


def history(message: Any) -> Arrival:
    return Arrival(message, 1, stored=True, quiet=True)


def user_logic(snapshot: bytes | None = None, counts: Counter[str] | None = None) -> UserLogic:
    seen: Counter[str] = Counter() if counts is None else counts
    return UserLogic(DAY_S, lambda verdict: seen.update([verdict]), snapshot)


def after(*events: Event) -> UserState:
    state = UserState()
    for event in events:
        state.apply(event)
    return state


acts = st.lists(
    st.builds(
        act,
        st.integers(0, 80_000),
        st.sampled_from("abc"),
        event_type=st.sampled_from(EVENT_TYPES),
        value=st.one_of(st.none(), st.floats(-100, 100)),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda event: event.event_id,
)


@settings(max_examples=150, deadline=None)
@given(acts, st.data())
def test_any_order_repetition_batching_and_restart_shows_a_recount(events: list[Event], data: st.DataObject) -> None:
    repeats = data.draw(st.lists(st.sampled_from(events), max_size=20))
    arrivals = [logged(event) for event in data.draw(st.permutations(events + repeats))]
    users, items = user_logic(), {item: ItemLogic(None) for item in "abc"}
    rows: dict[str, Any] = {}
    while arrivals:
        size = data.draw(st.integers(1, len(arrivals)))
        batch, arrivals = arrivals[:size], arrivals[size:]
        (update,) = users.on_batch(batch)[0]
        for row in update.rows:
            rows[row.view] = row.row
        for arrival in update.items:
            for row in items[arrival.message.item_id].on_batch([arrival])[0]:
                rows[row.entity_id] = row.row
        if data.draw(st.booleans()):
            users = user_logic(users.snapshot())
            items = {item: ItemLogic(logic.snapshot()) for item, logic in items.items()}
    assert rows[USER_FEATURES.name] == after(*events).row()
    assert rows[USER_SEEN.name] == after(*events).seen_row()
    for item in {event.item_id for event in events}:
        state = ItemState()
        for event in events:
            if event.item_id == item:
                state.apply(event)
        assert rows[item] == state.row()


def test_history_is_quiet_until_the_refresh() -> None:
    logic, item = user_logic(), ItemLogic(None)
    past = [history(act(second)) for second in range(0, 5 * 86_400, 3_600)]
    (update,) = logic.on_batch(past)[0]
    assert (update.rows, update.raw, len(update.items)) == ([], [], len(past))
    assert item.on_batch(update.items)[0] == []
    (update,) = logic.on_batch([Arrival(Refresh("u"), 0), Arrival(Refresh("u", "i"), 0)])[0]
    assert [row.row["event_count"] for row in update.rows if row.view == USER_FEATURES.name] == [len(past)]
    (row,) = item.on_batch(update.items)[0]
    assert (row.row["event_count"], row.logged_us) == (len(past), 0)


def test_history_read_again_after_a_crash_in_its_middle_counts_once() -> None:
    past = [history(act(second)) for second in range(0, 5 * 86_400, 3_600)]
    logic = user_logic()
    logic.on_batch(past[:70])
    logic = user_logic(logic.snapshot())
    logic.on_batch([*past, Arrival(Refresh("u"), 0)])
    (update,) = logic.on_batch([Arrival(Refresh("u"), 0)])[0]
    assert update.rows[0].row == after(*(arrival.message for arrival in past)).row()


def test_a_replay_changes_nothing_writes_rows_anew_and_is_never_late() -> None:
    counts: Counter[str] = Counter()
    logic, item = user_logic(counts=counts), ItemLogic(None)
    events = [act(second) for second in range(0, 3 * 86_400, 3_600)]
    (before,) = logic.on_batch([logged(event) for event in events])[0]
    shown = item.on_batch(before.items)[0]
    (again,) = logic.on_batch([logged(event, stored=True) for event in events])[0]
    assert [(row.view, row.row) for row in again.rows] == [(row.view, row.row) for row in before.rows]
    assert [row.row for row in item.on_batch(again.items)[0]] == [row.row for row in shown]
    assert (again.raw, again.dead) == ([], [])
    assert counts == {"new": len(events), "duplicate": len(events)}


def test_what_is_late_is_a_dead_letter_and_a_stored_event_is_not_stored_again() -> None:
    counts: Counter[str] = Counter()
    logic = user_logic(counts=counts)
    (update,) = logic.on_batch([logged(act(2 * 86_400)), logged(act(0)), logged(act(3 * 86_400), stored=True)])[0]
    assert [letter.reason for letter in update.dead] == ["late"]
    assert [event.time_us for event in update.raw] == [act(2 * 86_400).time_us]
    assert counts == {"new": 2, "late": 1}


def test_an_erasure_ends_the_state_and_what_comes_after_it_is_a_new_user() -> None:
    counts: Counter[str] = Counter()
    logic = user_logic(counts=counts)
    wish = Erasure(user_id="u", erasure_id="e1", requested_at=START + timedelta(seconds=100))
    ahead, late, new = act(130), act(90), act(131)
    (update,) = logic.on_batch([logged(act(1)), logged(ahead), logged(wish), logged(late), logged(new)])[0]
    until_us = ahead.time_us + 1
    assert update.raw == [act(1), ahead, Forgotten("u", "e1", until_us), new]
    assert update.rows[:2] == [RowRemoval(USER_FEATURES.name, "u"), RowRemoval(USER_SEEN.name, "u")]
    assert [row.row["event_count"] for row in update.rows if row[0] == USER_FEATURES.name and row[2:]] == [1]
    assert counts == {"new": 3, "erased": 1}
    logic = user_logic(logic.snapshot(), counts)
    (told_again,) = logic.on_batch([logged(wish)])[0]
    assert told_again.raw == [Forgotten("u", "e1", until_us)]
    assert told_again.rows[2].row == after(new).row(), "what came since is shown again"


def test_an_erasure_that_is_over_does_not_end_who_came_back() -> None:
    """A dataflow without states meets his new events in the event store before it meets the old wish in the log."""
    counts: Counter[str] = Counter()
    logic = user_logic(counts=counts)
    wish = Erasure(user_id="u", erasure_id="e1", requested_at=START + timedelta(seconds=100))
    over, old, new = ErasedBefore("key", to_us(wish.requested_at) + 1), act(1), act(131)
    logic.on_batch([history(over), history(new), history(Refresh("u"))])
    (update,) = logic.on_batch([logged(old), logged(wish), logged(new)])[0]
    assert update.raw == [Forgotten("u", "e1", over.until_us)] and update.dead == []
    assert update.rows[2].row == after(new).row()
    assert counts == {"new": 1, "erased": 1, "duplicate": 1}


def test_a_snapshot_of_a_forgotten_user_holds_nothing_of_him() -> None:
    logic = user_logic()
    logic.on_batch([logged(act(1, item="secret-item", event_id="u-secret-event"))])
    assert b"secret-item" in logic.snapshot()
    logic.on_batch([logged(Erasure(user_id="u", erasure_id="e1"))])
    assert b"secret" not in logic.snapshot()
    assert len(logic.snapshot()) < 400


def test_snapshots_of_other_features_are_refused() -> None:
    ours = user_logic().snapshot()
    assert user_logic(ours).snapshot() == ours
    with pytest.raises(RecoveryError, match="from the event store"):
        user_logic(b"another layout" + ours)
