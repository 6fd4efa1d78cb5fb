"""The dataflow's keyed steps: a user's and an item's state, and how Bytewax keeps them across restarts."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import fields
from hashlib import blake2b
from typing import Any, NamedTuple

from bytewax.operators import StatefulBatchLogic

from feature_repo.events import Event
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES, USER_SEEN
from feature_repo.state import Admission, ItemState, UserState
from flows.messages import Arrival, DeadLetter, RowWrite

LAYOUT = blake2b(
    repr([[f.name for f in fields(state)] for state in (Admission, UserState, ItemState)]).encode(), digest_size=8
).digest()
"""Stands for the fields of the states. A snapshot of other fields is of no use: states must be built anew."""


class RecoveryError(RuntimeError):
    """The recovery folder was written by other feature definitions; the message says what to do."""


class UserUpdate(NamedTuple):
    """What one batch of a user's events led to."""

    admitted: list[Arrival]
    rows: list[RowWrite]
    late: list[DeadLetter]


class UserLogic(StatefulBatchLogic[Arrival, UserUpdate, bytes]):
    """Admits a user's events, each once, and keeps the user's state."""

    def __init__(self, lateness_s: float, count: Callable[[str], None], snapshot: bytes | None) -> None:
        self._lateness_s = lateness_s
        self._count = count
        self._admission, self._state = _restored(snapshot) or (Admission(), UserState())

    def on_batch(self, values: list[Arrival]) -> tuple[Iterable[UserUpdate], bool]:
        admitted, late = [], []
        for arrival in values:
            event: Event = arrival.message
            verdict = self._admission.verdict(event, self._lateness_s)
            self._count(verdict)
            if verdict == "new":
                self._state.apply(event)
                admitted.append(arrival)
            elif verdict == "late":
                detail = f"timestamp is more than {self._lateness_s:.0f} s behind the user's newest event"
                late.append(DeadLetter(arrival.source, "late", detail))
        rows = self._rows(admitted[-1]) if admitted else []
        return [UserUpdate(admitted, rows, late)], self.RETAIN

    def _rows(self, last: Arrival) -> list[RowWrite]:
        user_id, as_of = last.message.user_id, self._state.last_us
        return [
            RowWrite(USER_FEATURES.name, user_id, self._state.row(), as_of, last.logged_us),
            RowWrite(USER_SEEN.name, user_id, self._state.seen_row(), as_of, last.logged_us),
        ]

    def snapshot(self) -> bytes:
        return _snapshot(self._admission, self._state)


class ItemLogic(StatefulBatchLogic[Arrival, RowWrite, bytes]):
    """Keeps one item's state from admitted events."""

    def __init__(self, snapshot: bytes | None) -> None:
        (self._state,) = _restored(snapshot) or (ItemState(),)

    def on_batch(self, values: list[Arrival]) -> tuple[Iterable[RowWrite], bool]:
        for arrival in values:
            self._state.apply(arrival.message)
        last = values[-1]
        row = RowWrite(ITEM_FEATURES.name, last.message.item_id, self._state.row(), self._state.last_us, last.logged_us)
        return [row], self.RETAIN

    def snapshot(self) -> bytes:
        return _snapshot(self._state)


def _snapshot(*states: Any) -> bytes:
    # Bytewax pickles what it is given, later; bytes are a copy that no further event can change.
    return LAYOUT + pickle.dumps(states, pickle.HIGHEST_PROTOCOL)


def _restored(snapshot: bytes | None) -> tuple[Any, ...] | None:
    if snapshot is None:
        return None
    if not snapshot.startswith(LAYOUT):
        raise RecoveryError(
            "the recovery folder holds states of other feature definitions; remove it and run `python -m flows.replay`"
        )
    states: tuple[Any, ...] = pickle.loads(snapshot[len(LAYOUT) :])
    return states
