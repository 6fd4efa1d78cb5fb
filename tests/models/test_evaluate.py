"""Evaluation by replay, on the sample shop; and a ranker that is only as large as it helps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_shop import sample_items, sample_users

from feature_repo.events import Event
from models.bundle import Bundle
from models.covisitation import fit_covisitation
from models.dataset import moments
from models.evaluate import MODES, PRODUCT, RIVAL, SYSTEMS, duel, evaluate, product_lists
from models.judging import Evaluation, judge_lists
from models.metrics import DEPTH, METRICS
from models.ranker import Ranker, ndcg, ranker_features, train_ranker
from models.recipe import TrainingSettings, make_pairs
from models.replay import Replay
from models.scorer import Scorer
from models.sources import Query
from models.training import Plan, assemble, fit_retriever, make_plan


@pytest.fixture(scope="module")
def plan(events: list[Event]) -> Plan:
    return make_plan(events, sample_items(), sample_users())


@pytest.fixture(scope="module")
def candidate(plan: Plan) -> Bundle:
    return assemble(plan, fit_retriever(plan, plan.split.test_us, 4, seed=1), plan.split.test_us)


def run(candidate: Bundle, plan: Plan, events: list[Event]) -> Evaluation:
    return evaluate(candidate, plan, events, since_us=plan.split.test_us, until_us=plan.split.end_us)


def test_live_state_shows_in_the_figures(candidate: Bundle, plan: Plan, events: list[Event]) -> None:
    evaluation = run(candidate, plan, events)
    assert set(evaluation.results) == set(MODES)
    assert set(evaluation.results["live"]) == set(SYSTEMS)
    live, frozen = (
        {name: q.means["ndcg@10"] for name, q in evaluation.results[mode].items()} for mode in ("live", "frozen")
    )
    # The next item of a shelf follows from the last one: who knows the last act wins, popularity cannot.
    assert live["product"] > frozen["product"] + 0.1
    assert live["product"] > live["popularity"] + 0.2
    assert live["item to item"] > frozen["item to item"] + 0.1
    flat = evaluation.metrics()
    assert flat["live.product.ndcg_at_10"] == pytest.approx(live["product"], abs=1e-6)
    assert flat["frozen.recent_popularity.recall_at_50"] > 0
    assert all(name in evaluation.results["live"]["product"].means for name in METRICS)


def test_the_future_is_not_known(candidate: Bundle, plan: Plan, events: list[Event]) -> None:
    """Cutting off all that comes after the judged window changes nothing."""
    middle = (plan.split.test_us + plan.split.end_us) // 2
    whole = evaluate(candidate, plan, events, since_us=plan.split.test_us, until_us=middle)
    cut = [event for event in events if event.time_us < middle]
    assert evaluate(candidate, plan, cut, since_us=plan.split.test_us, until_us=middle) == whole


def test_other_systems_are_judged_next_to_the_product(candidate: Bundle, plan: Plan, events: list[Event]) -> None:
    """Who knows what comes is perfect; the product's own figures do not change by such company."""
    window = {"since_us": plan.split.test_us, "until_us": plan.split.end_us}
    judged = moments(plan.history, plan.split.test_us, plan.split.end_us)
    lists = product_lists(candidate, plan, events, judged, since_us=plan.split.test_us)
    lists["live"]["oracle"] = [sorted(moment.relevant) for moment in judged]
    found = judge_lists(plan, judged, lists, **window)
    assert found.results["live"]["oracle"].means["ndcg@10"] == 1
    alone = run(candidate, plan, events)
    assert {name: q for name, q in found.results["live"].items() if name != "oracle"} == alone.results["live"]


def test_no_list_names_an_item_that_was_seen_or_that_is_twice(
    candidate: Bundle, plan: Plan, events: list[Event]
) -> None:
    judged = moments(plan.history, plan.split.test_us, plan.split.end_us)
    lists = product_lists(candidate, plan, events, judged, since_us=plan.split.test_us)
    for n, moment in enumerate(judged):
        seen = {e.item_id for e in events if e.user_id == moment.user_id and e.time_us < moment.time_us}
        for system in SYSTEMS:
            for mode in MODES:
                ranked = lists[mode][system][n]
                assert len(set(ranked)) == len(ranked) == min(DEPTH, len(plan.catalog) - len(seen))
                assert not seen & set(ranked)


def test_a_frozen_request_knows_the_time_but_no_later_act(candidate: Bundle, plan: Plan, events: list[Event]) -> None:
    """The frozen state is that of the split, whatever a user does later; the clock goes on."""
    judged = moments(plan.history, plan.split.test_us, plan.split.end_us)
    asked = []

    def listen(scorer: Scorer, allowed: np.ndarray, query: Query) -> dict[str, np.ndarray]:
        asked.append((query.user["last_event_us"], query.now_us))
        return {}

    product_lists(candidate, plan, events, judged, since_us=plan.split.test_us, systems=listen)
    frozen, live = asked[::2], asked[1::2]
    assert [now for _, now in frozen] == [now for _, now in live] == [moment.now_us for moment in judged]
    assert max(last for last, _ in frozen) < plan.split.test_us
    assert max(last for last, _ in live) >= plan.split.test_us


