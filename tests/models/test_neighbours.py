"""Item-to-item weights: what goes with what, and what a history adds up to."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
import scipy.sparse as sp

from feature_repo.events import Event
from models import long_term
from models.covisitation import fit_covisitation, recent_weights
from models.dataset import History
from models.encoder import Tokens
from models.long_term import ease, fit_long_term, item_knn, lasting_weights
from models.neighbours import best_neighbours


def history(*walks: str) -> History:
    """Users who click on the letters of a word, a minute apart."""
    return History.of(
        Event.model_validate(
            {
                "user_id": f"user-{user}",
                "item_id": letter,
                "event_type": "click",
                "timestamp": datetime.fromtimestamp(10**9 + 60 * step, UTC),
            }
        )
        for user, walk in enumerate(walks)
        for step, letter in enumerate(walk)
    )


def test_the_largest_weights_of_a_row_stand_best_first() -> None:
    rows = sp.csr_matrix(np.array([[0, 3, -4, 1], [0, 0, 0, 0], [2, 0, 0, 5]], float))
    kept = best_neighbours(rows, keep=2)
    assert [part.tolist() for part in kept.of(0)] == [[1, 2], [3, -4]]
    assert [part.tolist() for part in kept.of(1)] == [[], []]
    assert [part.tolist() for part in kept.of(2)] == [[3, 0], [5, 2]]
    assert [part.tolist() for part in kept.of(7)] == [[], []]


def test_scores_are_the_weighted_sum_of_rows_and_later_items_have_none() -> None:
    dense = np.random.default_rng(0).normal(size=(6, 6))
    kept = best_neighbours(sp.csr_matrix(dense), keep=6)
    items, weights = np.array([4, 0, 9, 4]), np.array([1, 0.5, 3, 2])
    sums = kept.sums(items, weights, 8)
    assert sums.of(np.arange(6)) == pytest.approx(3 * dense[4] + 0.5 * dense[0], abs=1e-6)
    assert sorted(sums.named.tolist()) == list(range(6))
    nothing = kept.sums(np.empty(0, np.intp), np.empty(0), 8)
    assert not nothing.values.any() and not len(nothing.named)


def test_people_go_on_in_the_order_of_their_walk() -> None:
    found = fit_covisitation(history("abcd", "abcd", "abxd"))
    names = history("abcdx").item_ids
    after = {names[n]: weight for n, weight in zip(*found.of(names.index("b")), strict=True)}
    assert after["c"] > after["d"]  # nearer, and met as often
    assert after["c"] > after["x"]  # met more often
    assert after["c"] > after["a"] > 0  # forward counts more than back


def test_newer_acts_count_more_and_half_for_half_an_hour() -> None:
    tokens = Tokens(np.arange(3), np.zeros(3, np.intp), np.array([0, 1_800, 1_800]) * 10**6)
    items, weights = recent_weights(tokens)
    assert items.tolist() == [0, 1, 2]
    assert weights.tolist() == pytest.approx([0.8**2 / 2, 0.8, 1])
    assert lasting_weights(np.arange(3))[1].tolist() == pytest.approx([0.98**2, 0.98, 1])
    latest, weights = lasting_weights(np.arange(2 * long_term.LATEST))
    assert latest[0] == long_term.LATEST == len(weights) and weights[-1] == 1


def test_ease_is_the_ridge_regression_of_every_item_on_the_others() -> None:
    met = sp.csr_matrix(np.random.default_rng(1).integers(0, 2, (40, 5)).astype(np.float32))
    weights, dense = ease(met), met.toarray()
    for item in range(5):
        others = [n for n in range(5) if n != item]
        gram = dense[:, others].T @ dense[:, others] + long_term.RIDGE * np.eye(4)
        assert weights[others, item] == pytest.approx(np.linalg.solve(gram, dense[:, others].T @ dense[:, item]))


@pytest.mark.parametrize("ease_items", [100, 1])
def test_what_goes_together_is_found_by_ease_and_by_item_knn(monkeypatch: pytest.MonkeyPatch, ease_items: int) -> None:
    monkeypatch.setattr(long_term, "EASE_ITEMS", ease_items)
    told = history(*["abc"] * 20, *["xyz"] * 20, "ax")
    found, names = fit_long_term(told), told.item_ids
    scores = found.sums(np.array([names.index("a")]), np.ones(1), len(names)).values
    assert sorted(names[n] for n in np.argsort(-scores)[:2]) == ["b", "c"]
    assert scores[names.index("a")] == 0


def test_item_knn_is_the_same_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    met = sp.csr_matrix((np.random.default_rng(2).random((80, 30)) < 0.2).astype(np.float32))
    whole = item_knn(met)
    monkeypatch.setattr(long_term, "_BLOCK", 7)
    parts = item_knn(met)
    assert np.array_equal(whole.indptr, parts.indptr)
    assert np.array_equal(whole.indices, parts.indices)
    assert np.array_equal(whole.data, parts.data)
