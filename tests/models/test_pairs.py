"""The ranker's training rows are what serving would have computed just before each moment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_shop import sample_events, sample_items, sample_users

from feature_repo.events import Event
from feature_repo.request_features import REQUEST_FEATURES
from feature_repo.schema import ITEM_FEATURES, TIMESTAMP, USER_FEATURES
from models.content import item_table
from models.dataset import moments
from models.fusion import fit_fusion, rank_fusion
from models.pairs import grade, neutral_row, ranker_matrix, replayed_rows, request_matrix, training_pairs
from models.ranker import ranker_features, train_ranker
from models.replay import Replay
from models.retriever import Retriever
from models.scorer import RERANKED, top
from models.sources import SOURCE_FEATURES, Query
from models.training import Offer, Plan, allowed_for, assemble, collect_pools, fit_retriever, make_plan, new_scorer


@pytest.fixture(scope="module")
def plan(events: list[Event]) -> Plan:
    return make_plan(events, sample_items(), sample_users())


@pytest.fixture(scope="module")
def retriever(plan: Plan) -> Retriever:
    return fit_retriever(plan, plan.split.validation_us, 2, seed=1)


@pytest.fixture(scope="module")
def offered(plan: Plan, retriever: Retriever, events: list[Event]) -> tuple[list[Offer], pd.DataFrame]:
    base = assemble(plan, retriever, plan.split.validation_us)
    window = moments(plan.history, plan.split.validation_us, plan.split.end_us)
    offers, items = collect_pools(base, plan, events, window, candidates=200)
    return offers, training_pairs(offers, items, rank_fusion())


def test_a_training_row_equals_what_serving_computes_at_that_moment(
    plan: Plan, retriever: Retriever, events: list[Event], offered: tuple[list[Offer], pd.DataFrame]
) -> None:
    _, pairs = offered
    table = item_table(retriever.item_ids, plan.catalog, plan.categories)
    # Feast gives its rows in an order of its own.
    users, rows = (frame.sample(frac=1, random_state=0) for frame in replayed_rows(pairs, events))
    data = ranker_matrix(pairs, users, rows, table)

    scorer = new_scorer(assemble(plan, retriever, plan.split.validation_us), plan.catalog, 200)
    replay, at = Replay(events), 0
    for (stamp, user_id), part in pairs.groupby([TIMESTAMP, "user_id"], sort=False):
        now_us = pd.Timestamp(stamp).value // 1_000
        replay.advance(now_us + 1)
        replay.refresh(scorer.items)
        query = Query(replay.user_row(user_id), now_us, plan.profiles[user_id], replay.seen(user_id))
        served = scorer.recommend(query, 200, allowed_for(scorer, query.seen))
        by_item = {scorer.items.ids[n]: row for n, row in zip(served.items, served.features, strict=True)}
        for item_id, row in zip(part["item_id"], data.matrix[at : at + len(part)], strict=True):
            assert row.tolist() == by_item[item_id].tolist(), (user_id, stamp, item_id)
        at += len(part)
    assert at == len(pairs) > 300


def test_pairs_are_the_head_of_the_fusion_with_its_labels(offered: tuple[list[Offer], pd.DataFrame]) -> None:
    offers, pairs = offered
    fusion = rank_fusion()
    told = 0
    for offer in offers:
        part = pairs[pairs["moment_id"] == offer.moment.number]
        head = top(fusion.score(offer.pool.features), RERANKED)
        if not offer.labels[head].any():
            assert part.empty
            continue
        told += 1
        assert len(part) == len(head)
        relevant = set(part["item_id"][part["label"] > 0])
        assert relevant and relevant <= set(offer.moment.relevant)
        assert (part[TIMESTAMP] == pd.Timestamp(offer.moment.time_us - 1, unit="us", tz="UTC")).all()
    assert told == pairs["moment_id"].nunique() > 20
    assert pairs[TIMESTAMP].dtype == "datetime64[us, UTC]"


def test_moments_are_limited_by_a_seeded_sample(
    plan: Plan, offered: tuple[list[Offer], pd.DataFrame], retriever: Retriever
) -> None:
    offers, _ = offered
    items = item_table(retriever.item_ids, plan.catalog, plan.categories)
    few = training_pairs(offers, items, rank_fusion(), limit=7, seed=3)
    assert few["moment_id"].nunique() == 7
    pd.testing.assert_frame_equal(few, training_pairs(offers, items, rank_fusion(), limit=7, seed=3))


def test_a_pair_without_its_joined_row_is_named(
    plan: Plan, retriever: Retriever, events: list[Event], offered: tuple[list[Offer], pd.DataFrame]
) -> None:
    _, pairs = offered
    table = item_table(retriever.item_ids, plan.catalog, plan.categories)
    users, rows = replayed_rows(pairs, events)
    with pytest.raises(KeyError, match=f"user_rows: no row of {users['user_id'].iat[0]}"):
        ranker_matrix(pairs, users.iloc[1:], rows, table)
    with pytest.raises(KeyError, match=f"item_rows: no row of {rows['item_id'].iat[0]}"):
        ranker_matrix(pairs, users, rows.iloc[1:], table)


def test_request_features_of_any_rows_are_those_of_the_ranker(
    plan: Plan, retriever: Retriever, events: list[Event], offered: tuple[list[Offer], pd.DataFrame]
) -> None:
    _, pairs = offered
    table = item_table(retriever.item_ids, plan.catalog, plan.categories)
    users, rows = replayed_rows(pairs, events)
    expected = ranker_matrix(pairs, users, rows, table).matrix[:, : len(REQUEST_FEATURES)]
    shuffled = pairs.sample(frac=0.5, random_state=0)
    found = request_matrix(shuffled.reset_index(drop=True), users, rows, table)
    assert found.tobytes() == expected[shuffled.index].tobytes()


def test_no_pairs_give_an_empty_matrix(plan: Plan, retriever: Retriever, events: list[Event]) -> None:
    table = item_table(retriever.item_ids, plan.catalog, plan.categories)
    none = training_pairs([], table, rank_fusion())
    data = ranker_matrix(none, *replayed_rows(none, events), table)
    assert data.matrix.shape == (0, len(ranker_features()))


def test_what_a_join_leaves_empty_becomes_neutral() -> None:
    user = neutral_row(USER_FEATURES, dict.fromkeys(USER_FEATURES.fields) | {"recent_items": np.array(["a"])})
    assert user["recent_items"] == ["a"]
    assert user["recent_us"] == []
    assert user["event_count"] == 0
    item = neutral_row(ITEM_FEATURES, dict.fromkeys(ITEM_FEATURES.fields, float("nan")) | {"event_count": 3.0})
    assert (item["event_count"], item["mean_value"]) == (3, 0.0)


def test_grades_rise_with_the_weight_of_an_act() -> None:
    assert grade(np.array([0, 1, 2, 4, 8], np.float32)).tolist() == [0, 1, 2, 3, 4]


def test_the_fusion_learns_which_source_is_right() -> None:
    random = np.random.default_rng(0)
    features, labels = [], []
    for _ in range(200):
        x = random.normal(size=(20, len(SOURCE_FEATURES))).astype(np.float32)
        y = np.zeros(20, np.float32)
        y[np.argmax(3 * x[:, 0] - x[:, 2])] = 1
        features.append(x)
        labels.append(y)
    fusion = fit_fusion(features, labels, shrinkage=0.001)
    assert fusion.weights[0] > 2 * abs(fusion.weights[1:2]).max()
    assert fusion.weights[2] < -0.5
    hits = [np.argmax(fusion.score(x)) == np.argmax(y) for x, y in zip(features, labels, strict=True)]
    assert np.mean(hits) > 0.9


def test_a_fusion_that_learned_nothing_is_rank_fusion() -> None:
    x = np.random.default_rng(0).normal(size=(5, len(SOURCE_FEATURES))).astype(np.float32)
    fusion = fit_fusion([x], [np.zeros(5, np.float32)])
    assert fusion.score(x).tolist() == x[:, SOURCE_FEATURES.index("rank_fusion")].tolist()


def test_too_few_events_are_refused_with_their_number() -> None:
    with pytest.raises(ValueError, match="events: 24 are too few"):
        make_plan(sample_events(users=2, each=12), sample_items(), sample_users())


def test_a_ranker_without_a_moment_to_learn_from_says_so() -> None:
    nothing = np.empty(0, np.intp)
    with pytest.raises(ValueError, match="more events are needed"):
        train_ranker(np.empty((0, 1), np.float32), nothing, nothing, nothing)
