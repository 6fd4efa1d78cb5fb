"""Request features on tables whose right answer can be seen."""

import numpy as np
import pytest

from feature_repo.events import Event, Item, to_us
from feature_repo.item_table import COUNTS, NUMBERS, ItemTable
from feature_repo.request_features import (
    REQUEST_FEATURES,
    category_affinity,
    empty_user,
    interest_at,
    recent_numbers,
    request_features,
)
from feature_repo.state import HALF_LIVES, ItemState, UserState

START = 1_700_000_000
HOUR_US = 3_600_000_000


def act(item, seconds=0, kind="click", value=None):
    return Event(user_id="u", item_id=item, event_type=kind, timestamp=START + seconds, value=value)


@pytest.fixture
def items():
    table = ItemTable(["drama", "war"])
    for item_id, categories, year in (("d1", ["drama"], 1990), ("d2", ["drama"], 1992), ("w1", ["war"], 1970)):
        entry = Item(item_id=item_id, title=item_id, categories=categories, published_at=f"{year}-01-01")
        table.put_catalog(item_id, entry.row())
    return table


def column(features, name):
    return features[:, REQUEST_FEATURES.index(name)]


def user_of(*events):
    state = UserState()
    for event in events:
        state.apply(event)
    return state.row()


def test_counts_go_on_falling_while_nobody_acts(items):
    state = ItemState()
    state.apply(act("d1"))
    number = items.put_features("d1", state.row())
    hour = list(HALF_LIVES).index("1h")
    now = interest_at(items, np.array([number]), state.last_us)
    later = interest_at(items, np.array([number]), state.last_us + 2 * HOUR_US)
    assert now[0, hour] == pytest.approx(1.0)
    assert later[0, hour] == pytest.approx(0.25)


def test_taste_leans_to_what_was_met_and_most_to_what_was_met_last(items):
    user = user_of(act("w1", 0), act("d1", 1))
    affinity = category_affinity(recent_numbers(user, items), items)
    assert affinity[0] > affinity[1] > 0
    features = request_features(user, items, np.array([1, 2]), user["last_event_us"])
    assert column(features, "category_affinity")[0] > column(features, "category_affinity")[1]
    assert list(column(features, "last_item_similarity")) == [1.0, 0.0]


def test_years_are_counted_from_what_was_met_lately(items):
    user = user_of(act("d1"))
    features = request_features(user, items, np.array([0, 1, 2]), user["last_event_us"])
    assert column(features, "years_from_recent") == pytest.approx([0, 2, 20], abs=0.01)


def test_an_unknown_user_and_an_untouched_item_have_neutral_values(items):
    features = request_features(empty_user(), items, np.array([0, 1, 2]), to_us(act("d1").timestamp))
    for name in REQUEST_FEATURES:
        if name != "item_log_age_days":
            assert not column(features, name).any(), name
    assert np.isfinite(features).all()


def test_items_that_the_table_does_not_know_are_left_out_of_the_history(items):
    user = user_of(act("d1"), act("gone", 1))
    assert list(recent_numbers(user, items)) == [0]


def test_a_table_keeps_numbers_while_it_grows():
    table = ItemTable(["a"])
    for n in range(3_000):
        table.put_catalog(str(n), Item(item_id=str(n), categories=["a"] if n % 2 else ["unknown"]).row())
    state = ItemState()
    state.apply(act("2999", kind="rate", value=4))
    table.put_features("2999", state.row())
    assert table.number("2999") == 2_999
    assert table.categories[:, 0].sum() == 1_500
    assert table.column("mean_value")[2_999] == 4
    assert table.counts.shape == (3_000, len(COUNTS))
    assert table.last_us[2_999] == state.last_us
    assert table.in_catalog.all()


@pytest.mark.parametrize("categories", [3, 64, 300])
def test_an_items_values_are_the_same_bits_whichever_other_items_are_asked_for(categories: int) -> None:
    """Else a list of 10 that training looks at would differ from the 60 that serving ranked."""
    random = np.random.default_rng(0)
    table = ItemTable([f"c{n}" for n in range(categories)])
    for item in range(100):
        labels = [f"c{n}" for n in random.integers(categories, size=4)]
        entry = Item(item_id=f"i{item}", categories=tuple(labels), price=float(random.random()))
        table.put_catalog(entry.item_id, entry.row())
    table.put_numbers(np.arange(100), random.random((100, len(NUMBERS))) * 100)
    user = empty_user() | {"event_count": 9, "mean_value": 3.3, "recent_items": [f"i{n}" for n in range(0, 90, 7)]}
    together = request_features(user, table, np.arange(60), 1e15)
    for some in ([7], [0, 59], list(range(10)), list(range(1, 60, 4))):
        assert request_features(user, table, np.array(some), 1e15).tobytes() == together[some].tobytes()
