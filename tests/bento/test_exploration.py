"""Places for new items: how many, where, and for which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sample_shop import sample_events, sample_items

from bento.recommender.ask import Choice
from bento.recommender.exploration import Explorer
from bento.recommender.metrics import Metrics
from feature_repo.events import Item
from feature_repo.item_table import ItemTable
from feature_repo.state import ItemState, UserState
from infra.settings import Settings

NEW = ("music-0", "music-1", "garden-0", "garden-1")


@pytest.fixture
def table() -> ItemTable:
    """The sample shop, of which only NEW have no events; one more has none and is not in the catalogue."""
    table, states = ItemTable(("garden", "kitchen", "music")), dict[str, ItemState]()
    for event in sample_events():
        states.setdefault(event.item_id, ItemState()).apply(event)
    for item in sample_items():
        table.put_catalog(item.item_id, item.row())
        if item.item_id not in NEW:
            table.put_features(item.item_id, states[item.item_id].row())
    table.number("uncatalogued")
    return table


def choice(table: ItemTable, length: int = 30) -> Choice:
    known = [n for n, item_id in enumerate(table.ids) if item_id not in (*NEW, "uncatalogued")]
    numbers = np.array(known[:length], np.intp)
    scores = np.linspace(2, 1, len(numbers), dtype=np.float32)
    return Choice(numbers, scores, ["retriever"] * len(numbers), np.ones((len(numbers), 3), np.float32), None)


def explorer(share: float = 0.1, most_events: int = 3, **others: Any) -> Explorer:
    return Explorer(Settings(explore_share=share, explore_max_events=most_events), Metrics(), seed=7, **others)


def explored(explorer: Explorer, table: ItemTable, k: int = 10, mask: Any = None, row: Any = None) -> Choice:
    allowed = np.ones(len(table), bool) if mask is None else mask
    return explorer.explored(choice(table), table, row, allowed, k=k, most=None)


def new_places(found: Choice) -> list[int]:
    return [place for place, source in enumerate(found.sources) if source == "new"]


@pytest.mark.parametrize(("share", "k"), [(0.05, 10), (0.1, 10), (0.05, 5), (0.1, 25)])
def test_the_expected_share_of_places_is_given_and_never_more_than_one_in_ten(
    table: ItemTable, share: float, k: int
) -> None:
    explore = explorer(share)
    counts = [len(new_places(explored(explore, table, k))) for _ in range(2_000)]
    assert max(counts) <= np.ceil(k / 10)
    assert np.mean(counts) / k == pytest.approx(share, rel=0.15)


def test_the_first_three_places_stay_and_what_gave_way_moves_to_the_end(table: ItemTable) -> None:
    explore, before = explorer(), choice(table)
    for _ in range(200):
        found = explored(explore, table)
        (place,) = new_places(found)
        assert 3 <= place < 10 and table.ids[found.numbers[place]] in NEW
        assert found.numbers[-1] == before.numbers[place] and len(found.numbers) == len(before.numbers) + 1
        assert sorted({*found.numbers.tolist()} - {found.numbers[place]}) == sorted(before.numbers.tolist())
        assert found.scores[:-1].tolist() == before.scores.tolist()
        assert found.features is not None and np.isnan(found.features).all(1).nonzero()[0].tolist() == [place]


def test_a_new_item_that_stands_further_down_changes_places(table: ItemTable) -> None:
    before = choice(table, 20)
    item = table.index["music-0"]
    before = before.then(np.array([item]), np.array([0.5], np.float32), ["popular"])
    mask = np.zeros(len(table), bool)
    mask[item] = True
    found = explorer().explored(before, table, None, mask, k=10, most=None)
    (place,) = new_places(found)
    assert found.numbers[place] == item and found.numbers[-1] == before.numbers[place]
    assert sorted(found.numbers.tolist()) == sorted(before.numbers.tolist()) and found.sources[-1] == "retriever"


def test_only_what_may_be_shown_is_shown(table: ItemTable) -> None:
    explore, mask = explorer(), np.ones(len(table), bool)
    mask[[table.index[name] for name in NEW if name != "garden-1"]] = False
    shown = {table.ids[n] for _ in range(50) for n in explored(explore, table, mask=mask).numbers.tolist()}
    assert {*NEW, "uncatalogued"} & shown == {"garden-1"}
    mask[table.index["garden-1"]] = False
    assert new_places(explored(explore, table, mask=mask)) == []


def test_taste_chooses_among_the_drawn(table: ItemTable) -> None:
    state = UserState()
    for event in (event for event in sample_events() if event.item_id.startswith("music")):
        state.apply(event)
    explore = explorer()
    for _ in range(50):
        found = explored(explore, table, row=state.row())
        assert table.ids[found.numbers[new_places(found)[0]]].startswith("music")


def test_a_full_category_takes_no_new_item(table: ItemTable) -> None:
    garden = {name for name in NEW if name.startswith("garden")}
    mask = np.zeros(len(table), bool)
    mask[[table.index[name] for name in garden]] = True
    explore, before = explorer(), choice(table)
    shelf = Choice(np.array([table.index[f"garden-{n}"] for n in range(2, 12)], np.intp), *before.first(10)[1:])
    full = explore.explored(shelf, table, None, mask, k=10, most=9)
    assert new_places(full) == []
    assert len(new_places(explore.explored(shelf, table, None, mask, k=10, most=10))) == 1


@pytest.mark.parametrize("off", [{"share": 0.0}, {"k": 4}, {"most_events": 0, "known": True}])
def test_off_means_off(table: ItemTable, off: dict[str, Any]) -> None:
    if off.pop("known", False):
        for name in NEW:
            table.put_features(name, table_row(name))
    k = off.pop("k", 10)
    explore = explorer(**off)
    assert all(new_places(explored(explore, table, k)) == [] for _ in range(50))


def table_row(name: str) -> dict[str, Any]:
    state = ItemState()
    state.apply(sample_events()[0].model_copy(update={"item_id": name}))
    return state.row()


def test_an_exhausted_list_stays_as_it_is(table: ItemTable) -> None:
    short = choice(table, 7)._replace(exhausted=True)
    allowed = np.ones(len(table), bool)
    assert all(explorer().explored(short, table, None, allowed, k=10, most=None) is short for _ in range(20))


def test_answers_carry_new_items_and_replays_do_not(settings: Settings, shop: Any, bundle_dir: Any, serve: Any) -> None:
    shop.put_items([Item(item_id=f"rake-{n}", title=f"Rake {n}", categories=("garden",)) for n in range(5)])
    update = {"bundle_dir": bundle_dir, "explore_share": 0.1, "explore_max_events": 0, "answer_cache": 0}
    api = serve(settings.model_copy(update=update))

    def sources(**query: Any) -> list[tuple[str, str]]:
        answer = api.get("/recommend", params={"user_id": "user-1", "k": 10, "explain": True} | query).json()
        return [(each["item_id"], each["source"]) for each in answer["recommendations"]]

    for _ in range(20):
        found = sources()
        assert [item_id[:4] for item_id, source in found if source == "new"] == ["rake"]
        assert "new" not in dict(sources(at=shop.users["user-1"].last_us / 1e6 + 60)).values()
        assert "new" not in dict(sources(context_item="music-3")).values()
        assert "new" not in dict(sources(user_id="nobody-yet")).values()
    assert "freshet_recommender_explored_total 20.0" in api.get("/metrics").text
