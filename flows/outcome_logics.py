"""The join of lists and acts: what each list has led to, kept until its attribution window is over.

Times are those at which messages entered the log, so that reading them again joins them alike, whatever clocks
clients have.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate

from bytewax.operators import StatefulBatchLogic

from feature_repo.events import MICROSECONDS
from flows.outcome_messages import CART, Act, Listed
from models.outcome_store import Outcome

GRACE_S = 60.0
"""How long after its arrival here a list is waited for at least, however old it is: the other topic may be behind."""

_DISCOUNT = [1 / math.log2(place + 2) for place in range(10)]
_IDEAL = list(accumulate(_DISCOUNT))

Count = Callable[[str], None]
"""Told what became of an act: joined, early (and joined), late, foreign or duplicate."""


@dataclass(slots=True)
class _List:
    head: Listed | None = None
    places: dict[str, int] = field(default_factory=dict)

    def take(self, page: Listed) -> bool:
        """Take a page in; whether it says anything new."""
        before = len(self.places), self.head
        if page.offset == 0:
            self.head = page
        for place, item_id in enumerate(page.item_ids, page.offset):
            self.places.setdefault(item_id, place)
        return before != (len(self.places), self.head)


class OutcomeLogic(StatefulBatchLogic[Listed | Act, Outcome, bytes]):
    """Joins one recommendation id's lists, the shown one and its shadows, with the acts that name it.

    Args:
        window_s: how long after the shown list an act counts; as long an act waits for its list.
        count: told what became of each act.
        open_states: told of every state that begins (1) and ends (-1).
    """

    def __init__(self, window_s: float, count: Count, open_states: Callable[[int], None], snapshot: bytes | None):
        self._window_us = round(window_s * MICROSECONDS)
        self._grace_us = round(min(window_s, GRACE_S) * MICROSECONDS)
        self._count, self._open_states = count, open_states
        self._lists: dict[str, _List] = {}
        self._acts: dict[str, int] = {}
        self._waiting: list[Act] = []
        self._seen: set[str] = set()
        self._begun_us = 0
        if snapshot is not None:
            lists, self._acts, self._waiting, self._seen, self._begun_us = pickle.loads(snapshot)
            self._lists = {shadow: _List(*parts) for shadow, parts in lists.items()}
        self._due_us = _now_us() + self._grace_us
        open_states(1)

    @property
    def _shown(self) -> _List | None:
        found = self._lists.get("")
        return found if found and found.head else None

    def on_batch(self, values: list[Listed | Act]) -> tuple[Iterable[Outcome], bool]:
        changed = False
        for value in values:
            self._begun_us = self._begun_us or value.logged_us
            changed |= self._list(value) if isinstance(value, Listed) else self._act(value)
        return (list(self._outcomes(final=False)) if changed else []), self.RETAIN

    def _list(self, page: Listed) -> bool:
        changed = self._lists.setdefault(page.shadow, _List()).take(page)
        if self._shown and self._waiting:
            waiting, self._waiting = self._waiting, []
            for act in waiting:
                self._join(act, "early")
        return changed

    def _act(self, act: Act) -> bool:
        if act.event_id in self._seen:
            self._count("duplicate")
            return False
        self._seen.add(act.event_id)
        if self._shown is None:
            self._waiting.append(act)
            return False
        return self._join(act, "joined")

    def _join(self, act: Act, verdict: str) -> bool:
        shown = self._shown
        assert shown is not None and shown.head is not None
        if act.logged_us > shown.head.logged_us + self._window_us:
            self._count("late")
        elif act.user_key != shown.head.user_key:
            self._count("foreign")
        else:
            self._count(verdict)
            # One on no item of the list may be on a page that is still to come: told at the end.
            self._acts[act.item_id] = max(act.label, self._acts.get(act.item_id, 0))
            return True
        return False

    def on_notify(self) -> tuple[Iterable[Outcome], bool]:
        last = list(self._outcomes(final=True))
        for _ in self._waiting:
            self._count("late")  # or its list was never logged
        if shown := self._shown:
            for item_id in self._acts:
                if item_id not in shown.places:
                    self._count("foreign")
        self._open_states(-1)
        return last, self.DISCARD

    def notify_at(self) -> datetime | None:
        shown = self._shown
        begun_us = shown.head.logged_us if shown and shown.head else self._begun_us
        due_us = max(begun_us + self._window_us, self._due_us)
        return datetime.fromtimestamp(due_us / MICROSECONDS, UTC)

    def _outcomes(self, final: bool) -> Iterator[Outcome]:
        """Rows of all lists; none before the shown one is known, whose acts they are all judged by."""
        shown = self._shown
        if shown is None:
            return
        acts = {item_id: label for item_id, label in self._acts.items() if item_id in shown.places}
        for shadow, each in self._lists.items():
            if each.head is not None:
                yield _outcome(each.head, shadow, each.places, acts, final)

    def snapshot(self) -> bytes:
        lists = {shadow: (each.head, each.places) for shadow, each in self._lists.items()}
        state = (lists, self._acts, self._waiting, self._seen, self._begun_us)
        return pickle.dumps(state, pickle.HIGHEST_PROTOCOL)


def _outcome(head: Listed, shadow: str, places: dict[str, int], acts: dict[str, int], final: bool) -> Outcome:
    labels = {item_id: label for item_id, label in acts.items() if item_id in places}
    return Outcome(
        head.recommendation_id,
        shadow,
        head.user_key,
        head.time_us,
        head.model_version,
        head.registered_version,
        head.variant,
        head.experiments if shadow == "" else {},
        len(places),
        len(labels),
        sum(label >= CART for label in labels.values()),
        ndcg_at_10([places[item_id] for item_id in labels], len(acts)),
        labels,
        final,
    )


def ndcg_at_10(places: Iterable[int], relevant: int) -> float:
    """NDCG@10 with gain 1, as ``models.metrics.judge`` defines it: of hits at some places, from 0, of all relevant."""
    if not relevant:
        return 0.0
    return sum(_DISCOUNT[place] for place in places if place < 10) / _IDEAL[min(relevant, 10) - 1]


def _now_us() -> int:
    return time.time_ns() // 1_000
