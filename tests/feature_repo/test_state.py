"""States against recounts that can be done by hand."""

import pickle
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.admission import Admission
from feature_repo.events import EVENT_TYPES, Event
from feature_repo.state import HALF_LIVES, MAX_RECENT, MAX_SEEN, ItemState, UserState, type_bits

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
    assert row["click_1h"] == pytest.approx(1.5, rel=1e-8)
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


@settings(max_examples=100, deadline=None)
@given(events, st.randoms())
def test_any_order_of_arrival_gives_the_same_state_to_the_last_bit(sequence, random):
    shuffled = sequence[:]
    random.shuffle(shuffled)
    for state in (UserState, ItemState):
        assert after(*shuffled, state=state) == after(*sequence, state=state)


@settings(max_examples=100, deadline=None)
@given(events, st.data())
def test_any_order_and_any_repetition_admit_the_same_events(sequence, data):
    repeated = data.draw(st.permutations(sequence + data.draw(st.lists(st.sampled_from(sequence)))))
    admission, state = Admission(), UserState()
    for event in repeated:
        if admission.verdict(event, lateness_s=100 * 86_400) == "new":
            state.apply(event)
    assert state == after(*sequence, state=UserState)
    assert len(admission.ids) == len(sequence)


def test_counts_agree_with_decay_by_definition():
    """Ages up to far beyond the two windows that a state keeps."""
    random = Random(5)
    ages = sorted((random.expovariate(1 / (20 * 86_400)) for _ in range(400)), reverse=True)
    row = after(*(act(400 * 86_400 - age) for age in [*ages, 0.0])).row()
    for name, half_life in HALF_LIVES.items():
        expected = sum(2 ** (-age / half_life) for age in [*ages, 0.0])
        assert row[f"click_{name}"] == pytest.approx(expected, rel=1e-7)


def test_recent_and_seen_lists_are_those_of_a_sorted_history():
    random = Random(6)
    history = [act(random.randrange(60), item=random.choice("abcdefgh"), value=random.randrange(3)) for _ in range(200)]
    state = after(*history, state=UserState)
    ordered = sorted((e.time_us, e.item_id, e.event_type, e.value) for e in history)[-MAX_RECENT:]
    row = state.row()
    names = ("recent_us", "recent_items", "recent_types", "recent_values")
    assert list(zip(*(row[name] for name in names), strict=True)) == ordered
    newest = {e.item_id: max(o.time_us for o in history if o.item_id == e.item_id) for e in history}
    seen = state.seen_row()
    assert seen["seen_items"] == sorted(newest, key=lambda item: (newest[item], item))
    assert seen["seen_us"] == sorted(newest.values())


def test_what_was_done_to_an_item_is_remembered_whatever_came_last():
    history = [act(1, "a", "purchase"), act(2, "b", "view"), act(3, "a", "view")]
    for order in permutations(history):
        seen = after(*order, state=UserState).seen_row()
        assert seen["seen_items"] == ["b", "a"]
        assert seen["seen_types"] == [type_bits(["view"]), type_bits(["view", "purchase"])]
    with pytest.raises(KeyError, match="stare"):
        type_bits(["stare"])


def test_a_repeat_is_a_duplicate_and_an_old_one_is_late():
    admission = Admission()
    assert admission.verdict(act(0, event_id="a"), lateness_s=60) == "new"
    assert admission.verdict(act(0, event_id="a"), lateness_s=60) == "duplicate"
    assert admission.verdict(act(100, event_id="b"), lateness_s=60) == "new"
    assert admission.verdict(act(0, event_id="a"), lateness_s=60) == "late"
    assert admission.verdict(act(50, event_id="c"), lateness_s=60) == "new"
    assert admission.verdict(act(0, event_id="a"), lateness_s=60, stored=True) == "duplicate"
    assert admission.verdict(act(60, event_id="d"), lateness_s=60, stored=True) == "new"


def test_ids_are_forgotten_only_when_they_would_be_late():
    admission = Admission()
    for second in range(1_000):
        admission.verdict(act(second, event_id=str(second)), lateness_s=60)
    assert 60 <= len(admission.ids) <= 62
    assert admission.verdict(act(950, event_id="950"), lateness_s=60) == "duplicate"


def test_an_erasure_ends_what_came_before_it_and_nothing_after():
    admission = Admission()
    admission.verdict(act(0, event_id="a"), lateness_s=60)
    admission.verdict(act(30, event_id="ahead"), lateness_s=60)
    requested = act(10).time_us
    assert admission.erase(requested)
    assert not admission.erase(requested), "the same wish again must not touch what came since"
    assert admission.verdict(act(5, event_id="late"), lateness_s=60) == "erased"
    assert admission.verdict(act(30, event_id="ahead"), lateness_s=60, stored=True) == "erased"
    assert admission.verdict(act(31, event_id="a"), lateness_s=60) == "new"