def test_a_window_without_a_moment_gives_figures_of_nothing(candidate: Bundle, plan: Plan, events: list[Event]) -> None:
    nothing = evaluate(candidate, plan, events, since_us=plan.split.end_us, until_us=plan.split.end_us + 1)
    assert nothing.metrics()["live.product.ndcg_at_10"] == 0


def test_it_is_the_same_every_time(candidate: Bundle, plan: Plan, events: list[Event]) -> None:
    told: list[int] = []
    first = evaluate(
        candidate,
        plan,
        events,
        since_us=plan.split.test_us,
        until_us=plan.split.end_us,
        sample=20,
        seed=4,
        progress=lambda done, total, loss: told.append(done),
    )
    second = evaluate(
        candidate, plan, events, since_us=plan.split.test_us, until_us=plan.split.end_us, sample=20, seed=4
    )
    assert first == second
    assert told == list(range(1, 21))


def test_pairs_come_from_the_rankers_window_only(plan: Plan, events: list[Event]) -> None:
    settings = TrainingSettings(epochs=1, max_moments=50, threads=1)
    first = fit_retriever(plan, plan.split.validation_us, 1, seed=1)
    pairs = make_pairs(plan, first, events, settings).pairs
    times = pairs["event_timestamp"].astype("int64")
    assert times.min() >= plan.split.validation_us - 1
    assert times.max() < plan.split.test_us


def test_co_visitation_looks_forward(plan: Plan) -> None:
    neighbours = fit_covisitation(plan.history)
    index = {item_id: n for n, item_id in enumerate(plan.history.item_ids)}
    after, before = [], []
    for n in range(2, 17):
        items, weights = neighbours.of(index[f"music-{n}"])
        row = dict(zip(items.tolist(), weights.tolist(), strict=True))
        after.append(row.get(index[f"music-{n + 1}"], 0))
        before.append(row.get(index[f"music-{n - 1}"], 0))
        assert list(weights) == sorted(weights, reverse=True)
    assert np.mean(after) > 1.5 * np.mean(before)
    assert len(neighbours.of(10**6)[0]) == 0


def rank_data(helpful: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(400 * 20, len(ranker_features()))).astype(np.float32)
    wanted = matrix[:, 0] if helpful else random.normal(size=len(matrix))
    labels = (wanted.reshape(400, 20) == wanted.reshape(400, 20).max(1, keepdims=True)).astype(np.int64).ravel()
    return matrix, labels, np.full(400, 20), np.arange(400) % 4


def test_trees_stand_where_they_help() -> None:
    ranker, report = train_ranker(*rank_data(helpful=True), seed=1)
    assert ranker.trees == report.trees > 10
    assert report.validation_ndcg_ranker > report.validation_ndcg_fusion + 0.2
    assert ranker.features == list(ranker_features())


def test_no_tree_stands_where_none_helps() -> None:
    data = rank_data(helpful=False, seed=1)
    ranker, report = train_ranker(*data, seed=1)
    assert ranker.trees == report.trees == 0
    assert report.validation_ndcg_ranker - report.validation_ndcg_fusion < 2 * report.validation_gain_error
    assert not Ranker(ranker.text).correct(data[0]).any()
    assert not ranker.contributions(data[0]).any()


def test_ndcg_of_graded_lists() -> None:
    scores, labels = np.array([3.0, 2, 1, 5, 6]), np.array([0, 1, 2, 0, 0])
    best = 3 + 1 / np.log2(3)
    assert ndcg(scores, labels, np.array([3, 2])) == pytest.approx([(1 / np.log2(3) + 3 / 2) / best, 0])
    assert ndcg(-scores, labels, np.array([3, 2])) == pytest.approx([1, 0])


def test_the_ranker_is_fixed_by_its_seed() -> None:
    data = rank_data(helpful=True)
    assert train_ranker(*data, seed=3)[0].text == train_ranker(*data, seed=3)[0].text


def test_two_releases_meet_on_the_same_moments(candidate: Bundle, plan: Plan, events: list[Event]) -> None:
    """The product's part of a duel is what an evaluation finds; its own double is its equal; a worse one loses."""
    window = {"since_us": plan.split.test_us, "until_us": plan.split.end_us}
    alone = run(candidate, plan, events).judgements["live"]["product"]
    worse = replace(candidate, fusion=replace(candidate.fusion, weights=-candidate.fusion.weights))
    for rival, equal in ((candidate, True), (worse, False)):
        found = duel(candidate, rival, plan, Replay(events), **window)
        assert found.judgements["live"][PRODUCT] == alone
        ratio = found.ratio(("live", PRODUCT), ("live", RIVAL))
        assert ratio == (1, 1, 1) if equal else ratio.low > 1.5
