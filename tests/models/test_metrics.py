"""Metrics whose right answers can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.metrics import METRICS, half_widths, judge, numbers_of, paired_ratio, quality, truth_of

IDS = [*"abcxy", *(f"a{n}" for n in range(60)), *(f"x{n}" for n in range(60))]
INDEX = {item_id: n for n, item_id in enumerate(IDS)}


def table(lists: list[list[str]], relevant: list[set[str]]) -> np.ndarray:
    return judge(numbers_of(lists, INDEX), truth_of(relevant, INDEX))


def values(ranked: list[str], relevant: set[str]) -> dict[str, float]:
    return dict(zip(METRICS, table([ranked], [relevant])[0].tolist(), strict=True))


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


@pytest.mark.parametrize(("misses", "within"), [(9, 10), (10, 20), (20, 50), (50, 1_000)])
def test_a_hit_counts_within_its_depth_only(misses: int, within: int) -> None:
    found = values([f"x{n}" for n in range(misses)] + ["a"], {"a"})
    assert [found[f"recall@{k}"] for k in (10, 20, 50)] == [float(k >= within) for k in (10, 20, 50)]
    assert found["hr@10"] == float(within <= 10)
    assert found["ndcg@10"] == (pytest.approx(1 / math.log2(11)) if within <= 10 else 0)


def test_more_relevant_items_than_places_can_still_be_perfect() -> None:
    relevant = [f"a{n}" for n in range(20)]
    found = values(relevant, set(relevant))
    assert found["ndcg@10"] == pytest.approx(1.0)
    assert found["recall@10"] == 0.5


def test_an_empty_list_scores_nothing() -> None:
    assert set(values([], {"a"}).values()) == {0.0}


def test_each_list_meets_its_own_truth_only() -> None:
    """Neighbouring moments share items; short lists have no items that could hit."""
    found = table([["a"], ["a"], [], ["c", "a"]], [{"b"}, {"a"}, {"y"}, {"a", "y"}])
    assert found[:, METRICS.index("hr@10")].tolist() == [0, 1, 0, 1]
    assert found[:, METRICS.index("recall@10")].tolist() == [0, 1, 0, 0.5]


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="no item at moment 1"):
        truth_of([{"a"}, set()], INDEX)
    with pytest.raises(ValueError, match="twice in that of moment 1"):
        numbers_of([["a"], ["b", "a", "b"]], INDEX)
    with pytest.raises(ValueError, match="2 for 1 moments"):
        table([["a"], ["a"]], [{"a"}])
    with pytest.raises(KeyError, match="unheard of"):
        numbers_of([["unheard of"]], INDEX)


def test_quality_means_coverage_and_users() -> None:
    lists = [["a", "b"], ["c", "a"], ["a"]]
    figures = quality(
        table(lists, [{"a"}, {"b"}, {"a"}]), np.array([5, 5, 9]), numbers_of(lists, INDEX), catalog_size=6
    )
    assert (figures.moments, figures.users) == (3, 2)
    assert figures.means["hr@10"] == pytest.approx(2 / 3)
    assert figures.coverage == pytest.approx(3 / 6)
    assert figures.top_share == pytest.approx(3 / 5)  # "a", of the five places that were filled


def test_the_top_of_a_catalogue_is_its_hundredth_part() -> None:
    """Ten lists of ten: one item leads every list, the rest is shown once."""
    lists = [["a", *(f"a{n}" for n in range(9 * row, 9 * row + 9))] for row in range(6)]
    numbers = numbers_of(lists, INDEX)
    nothing = np.zeros((6, len(METRICS)))
    assert quality(nothing, np.arange(6), numbers, catalog_size=100).top_share == pytest.approx(6 / 60)
    assert quality(nothing, np.arange(6), numbers, catalog_size=300).top_share == pytest.approx((6 + 1 + 1) / 60)


def test_only_the_first_ten_count_as_shown() -> None:
    numbers = numbers_of([[f"a{n}" for n in range(50)]], INDEX)
    assert quality(np.zeros((1, len(METRICS))), np.zeros(1, int), numbers, catalog_size=50).coverage == 10 / 50


def test_no_moment_gives_figures_of_nothing() -> None:
    figures = quality(np.empty((0, len(METRICS))), np.empty(0, int), numbers_of([], INDEX), catalog_size=5)
    assert (figures.moments, figures.users, figures.coverage, figures.top_share) == (0, 0, 0, 0)
    assert set(figures.means.values()) == set(figures.half_widths.values()) == {0.0}


def test_the_interval_counts_users_not_moments() -> None:
    once = np.array([0.0, 1.0] * 50)
    apart = half_widths(np.stack([once, 2 * once], 1), np.arange(100))
    assert apart == pytest.approx([1.96 * 0.5 / math.sqrt(100), 1.96 / math.sqrt(100)])
    # Ten moments of each user that all say the same are no more than ten users.
    same = np.repeat([0.0, 1.0] * 5, 10)
    assert half_widths(same[:, None], np.repeat(np.arange(10), 10)) == pytest.approx(1.96 * 0.5 / math.sqrt(10))


def test_a_system_is_exactly_as_good_as_itself() -> None:
    random = np.random.default_rng(0)
    system, user = random.random(500) * (random.random(500) < 0.1), random.integers(40, size=500)
    assert paired_ratio(system, system, user) == (1, 1, 1)


def test_a_constant_factor_has_no_spread() -> None:
    system, user = np.array([0.25, 0.5, 1.0, 0.125]), np.array([1, 1, 2, 3])
    assert paired_ratio(2 * system, system, user) == (2, 2, 2)


def test_two_users_can_be_drawn_in_three_ways() -> None:
    """User 1 with one moment each: 3 against 1; user 2: 1 against 1. Both: 4 / 2; one of them twice: 3 or 1."""
    found = paired_ratio(np.array([3.0, 1.0]), np.array([1.0, 1.0]), np.array([1, 2]))
    assert found == (2, 1, 3)  # a quarter of the draws is 1, a quarter 3


def test_users_are_drawn_with_all_their_moments() -> None:
    """User 2's moments differ from one another, but only their sum can be drawn."""
    ours, theirs, user = np.array([3.0, 0.0, 2.0, 0.0]), np.array([1.0, 0.0, 1.0, 1.0]), np.array([1, 2, 2, 2])
    assert paired_ratio(ours, theirs, user) == (5 / 3, 1, 3)


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """The mean of 400 independent values over the constant 1: the interval is that of the mean."""
    ours = np.random.default_rng(1).normal(2, 0.5, 400)
    found = paired_ratio(ours, np.ones(400), np.arange(400))
    expected = 1.96 * ours.std() / math.sqrt(400)
    assert found.ratio == pytest.approx(ours.mean())
    assert found.high - found.ratio == pytest.approx(expected, rel=0.1)
    assert found.ratio - found.low == pytest.approx(expected, rel=0.1)
    assert found == paired_ratio(ours, np.ones(400), np.arange(400))  # the seed fixes it


def test_better_than_nothing_is_infinitely_better() -> None:
    assert paired_ratio(np.ones(3), np.zeros(3), np.arange(3)) == (math.inf, math.inf, math.inf)
    assert paired_ratio(np.zeros(3), np.zeros(3), np.arange(3)) == (1, 1, 1)
    assert paired_ratio(np.empty(0), np.empty(0), np.empty(0, int)) == (1, 1, 1)
