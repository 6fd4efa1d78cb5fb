"""Any system's lists next to any other's, on a history of three users that can be read line by line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from feature_repo.events import Event, Item
from models.dataset import History, Moment, TimeSplit, moments
from models.judging import Evaluation, category_segments, futures, judge_lists, segments_of
from models.training import Plan

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(minute: int) -> int:
    return int((START + timedelta(minutes=minute)).timestamp() * 1_000_000)


ACTS = """
anna 0 a | anna 1 b | anna 12 c | anna 12 d | anna 13 a | anna 15 e | anna 30 f
ben 11 a | ben 14 b | ben 16 c | ben 18 d | ben 19 e
cleo 17 a | cleo 31 b
"""
SINCE, UNTIL = at(10), at(20)
"""Anna is known before the window; Ben and Cleo are not. What happens after minute 20 is nobody's business."""


@pytest.fixture(scope="module")
def history() -> History:
    events = []
    for n, act in enumerate(ACTS.replace("\n", "|").split("|")):
        if act.strip():
            user, minute, item = act.split()
            time = START + timedelta(minutes=int(minute))
            events.append(Event(user_id=user, item_id=item, event_type="click", timestamp=time, event_id=str(n)))
    return History.of(events)


@pytest.fixture(scope="module")
def plan(history: History) -> Plan:
    catalog = [Item(item_id=item_id, title=item_id, categories=()) for item_id in "abcdefgh"]
    return Plan(history, TimeSplit(SINCE, UNTIL, UNTIL), catalog, {}, (), ())


@pytest.fixture(scope="module")
def judged(history: History) -> list[Moment]:
    return moments(history, SINCE, UNTIL)


WHEN = [
    ("ben", 11),
    ("anna", 12),
    ("ben", 14),
    ("anna", 15),
    ("ben", 16),
    ("cleo", 17),
    ("ben", 18),
    ("ben", 19),
]


def evaluation(plan: Plan, judged: list[Moment], **systems: list[list[str]]) -> Evaluation:
    return judge_lists(plan, judged, {"live": systems}, since_us=SINCE, until_us=UNTIL)


def test_the_moments_are_those_of_the_window(judged: list[Moment]) -> None:
    """Anna's minute 13 is none: she had met the item before."""
    assert [(moment.user_id, moment.time_us) for moment in judged] == [(user, at(minute)) for user, minute in WHEN]


def test_the_future_is_what_the_user_first_meets_until_the_end(history: History, judged: list[Moment]) -> None:
    expected = ["abcde", "cde", "bcde", "e", "cde", "a", "de", "e"]
    assert [sorted(met) for met in futures(history, judged, UNTIL)] == [list(ids) for ids in expected]


def test_segments_tell_the_new_users_by_their_acts_so_far(history: History, judged: list[Moment]) -> None:
    found = {name: np.flatnonzero(mask).tolist() for name, mask in segments_of(history, judged, SINCE).items()}
    assert found == {
        "all": [0, 1, 2, 3, 4, 5, 6, 7],
        "warm": [1, 3],
        "cold": [0, 2, 4, 5, 6, 7],
        "cold, 0 acts": [0, 5],
        "cold, 1-2": [2, 4],
        "cold, 3-9": [6, 7],  # and none of ten acts
    }


def test_both_truths_of_one_list(plan: Plan, judged: list[Moment]) -> None:
    """The list e, c: in Anna's future at minute 12, when c alone of the two came at once."""
    quality = evaluation(plan, judged, same=[["e", "c"]] * 8).judgements["live"]["same"].quality
    assert quality["next"]["all"].means["recall@10"] == pytest.approx((0 + 1 / 2 + 0 + 1 + 1 + 0 + 0 + 1) / 8)
    assert quality["future"]["all"].means["recall@10"] == pytest.approx(
        (2 / 5 + 2 / 3 + 2 / 4 + 1 + 2 / 3 + 0 + 1 / 2 + 1) / 8
    )
    assert quality["next"]["warm"].means["hr@10"] == 1
    assert quality["future"]["cold, 0 acts"].means["hr@10"] == 1 / 2
    assert quality["next"]["all"].coverage == 2 / 8
    assert (quality["next"]["warm"].users, quality["next"]["cold"].users) == (1, 2)


def test_systems_are_compared_on_the_same_moments(plan: Plan, judged: list[Moment]) -> None:
    perfect = [sorted(moment.relevant) for moment in judged]
    both = judge_lists(
        plan,
        judged,
        {"live": {"perfect": perfect}, "frozen": {"perfect": perfect, "one rank late": [["h", *p] for p in perfect]}},
        since_us=SINCE,
        until_us=UNTIL,
    )
    assert both.results["live"]["perfect"].means["ndcg@10"] == 1
    assert both.ratio(("live", "perfect"), ("frozen", "perfect")) == (1, 1, 1)
    ratio = both.ratio(("live", "perfect"), ("frozen", "one rank late"))
    assert ratio.low <= ratio.ratio <= ratio.high
    # One relevant item at rank 2 is worth 1 / log2(3); only Anna's minute 12 has two.
    late = (7 / np.log2(3) + (1 / np.log2(3) + 1 / 2) / (1 + 1 / np.log2(3))) / 8
    assert ratio.ratio == pytest.approx(1 / late)
    among_new = both.ratio(("live", "perfect"), ("frozen", "one rank late"), segment="cold")
    assert among_new == pytest.approx((np.log2(3),) * 3)


def test_figures_have_flat_names_and_go_into_json(plan: Plan, judged: list[Moment]) -> None:
    found = evaluation(plan, judged, **{"item to item": [["a"]] * 8})
    flat = found.metrics()
    assert flat["live.item_to_item.ndcg_at_10"] == pytest.approx(2 / 8)
    assert flat["live.item_to_item.cold.ndcg_at_10"] == pytest.approx(2 / 6, abs=1e-6)
    assert flat["live.item_to_item.future.ndcg_at_10"] > 0
    assert flat["live.item_to_item.coverage_at_10"] == 1 / 8
    assert flat["live.item_to_item.top_share_at_10"] == 1
    assert json.loads(json.dumps(found.as_json()))["live"]["item to item"]["next"]["warm"]["moments"] == 2


def test_a_missing_list_is_refused(plan: Plan, judged: list[Moment]) -> None:
    with pytest.raises(ValueError, match="7 for 8 moments"):
        evaluation(plan, judged, short=[["a"]] * 7)


def test_categories_with_enough_moments_are_segments(history: History) -> None:
    judged = [Moment(n, "anna", at(n), {"a" if n % 3 else "b": 1.0}) for n in range(90)]
    found = category_segments(judged, {"a": ("tea", "warm drinks"), "b": ("wine",), "c": ("beer",)})
    assert list(found) == ["category:tea", "category:warm drinks", "category:wine"]
    assert np.flatnonzero(found["category:wine"]).tolist() == list(range(0, 90, 3))
    assert list(category_segments(judged[:88], {"a": ("tea",), "b": ("wine",)})) == ["category:tea", "category:wine"]
    assert list(category_segments(judged[:87], {"a": ("tea",), "b": ("wine",)})) == ["category:tea"]
