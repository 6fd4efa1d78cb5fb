"""The join of lists and acts, step by step."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from flows.outcome_logics import OutcomeLogic, ndcg_at_10
from flows.outcome_messages import BOUGHT, CART, CLICK, Act, Listed
from models.metrics import judge, numbers_of, truth_of
from models.outcome_store import Outcome

NOW_US = time.time_ns() // 1_000
WINDOW_S = 100.0
SECOND_US = 1_000_000


class Join:
    """One recommendation id's state, and what it has counted."""

    def __init__(self, snapshot: bytes | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.open = 0
        self.logic = OutcomeLogic(WINDOW_S, lambda result: self.counts.update([result]), self._opened, snapshot)

    def _opened(self, by: int) -> None:
        self.open += by

    def take(self, *values: Listed | Act) -> list[Outcome]:
        rows, discard = self.logic.on_batch(list(values))
        assert not discard
        return list(rows)

    def end(self) -> list[Outcome]:
        rows, discard = self.logic.on_notify()
        assert discard
        return list(rows)


def listed(*item_ids: str, shadow: str = "", offset: int = 0, after_s: float = 0.0) -> Listed:
    logged_us = NOW_US + round(after_s * SECOND_US)
    head = ("r", shadow, "ann", NOW_US, logged_us, "m", "1", "champion", {"e": "v"})
    return Listed(*head, offset, item_ids or ("a", "b", "c"))


def act(item_id: str, label: int = CLICK, user: str = "ann", after_s: float = 1.0, number: int = 0) -> Act:
    event_id = f"{item_id}-{label}-{number}"
    return Act("r", event_id, user, item_id, label, NOW_US + round(after_s * SECOND_US))


def figures(rows: list[Outcome]) -> list[tuple[str, int, int, dict[str, int]]]:
    return [(row.shadow, row.clicks, row.conversions, dict(row.labels)) for row in rows]


def test_a_list_is_a_row_at_once_and_again_with_every_act() -> None:
    join = Join()
    assert figures(join.take(listed())) == [("", 0, 0, {})]
    assert figures(join.take(act("b"))) == [("", 1, 0, {"b": CLICK})]
    assert figures(join.take(act("b", BOUGHT), act("c", CART))) == [("", 2, 2, {"b": BOUGHT, "c": CART})]
    (last,) = join.end()
    assert last.final
    assert last.labels == {"b": BOUGHT, "c": CART}
    assert join.open == 0


def test_an_act_may_come_before_its_list() -> None:
    join = Join()
    assert join.take(act("a", after_s=-0.1)) == []
    assert figures(join.take(listed())) == [("", 1, 0, {"a": CLICK})]
    assert join.counts == {"early": 1}


def test_an_act_without_a_list_is_late_in_the_end() -> None:
    join = Join()
    join.take(act("a"))
    assert join.end() == []
    assert join.counts == {"late": 1}


def test_an_act_after_the_window_is_counted_and_not_joined() -> None:
    join = Join()
    join.take(listed())
    assert join.take(act("a", after_s=WINDOW_S + 1)) == []
    assert figures(join.end()) == [("", 0, 0, {})]
    assert join.counts == {"late": 1}


def test_a_repeat_changes_nothing() -> None:
    join = Join()
    join.take(listed(), act("a"))
    assert join.take(act("a"), listed()) == []
    assert join.counts == {"joined": 1, "duplicate": 1}


def test_a_weaker_act_does_not_take_back_a_stronger_one() -> None:
    join = Join()
    join.take(listed(), act("a", BOUGHT))
    assert figures(join.take(act("a", CLICK))) == [("", 1, 1, {"a": BOUGHT})]


def test_what_was_not_shown_and_whom_it_was_not_shown_is_foreign() -> None:
    join = Join()
    join.take(listed())
    join.take(act("x"))
    assert figures(join.take(act("a", user="bob"), act("b"))) == [("", 1, 0, {"b": CLICK})]
    join.end()
    assert join.counts == {"joined": 2, "foreign": 2}


def test_a_page_adds_its_items_and_an_act_may_come_before_it() -> None:
    join = Join()
    join.take(listed(), act("d"))
    (row,) = join.take(listed("d", "e", offset=3))
    assert (row.items, row.clicks) == (5, 1)
    assert row.ndcg == pytest.approx(1 / 2.321928), "it stood in the fourth place"


def test_a_page_alone_is_no_row() -> None:
    join = Join()
    assert join.take(listed("d", offset=3)) == []
    assert join.end() == []


def test_a_shadow_is_judged_by_acts_on_what_was_shown() -> None:
    join = Join()
    assert join.take(listed("b", "x", "a", shadow="e:s"), act("x"), act("a")) == []
    shown, shadow = sorted(join.take(listed()), key=lambda row: row.shadow)
    assert (shown.clicks, shown.ndcg, shown.experiments) == (1, 1.0, {"e": "v"})
    assert (shadow.clicks, shadow.ndcg, shadow.experiments) == (1, 0.5, {})


def test_a_state_goes_on_after_a_restart() -> None:
    join = Join()
    join.take(listed(), listed("c", shadow="e:s"), act("a"))
    again = Join(join.logic.snapshot())
    again.take(act("a"), act("c"))
    assert again.counts == {"duplicate": 1, "joined": 1}
    assert figures(again.end()) == [("", 2, 0, {"a": CLICK, "c": CLICK}), ("e:s", 1, 0, {"c": CLICK})]


def test_the_window_ends_with_the_list_but_leaves_the_other_topic_time_to_catch_up() -> None:
    join, since_s = Join(), time.time() - NOW_US / SECOND_US
    join.take(listed(after_s=since_s))
    ends = datetime.fromtimestamp(NOW_US / SECOND_US + since_s, UTC) + timedelta(seconds=WINDOW_S)
    assert abs(join.logic.notify_at() - ends) < timedelta(milliseconds=1)
    old = Join()
    old.take(listed(after_s=-1_000))
    assert old.logic.notify_at() > datetime.now(UTC) + timedelta(seconds=30)


def test_ndcg_is_that_of_the_evaluation() -> None:
    items = [f"i{n}" for n in range(12)]
    index = {item: n for n, item in enumerate(items)}
    for places in ([0], [1, 4], [0, 11], [3, 10], list(range(12))):
        truth = truth_of([[items[place] for place in places]], index)
        expected = judge(numbers_of([items], index), truth)[0, 0]
        assert ndcg_at_10(places, len(places)) == pytest.approx(expected)
    assert ndcg_at_10([], 0) == 0
