"""Mixing of lists: unlike each other, and not too many of one category."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.recommender.mixture import Cap, capped, mixed, pages

SCORES = np.array([4, 3, 2, 1], np.float32)
CATEGORIES = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
LABELS = [("a",), ("a",), ("b",), ("c",)]
shelves = st.lists(st.lists(st.sampled_from("abcd"), max_size=3, unique=True), max_size=30)


@pytest.mark.parametrize(("diversity", "expected"), [(0.0, [0, 1, 2]), (0.9, [0, 2, 3]), (1.0, [0, 2, 3])])
def test_the_best_that_is_least_like_those_taken_comes_next(diversity: float, expected: list[int]) -> None:
    assert mixed(SCORES, CATEGORIES, LABELS, Cap(None), k=3, diversity=diversity) == expected


def test_likeness_weighs_the_same_whatever_the_scores_are_measured_in() -> None:
    near = mixed(SCORES, CATEGORIES, LABELS, Cap(None), k=3, diversity=0.5)
    assert mixed(SCORES * 1_000 - 77, CATEGORIES, LABELS, Cap(None), k=3, diversity=0.5) == near


@pytest.mark.parametrize("diversity", [0.0, 0.9])
def test_a_category_that_is_full_is_passed_over(diversity: float) -> None:
    cap = Cap(1)
    assert mixed(SCORES, CATEGORIES, LABELS, cap, k=4, diversity=diversity) == [0, 2, 3]
    assert sorted(cap.full()) == ["a", "b", "c"]


def test_an_item_of_several_categories_counts_in_each() -> None:
    cap = Cap(2)
    assert [cap.takes(labels) for labels in (["a", "b"], ["a"], ["b", "a"], ["b"], ["b"], [])] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


@given(shelves, st.integers(1, 6), st.integers(1, 3))
def test_the_cap_holds_among_each_k_and_nothing_is_shown_twice(shelf: list[list[str]], k: int, most: int) -> None:
    order = pages(range(len(shelf)), shelf, k, most)
    assert len(set(order)) == len(order)
    assert order[:k] == capped(range(len(shelf)), shelf, k, Cap(most))
    for start in range(0, len(order), k):
        labels = [label for n in order[start : start + k] for label in shelf[n]]
        assert all(labels.count(label) <= most for label in labels)
