"""What the core of a request promises, on the sample shop: users walk along the shelf of their category."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sample_shop import SHELF, START

from benchmarks.serving.bad_bundles import nan_for_cheap
from feature_repo.events import Event, Item
from feature_repo.request_features import empty_user
from feature_repo.state import UserState
from models.ranker import ranker_features
from models.scorer import Scorer, popular
from models.sources import SOURCES, Query

Shop = Any  # the fixture's class lives in conftest.py, which importlib mode cannot name


def visitor(items: Sequence[str], end_us: int) -> dict[str, Any]:
    """The row of someone who clicked on some items a minute apart, the last one just before ``end_us``."""
    state = UserState()
    for n, item_id in enumerate(items):
        seconds = end_us / 1e6 - 60 * (len(items) - n)
        state.apply(
            Event.model_validate(
                {
                    "user_id": "visitor",
                    "item_id": item_id,
                    "event_type": "click",
                    "timestamp": datetime.fromtimestamp(seconds, UTC),
                }
            )
        )
    return state.row()


def test_the_next_item_of_the_shelf_is_found(shop: Shop) -> None:
    seen = ["music-3", "music-4", "music-5", "music-6"]
    ranked = shop.scorer.recommend(Query(visitor(seen, shop.now_us), shop.now_us), 5, shop.allowed(*seen))
    assert "music-7" in shop.ids(ranked.items)[:3]
    assert all(item.startswith("music") for item in shop.ids(ranked.items))


def test_lists_have_scores_sources_and_ranker_rows(shop: Shop) -> None:
    ranked = shop.scorer.recommend(shop.query("user-0", ("likes:garden",)), 10, shop.allowed())
    assert len(set(ranked.items.tolist())) == 10
    assert ranked.items.dtype == np.intp
    assert ranked.scores.dtype == np.float32
    assert (np.diff(ranked.scores) <= 0).all()
    assert ranked.features.shape == (10, len(ranker_features()))
    assert np.isfinite(ranked.features).all()
    assert set(ranked.sources) <= set(SOURCES)


@pytest.mark.parametrize("user_id", ["user-0", "user-7", "nobody"])
def test_nothing_that_is_not_allowed_is_ever_recommended(shop: Shop, user_id: str) -> None:
    random = np.random.default_rng(1)
    for share in (0.0, 0.02, 0.3, 1.0):
        allowed = random.random(len(shop.scorer.items)) < share
        calls = {
            "recommend": shop.scorer.recommend(shop.query(user_id), 200, allowed).items,
            "similar": shop.scorer.similar(3, 200, allowed).items,
            "popular": shop.scorer.popular(shop.now_us, 200, allowed)[0],
        }
        for name, items in calls.items():
            assert allowed[items].all(), (name, share)


def test_few_allowed_items_are_all_found(shop: Shop) -> None:
    allowed = np.zeros(len(shop.scorer.items), bool)
    allowed[[2, 30]] = True
    ranked = shop.scorer.recommend(shop.query("user-0"), 10, allowed)
    assert sorted(ranked.items.tolist()) == [2, 30]


def test_a_short_list_is_the_head_of_a_long_one(shop: Shop) -> None:
    query = shop.query("user-4")
    long = shop.scorer.recommend(query, 50, shop.allowed())
    short = shop.scorer.recommend(query, 5, shop.allowed())
    assert short.items.tolist() == long.items[:5].tolist()


def test_an_unknown_user_gets_a_list_and_a_profile_changes_it(shop: Shop) -> None:
    nobody = shop.scorer.recommend(Query(empty_user(), shop.now_us), 10, shop.allowed())
    assert len(nobody.items) == 10
    fan = shop.scorer.recommend(Query(empty_user(), shop.now_us, ("likes:kitchen", "never:seen")), 10, shop.allowed())
    kitchens = [sum(item.startswith("kitchen") for item in shop.ids(r.items)) for r in (nobody, fan)]
    assert kitchens[1] > kitchens[0]


def test_a_state_that_stands_still_is_answered_by_the_stale_fusion_without_trees(shop: Shop) -> None:
    scorer = shop.scorer
    assert scorer.bundle.stale_fusion.weights.tolist() != scorer.bundle.fusion.weights.tolist()
    for hours, fusion in ((5, scorer.bundle.fusion), (7, scorer.bundle.stale_fusion)):
        query = shop.query("user-4")._replace(now_us=shop.now_us + hours * 3_600 * 10**6)
        pool = scorer.pool(query, shop.allowed())
        assert pool.fusion.tolist() == fusion.score(pool.features).tolist()
    assert pool.stale
    acted = {**shop.user("user-4"), "last_event_us": query.now_us - 1}
    assert not scorer.pool(query._replace(user=acted), shop.allowed()).stale
    scores = scorer.score(query, pool)
    assert scores.tolist() == pool.fusion.tolist()


def test_popular_is_what_most_met_lately_and_needs_no_bundle(shop: Shop) -> None:
    table = shop.scorer.items
    for n in range(30):
        click = Event.model_validate(
            {"user_id": f"late-{n}", "item_id": "music-19", "event_type": "click", "timestamp": shop.now_us / 1e6}
        )
        shop.replay.states.users["x"].apply(click)
        shop.replay.states.items["music-19"].apply(click)
    table.put_features("music-19", shop.replay.item_row("music-19"))
    items, scores = popular(table, shop.now_us, 3, shop.allowed())
    assert shop.ids(items)[0] == "music-19"
    assert (np.diff(scores) <= 0).all()


def put_new_item(shop: Shop, category: str) -> int:
    row = Item(item_id="brand-new", title="New", categories=(category,), published_at=START, price=None).row()
    return int(shop.scorer.items.put_catalog("brand-new", row))


def test_a_new_item_is_retrieved_by_its_content_once_synced(shop: Shop) -> None:
    number = put_new_item(shop, "garden")
    assert number == len(shop.scorer.bundle.item_ids)
    others = shop.scorer.items.categories[:, shop.scorer.items.vocabulary.index("garden")] == 0
    allowed = others.copy()
    allowed[number] = True
    fan = Query(visitor(["garden-1", "garden-2", "garden-3"], shop.now_us), shop.now_us)
    before = shop.scorer.recommend(fan, 60, allowed)
    assert number not in before.items
    assert shop.scorer.sync() == 1
    after = shop.scorer.recommend(fan, 5, allowed)
    assert number in after.items


def test_a_new_item_follows_its_changed_catalogue_row(shop: Shop) -> None:
    number = put_new_item(shop, "garden")
    shop.scorer.sync()
    fan = Query(visitor(["music-1", "music-2", "music-3"], shop.now_us), shop.now_us)
    asked = (fan, np.array([number]))
    before = shop.scorer.rank(*asked).features[0, ranker_features().index("retriever_score")]
    put_new_item(shop, "music")
    shop.scorer.sync()
    after = shop.scorer.rank(*asked).features[0, ranker_features().index("retriever_score")]
    assert after > before + 0.5


def test_acts_on_new_and_on_unknown_items_do_no_harm(shop: Shop) -> None:
    put_new_item(shop, "garden")
    acts = ["never-heard-of", "brand-new", "garden-3"]
    query = Query(visitor(acts, shop.now_us), shop.now_us, seen=acts)
    unsynced = shop.scorer.recommend(query, 5, shop.allowed("garden-3"))
    shop.scorer.sync()
    synced = shop.scorer.recommend(query, 5, shop.allowed("garden-3"))
    assert len(unsynced.items) == len(synced.items) == 5


def test_similar_follows_the_shelf_and_leaves_the_item_out(shop: Shop) -> None:
    index = shop.scorer.items.index
    found = shop.scorer.similar(index["garden-5"], SHELF - 1, shop.allowed())
    assert "garden-6" in shop.ids(found.items)[:3]
    assert index["garden-5"] not in found.items
    assert sum(item.startswith("garden") for item in shop.ids(found.items)) >= SHELF - 3


def test_similar_of_a_new_item_goes_by_content(shop: Shop) -> None:
    number = put_new_item(shop, "kitchen")
    assert len(shop.scorer.similar(number, 5, shop.allowed()).items) == 0
    shop.scorer.sync()
    found = shop.scorer.similar(number, 5, shop.allowed())
    assert set(found.sources) == {"content"}
    assert sum(item.startswith("kitchen") for item in shop.ids(found.items)) >= 4


def test_rank_orders_exactly_what_was_asked(shop: Shop) -> None:
    index = shop.scorer.items.index
    asked = np.array([index[item] for item in ("music-1", "garden-4", "kitchen-9")])
    row = visitor(["garden-1", "garden-2", "garden-3"], shop.now_us)
    ranked = shop.scorer.rank(Query(row, shop.now_us), asked)
    assert sorted(ranked.items.tolist()) == sorted(asked.tolist())
    assert shop.ids(ranked.items)[0] == "garden-4"
    assert len(ranked.sources) == len(ranked.scores) == len(ranked.features) == 3


def test_rank_and_recommend_agree_on_scores(shop: Shop) -> None:
    query = shop.query("user-3", ("likes:garden",))
    whole = shop.scorer.recommend(query, 200, np.ones(len(shop.scorer.items), bool))
    again = shop.scorer.rank(query, whole.items)
    scores = dict(zip(again.items.tolist(), again.scores.tolist(), strict=True))
    assert [scores[n] for n in whole.items.tolist()] == pytest.approx(whole.scores.tolist(), abs=1e-4)


def test_a_score_that_is_no_number_stands_first_where_it_is_seen(shop: Shop) -> None:
    bundle = nan_for_cheap(shop.scorer.bundle, 3.0)  # two items of each category
    ranked = Scorer(bundle, shop.scorer.items, 60).recommend(shop.query("user-0"), 10, shop.allowed())
    strange = ~np.isfinite(ranked.scores)
    assert 0 < strange.sum() <= 6 and strange[: strange.sum()].all()
    assert (np.diff(ranked.scores[strange.sum() :]) <= 0).all()


def test_a_table_of_another_bundle_is_refused(shop: Shop) -> None:
    from feature_repo.item_table import ItemTable
    from models.scorer import Scorer

    with pytest.raises(ValueError, match="new_item_table"):
        Scorer(shop.scorer.bundle, ItemTable(("garden",)), 200)
