"""What an answer of a model may not be, and when a release counts as slow."""

from __future__ import annotations

import numpy as np
import pytest

from bento.recommender.guard import ENOUGH, LOOK_EVERY, PAIRS, WINDOW, Guard, Limits, flaw

LIMITS = Limits(ratio=3.0, most_s=1.0)


@pytest.mark.parametrize(
    ("numbers", "scores", "wrong"),
    [
        ([0, 4], [1.0, 0.5], None),
        ([], [], None),
        ([0, 1], [3e38, 3e38], None),
        ([0, 1], [1.0, np.nan], "1 of 2 scores are no finite numbers"),
        ([0, 1], [np.inf, -np.inf], "2 of 2 scores are no finite numbers"),
        ([0, 5], [1.0, 0.5], "item numbers outside the table of 5 items"),
        ([-1, 0], [1.0, 0.5], "item numbers outside the table of 5 items"),
        ([0, 1], [1.0], "1 scores for 2 items"),
    ],
)
def test_a_list_has_a_finite_score_for_every_item_of_the_table(
    numbers: list[int], scores: list[float], wrong: str | None
) -> None:
    assert flaw(np.array(numbers, np.intp), np.array(scores, np.float32), 5) == wrong


def beside(theirs_s: float, count: int = WINDOW) -> Guard:
    """A guard that compares with another of so many answers."""
    guard, other = Guard(), Guard()
    for _ in range(count):
        other.took(theirs_s, LIMITS)
    guard.compare_with(other)
    return guard


def doubted_after(guard: Guard, seconds: float, most: int = 200) -> int | None:
    """Answers of a time until one is to be compared; None: never."""
    return next((n for n in range(1, most + 1) if guard.took(seconds, LIMITS)), None)


def test_a_doubt_takes_enough_answers_of_both() -> None:
    assert doubted_after(beside(0.001), 0.0031) == -(-ENOUGH // LOOK_EVERY) * LOOK_EVERY
    assert doubted_after(beside(0.001), 0.0029) is None
    assert doubted_after(beside(0.001, count=ENOUGH - 1), 0.5) is None
    assert doubted_after(Guard(), 0.5) is None, "there is nothing to compare with"


def test_a_few_slow_answers_among_many_raise_no_doubt() -> None:
    guard, draw = beside(0.001), np.random.default_rng(7)
    assert not any(guard.took(0.5 if draw.random() < 0.2 else 0.001, LIMITS) for _ in range(500))


def test_the_same_requests_settle_a_doubt_either_way() -> None:
    slow = beside(0.001)
    assert doubted_after(slow, 0.01)
    told = [slow.settled(0.01, 0.001, LIMITS) for _ in range(PAIRS)]
    assert told[:-1] == [None] * (PAIRS - 1)
    assert told[-1] == (
        "a request takes 10.00 ms, by the release before 1.00 ms: more than 3 times as long (FRESHET_CANARY_SLOW_RATIO)"
    )
    unlucky = beside(0.001)
    assert doubted_after(unlucky, 0.01)
    assert [unlucky.settled(0.01, 0.009, LIMITS) for _ in range(PAIRS)] == [None] * PAIRS, "its users ask for more"
    assert not unlucky.took(0.01, LIMITS), "what was settled is doubted only by new answers"
    assert doubted_after(unlucky, 0.01) is not None


def test_one_answer_beyond_all_patience_is_enough() -> None:
    guard = beside(0.001)
    assert guard.took(1.5, LIMITS)
    assert guard.settled(1.5, 0.001, LIMITS) == "an answer took 1500 ms, by the release before 1.0 ms"
    assert guard.settled(1.5, 1.2, LIMITS) is None, "a request that takes that long anywhere"
