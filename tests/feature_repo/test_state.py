"""States against recounts that can be done by hand."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.events import EVENT_TYPES, Event
from feature_repo.state import HALF_LIVES, MAX_RECENT, MAX_SEEN, Admission, ItemState, UserState

START = 1_700_000_000


def act(seconds, item="i", kind="click", value=None, event_id=None):
    extra = {} if event_id is None else {"event_id": event_id}
    return Event(user_id="u", item_id=item, event_type=kind, timestamp=START + seconds, value=value, **extra)


def after(*events, state=ItemState):
    made = state()
    for event in events:
        made.apply(event)
    return made


def test_an_event_counts_half_after_its_half_life():
    row = after(act(0), act(3_600)).row()
    assert row["click_1h"] == 1.5
    assert row["click_1d"] == pytest.approx(1 + 2 ** (-1 / 24))
    assert row["view_1h"] == 0
    assert row["event_count"] == 2
    assert row["last_event_us"] - row["first_event_us"] == 3_600_000_000


def test_a_late_event_counts_as_if_it_had_come_in_time():
    assert after(act(3_600), act(0)).row() == after(act(0), act(3_600)).row()


def test_values_are_averaged_over_events_that_have_one():
    row = after(act(0, kind="rate", value=5), act(1), act(2, kind="rate", value=2)).row()
    assert (row["mean_value"], row["value_count"], row["event_count"]) == (3.5, 2, 3)


def test_recent_items_are_the_newest_in_order_of_time():
    row = after(*(act(n, item=str(n)) for n in reversed(range(MAX_RECENT + 5))), state=UserState).row()
    assert row["recent_items"] == [str(n) for n in range(5, MAX_RECENT + 5)]
    assert row["recent_us"] == sorted(row["recent_us"])


def test_seen_items_are_bounded_and_forget_the_oldest():
    state = after(*(act(n, item=str(n)) for n in range(MAX_SEEN + 2)), state=UserState)
    seen = state.seen_row()["seen_items"]
    assert len(seen) == MAX_SEEN
    assert {"0", "1"}.isdisjoint(seen)


def test_a_state_survives_the_recovery_store():
    state = after(act(0), act(5, item="j", kind="rate", value=3), state=UserState)
    assert pickle.loads(pickle.dumps(state)) == state


events = st.lists(
    st.builds(
        act,
        st.integers(0, 90 * 86_400),
        st.sampled_from("abcdef"),
        st.sampled_from(EVENT_TYPES),
        st.one_of(st.none(), st.integers(1, 5)),
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(events, st.randoms())
def test_any_order_of_arrival_gives_the_same_rows(sequence, random):
    shuffled = sequence[:]
    random.shuffle(shuffled)
    for state in (UserState, ItemState):
        ordered, mixed = after(*sequence, state=state).row(), after(*shuffled, state=state).row()
        # Sums of floats depend on their order in the last bits; the rows hold float32.
        decayed = {name for name in ordered if name.rsplit("_", 1)[-1] in HALF_LIVES}
        for name in decayed:
            assert mixed.pop(name) == pytest.approx(ordered.pop(name), rel=1e-6, abs=1e-9)
        assert mixed == ordered


def test_a_repeat_is_a_duplicate_and_an_old_one_is_late():
    admission = Admission()
    assert admission.verdict(act(0, event_id="a"), lateness_s=60) == "new"
    assert admission.verdict(act(0, event_id="a"), lateness_s=60) == "duplicate"
    assert admission.verdict(act(100, event_id="b"), lateness_s=60) == "new"
    assert admission.verdict(act(0, event_id="a"), lateness_s=60) == "late"
    assert admission.verdict(act(50, event_id="c"), lateness_s=60) == "new"


def test_ids_are_forgotten_only_when_they_would_be_late():
    admission = Admission()
    for second in range(1_000):
        admission.verdict(act(second, event_id=str(second)), lateness_s=60)
    assert 60 <= len(admission.ids) <= 62
    assert admission.verdict(act(950, event_id="950"), lateness_s=60) == "duplicate"
