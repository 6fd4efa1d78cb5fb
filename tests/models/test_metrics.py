"""Metrics on lists whose right answer can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.metrics import METRICS, Judgement, clustered_half_width, judge


def values(ranked: list[str], relevant: set[str]) -> dict[str, float]:
    return dict(zip(METRICS, judge(ranked, relevant), strict=True))


def test_a_perfect_list_scores_one_everywhere() -> None:
    assert values(["a", "b", "c"], {"a", "b"}) == {
        "ndcg@10": 1.0,
        "hr@10": 1.0,
        "recall@10": 1.0,
        "recall@20": 1.0,
        "recall@50": 1.0,
    }


def test_one_hit_at_rank_three_is_worth_half() -> None:
    assert values(["x", "y", "a"], {"a"})["ndcg@10"] == pytest.approx(1 / math.log2(4))


def test_two_relevant_of_which_the_second_place_is_hit() -> None:
    found = values(["x", "a"], {"a", "b"})
    assert found["ndcg@10"] == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert found["recall@10"] == 0.5
    assert found["hr@10"] == 1.0


def test_a_hit_at_rank_eleven_counts_for_recall_at_twenty_only() -> None:
    found = values([f"x{n}" for n in range(10)] + ["a"], {"a"})
    assert (found["ndcg@10"], found["hr@10"], found["recall@10"]) == (0.0, 0.0, 0.0)
    assert (found["recall@20"], found["recall@50"]) == (1.0, 1.0)


def test_more_relevant_items_than_places_can_still_be_perfect() -> None:
    relevant = [f"a{n}" for n in range(20)]
    found = values(relevant, set(relevant))
    assert found["ndcg@10"] == pytest.approx(1.0)
    assert found["recall@10"] == 0.5


def test_an_empty_list_scores_nothing() -> None:
    assert set(values([], {"a"}).values()) == {0.0}


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="no item"):
        judge(["a"], set())
    with pytest.raises(ValueError, match="twice"):
        judge(["a", "a"], {"a"})


def test_quality_means_coverage_and_users() -> None:
    judgement = Judgement()
    judgement.add("u", ["a", "b"], {"a"})
    judgement.add("u", ["c", "a"], {"b"})
    judgement.add("v", ["a"], {"a"})
    quality = judgement.quality(catalog_size=6)
    assert (quality.moments, quality.users) == (3, 2)
    assert quality.means["hr@10"] == pytest.approx(2 / 3)
    assert quality.coverage == pytest.approx(3 / 6)


def test_the_interval_counts_users_not_moments() -> None:
    once = np.array([0.0, 1.0] * 50)
    apart = clustered_half_width(once, [str(n) for n in range(100)])
    assert apart == pytest.approx(1.96 * 0.5 / math.sqrt(100))
    # Ten moments of each user that all say the same are no more than ten users.
    same = np.repeat([0.0, 1.0] * 5, 10)
    users = [str(n) for n in np.repeat(np.arange(10), 10)]
    assert clustered_half_width(same, users) == pytest.approx(1.96 * 0.5 / math.sqrt(10))
