"""Statistics of experiments: against the textbook, and against chance by a short simulation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sequential import POPULATIONS, decided_at, false_positives, simulate
from models.metrics import half_widths
from models.sequential import MIN_USERS, compare, fixed_p_value, moments_of, rate


def test_a_rate_is_a_mean_over_lists_with_an_interval_clustered_by_user() -> None:
    random = np.random.default_rng(0)
    users = random.integers(40, size=2_000)
    clicked = (random.random(2_000) < 0.1 + 0.2 * (users % 2)).astype(float)
    lists, total = np.bincount(users, minlength=40), np.bincount(users, clicked, minlength=40)
    found = rate(moments_of(lists, total, total))
    assert found.mean == pytest.approx(clicked.mean())
    (expected,) = half_widths(clicked[:, None], users)
    assert (found.high - found.low) / 2 == pytest.approx(expected * np.sqrt(40 / 39), rel=1e-4)


@pytest.mark.parametrize(("lists", "total"), [([], []), ([5], [2]), ([5, 5], [0, 0]), ([5, 5], [5, 5])])
def test_where_nothing_is_known_the_interval_says_so(lists: list[int], total: list[int]) -> None:
    found = rate(moments_of(lists, total, total))
    assert (found.low, found.high) == (0, 1)


def _alike(users: int, lists: int, clicked: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users with as many lists each, ``clicked`` of all lists with a click, as evenly as can be."""
    hits = np.full(users, clicked // users) + (np.arange(users) < clicked % users)
    return np.full(users, lists), hits, hits


def test_the_interval_is_that_of_theorem_2_2() -> None:
    """Every user one list: time is then the number of lists."""
    control, variant = moments_of(*_alike(4_000, 1, 400)), moments_of(*_alike(4_000, 1, 480))
    found = compare(variant, control)
    variance = (0.1 * 0.9 + 0.12 * 0.88) / 3_999
    pooled = 0.11 * 0.89
    time = variance * 2_000**2 / pooled
    rho2 = (-2 * np.log(0.05) + np.log(-2 * np.log(0.05) + 1)) / 2_000
    spread = np.sqrt(variance * time) * np.sqrt(
        2 * (time * rho2 + 1) / (time**2 * rho2) * np.log(np.sqrt(time * rho2 + 1) / 0.05)
    )
    assert time == pytest.approx(2_000, rel=0.01)
    assert (found.low, found.high) == pytest.approx((0.02 - spread, 0.02 + spread))


@pytest.mark.parametrize("clicked", range(400, 560, 20))
def test_p_value_and_interval_say_the_same(clicked: int) -> None:
    control, variant = moments_of(*_alike(400, 10, 400)), moments_of(*_alike(400, 10, clicked))
    found = compare(variant, control)
    assert (found.p_value < 0.05) == (found.low > 0)
    assert found.p_value >= fixed_p_value(variant, control), "looking any time has its price"


def test_too_few_users_say_nothing_however_many_lists_they_have() -> None:
    few = moments_of(*_alike(MIN_USERS - 1, 1_000, 1_000))
    assert compare(few, moments_of(*_alike(500, 100, 20_000))).p_value == 1
    lists = np.array([1] * 500 + [100_000])
    one_has_most = moments_of(lists, lists * 0.5, lists * 0.5)
    found = compare(one_has_most, moments_of(*_alike(500, 100, 20_000)))
    assert (found.p_value, found.low, found.high) == (1, -1, 1)


def test_looking_a_hundred_times_finds_nothing_where_there_is_nothing() -> None:
    both = POPULATIONS[3]
    found = simulate(both, 0.0, experiments=100)
    share, error = false_positives(found.sequential)
    assert share <= 0.05 + 2 * error
    assert false_positives(found.fixed)[0] > 0.1, "the same looks at a z-test do find something"


def test_a_difference_is_found() -> None:
    found = simulate(POPULATIONS[0], 0.3, experiments=30)
    assert np.isfinite(decided_at(found.sequential)).all()
