"""Items as columns: what may be offered when, and the order of popularity that needs no recount."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime

import numpy as np
import pytest

from feature_repo import trends
from feature_repo.events import Event, Item
from feature_repo.item_table import ItemTable, TableFull, columns
from feature_repo.request_features import interest_at
from feature_repo.state import HALF_LIVES, ItemState

NOW_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
WEEK, MONTH = list(HALF_LIVES).index("7d"), list(HALF_LIVES).index("30d")


def at(time_us: float) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, UTC)


def put_counts(table: ItemTable, item_id: str, times_us: list[float], kind: str = "click") -> None:
    state = ItemState()
    for time_us in times_us:
        state.apply(Event(user_id="u", item_id=item_id, event_type=kind, timestamp=at(time_us), value=None))
    table.put_features(item_id, state.row())


def busy_table(items: int = 300) -> ItemTable:
    """Items met at random times of two months; every tenth never."""
    random, table = np.random.default_rng(5), ItemTable([])
    for n in range(items):
        times = np.sort(NOW_US - random.integers(1, 60 * 24, random.integers(1, 9)) * HOUR_US)
        put_counts(table, str(n), times.tolist() if n % 10 else [])
    return table


@pytest.mark.parametrize(("name", "half_life"), [("7d", WEEK), ("30d", MONTH)])
@pytest.mark.parametrize("later_h", [0, 5, 24 * 20])
def test_the_order_holds_at_any_later_clock(name: str, half_life: int, later_h: int) -> None:
    table, allowed = busy_table(), np.random.default_rng(1).random(300) < 0.5
    found = table.trends.best(name, 40, allowed)
    now = interest_at(table, np.arange(300), NOW_US + later_h * HOUR_US)[:, half_life]
    assert allowed[found].all()
    assert now[found] == pytest.approx(np.sort(now[allowed])[::-1][:40], rel=1e-5)


def test_what_nobody_met_leads_nowhere() -> None:
    table = busy_table(30)
    everything = np.ones(30, bool)
    for name in trends.KEPT:
        assert not set(table.trends.best(name, 30, everything).tolist()) & {0, 10, 20}


def test_a_request_that_may_show_few_of_the_leaders_looks_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "LEADERS", 20)
    table = busy_table()
    whole = table.trends.best("7d", 20, np.ones(300, bool))
    allowed = np.ones(300, bool)
    allowed[whole] = False
    rest = table.trends.best("7d", 15, allowed)
    now = interest_at(table, np.arange(300), NOW_US)[:, WEEK]
    assert len(rest) == 15
    assert now[rest] == pytest.approx(np.sort(now[allowed])[::-1][:15], rel=1e-5)


def test_a_followed_table_is_only_sorted_anew_when_told() -> None:
    table = busy_table(30)
    table.trends.followed = True
    everything = np.ones(31, bool)
    table.trends.best("7d", 1, everything)
    put_counts(table, "new", [NOW_US - n for n in range(500)])
    assert table.trends.best("7d", 1, everything).tolist() != [30]
    table.trends.refresh()
    assert table.trends.best("7d", 1, everything).tolist() == [30]


def test_a_table_is_gone_with_its_last_holder_and_needs_no_collector() -> None:
    """The recommender takes its heap out of the collector's sight: a replaced table must not wait for it."""
    gc.disable()
    try:
        table = busy_table(30)
        table.trends.refresh()
        alive = weakref.ref(table)
        del table
        assert alive() is None
    finally:
        gc.enable()


def test_what_shows_no_interest_is_not_popular() -> None:
    table = ItemTable([])
    put_counts(table, "thrown-out", [NOW_US] * 9, "remove_from_cart")
    put_counts(table, "bought", [NOW_US], "purchase")
    assert table.trends.best("7d", 2, np.ones(2, bool)).tolist() == [1]


def put_item(table: ItemTable, item_id: str, **fields: object) -> None:
    table.put_catalog(item_id, Item.model_validate({"item_id": item_id, **fields}).row())


def test_offered_is_what_is_in_the_catalogue_in_stock_and_not_expired() -> None:
    table = ItemTable([])
    put_counts(table, "counted-only", [NOW_US])
    put_item(table, "plain")
    put_item(table, "sold-out", in_stock=False)
    put_item(table, "until-noon", expires_at=at(NOW_US))
    assert table.offered(NOW_US - 1).tolist() == [False, True, False, True]
    assert table.offered(NOW_US).tolist() == [False, True, False, False]
    assert table.offered(NOW_US - 1).tolist() == [False, True, False, True]
    put_item(table, "sold-out", in_stock=True)
    assert table.offered(NOW_US).tolist() == [False, True, True, False]


def test_a_row_from_before_stock_and_expiry_is_offered() -> None:
    table = ItemTable([])
    row = Item(item_id="old", price=None, published_at=None).row() | {"in_stock": None, "expires_us": None}
    table.put_catalog("old", row)
    assert table.offered(NOW_US).tolist() == [True]


def test_a_table_of_fixed_size_says_when_it_is_full() -> None:
    arrays = {name: np.zeros((2, *shape), dtype) for name, (dtype, shape) in columns(["a"]).items()}
    table = ItemTable(["a"], arrays)
    put_item(table, "one", categories=["a"])
    put_item(table, "two")
    assert arrays["categories"].tolist() == [[1], [0]]
    with pytest.raises(TableFull, match="FRESHET_MAX_ITEMS"):
        put_item(table, "three")
    assert len(table) == 2 and "three" not in table.index
