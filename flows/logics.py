"""The dataflow's keyed steps: a user's and an item's state, and how Bytewax keeps them across restarts."""

from __future__ import annotations

import pickle
import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from sys import intern
from typing import Any

from bytewax.operators import StatefulBatchLogic

from feature_repo.admission import DIGEST_SIZE, Admission
from feature_repo.events import Event, to_us
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES, USER_SEEN
from feature_repo.state import ItemState, UserState
from flows.messages import Arrival, DeadLetter, ErasedBefore, Forgotten, Refresh, RowRemoval, RowWrite, Trail

FIELDS = {state: tuple(f.name for f in fields(state)) for state in (Admission, UserState, ItemState)}
NOT_IN_AN_ID = "\0"
LAYOUT = blake2b(repr(list(FIELDS.values())).encode(), digest_size=8).digest()
"""Stands for the fields of the states. A snapshot of other fields is of no use: states must be built anew."""


class RecoveryError(RuntimeError):
    """The recovery folder was written by other feature definitions; the message says what to do."""


@dataclass(slots=True)
class UserUpdate:
    """What one batch of a user's messages led to, by the step that takes it.

    Attributes:
        items: events that count, and refreshes, for the items' states.
        raw: for the event store, in the order in which it must take them.
        rows: for the online store, in that order too.
        dead: for the dead-letter topic.
    """

    items: list[Arrival] = field(default_factory=list)
    raw: list[Event | Forgotten] = field(default_factory=list)
    rows: list[RowWrite | RowRemoval] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)


class UserLogic(StatefulBatchLogic[Arrival, UserUpdate, bytes]):
    """Admits a user's events, each once, keeps the user's state, and forgets him when he wishes.

    While history is read rows wait for a Refresh: a row must not go back in time, and one write is enough.
    """

    def __init__(self, lateness_s: float, count: Callable[[str], None], snapshot: bytes | None) -> None:
        self._lateness_s = lateness_s
        self._count = count
        self._admission, self._state = Admission(), UserState()
        (self._refreshed,) = _restore(snapshot, self._admission, self._state) or (False,)
        self._shown: Arrival | None = None
        self._trails: tuple[Trail, ...] = ()

    def on_batch(self, values: list[Arrival]) -> tuple[Iterable[UserUpdate], bool]:
        update = UserUpdate()
        self._shown, self._trails = None, ()
        for arrival in values:
            if isinstance(arrival.message, Event):
                self._take(arrival, update)
            elif isinstance(arrival.message, Refresh):
                self._refresh(arrival, update)
            elif isinstance(arrival.message, ErasedBefore):
                self._admission.erased_us = max(self._admission.erased_us, arrival.message.until_us - 1)
            else:
                self._forget(arrival, update)
        if self._shown and self._state.event_count:
            update.rows += self._rows(self._shown)
        return [update], self.RETAIN

    def _take(self, arrival: Arrival, update: UserUpdate) -> None:
        event: Event = arrival.message
        verdict = self._admission.verdict(event, self._lateness_s, arrival.stored)
        self._count(verdict)
        if verdict == "new":
            self._state.apply(event)
            update.items.append(arrival)
            if arrival.trail:
                self._trails += (arrival.trail,)
            if not arrival.stored:
                update.raw.append(event)
            if self._refreshed or not arrival.quiet:
                self._shown = arrival
        elif verdict == "late" and arrival.source:
            detail = f"timestamp is more than {self._lateness_s:.0f} s behind the user's newest event"
            update.dead.append(DeadLetter(arrival.source, "late", detail))
        elif verdict == "duplicate" and arrival.stored and not arrival.quiet:
            self._shown = self._shown or _no_news(event.user_id)
            update.items.append(_no_news(event.user_id, event.item_id))

    def _refresh(self, arrival: Arrival, update: UserUpdate) -> None:
        self._refreshed = True
        if arrival.message.item_id is None:
            self._shown = self._shown or arrival
        else:
            update.items.append(arrival)

    def _forget(self, arrival: Arrival, update: UserUpdate) -> None:
        erasure = arrival.message
        if self._admission.erase(to_us(erasure.requested_at)):
            self._state = UserState()
        update.rows += [RowRemoval(view.name, erasure.user_id) for view in (USER_FEATURES, USER_SEEN)]
        self._shown = _no_news(erasure.user_id)  # what came after the wish, when it is told again
        update.raw.append(Forgotten(erasure.user_id, erasure.erasure_id, self._admission.erased_us + 1))

    def _rows(self, last: Arrival) -> list[RowWrite]:
        user_id, as_of, logged_us = last.message.user_id, self._state.last_us, _news(last)
        return [
            RowWrite(
                USER_FEATURES.name, user_id, self._state.row(), as_of, logged_us, self._trails, _applied(self._trails)
            ),
            RowWrite(USER_SEEN.name, user_id, self._state.seen_row(), as_of, logged_us),
        ]

    def snapshot(self) -> bytes:
        return _snapshot((self._refreshed,), self._admission, self._state)


class ItemLogic(StatefulBatchLogic[Arrival, RowWrite, bytes]):
    """Keeps one item's state from events that count."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._state = ItemState()
        (self._refreshed,) = _restore(snapshot, self._state) or (False,)

    def on_batch(self, values: list[Arrival]) -> tuple[Iterable[RowWrite], bool]:
        shown: Arrival | None = None
        trails: tuple[Trail, ...] = ()
        for arrival in values:
            if isinstance(arrival.message, Event):
                self._state.apply(arrival.message)
                if arrival.trail:
                    trails += (arrival.trail,)
                if self._refreshed or not arrival.quiet:
                    shown = arrival
            else:
                self._refreshed = True
                shown = shown or arrival
        if shown is None or not self._state.event_count:
            return [], self.RETAIN
        item_id, row = shown.message.item_id, self._state.row()
        return [
            RowWrite(ITEM_FEATURES.name, item_id, row, self._state.last_us, _news(shown), trails, _applied(trails))
        ], self.RETAIN

    def snapshot(self) -> bytes:
        return _snapshot((self._refreshed,), self._state)


def _no_news(user_id: str, item_id: str | None = None) -> Arrival:
    return Arrival(Refresh(user_id, item_id), 0)


def _applied(trails: tuple[Trail, ...]) -> int:
    """Now, where somebody wants to know."""
    return time.time_ns() if trails else 0


def _news(arrival: Arrival) -> int:
    """When what a row shows entered the log; 0 when it was known before."""
    return 0 if arrival.stored else arrival.logged_us


def _snapshot(marks: tuple[Any, ...], *states: Any) -> bytes:
    # Bytewax pickles what it is given, later; bytes are a copy that no further event can change.
    values = [[_packed(getattr(state, name)) for name in FIELDS[type(state)]] for state in states]
    return LAYOUT + pickle.dumps((marks, values), pickle.HIGHEST_PROTOCOL)


def _packed(value: Any) -> Any:
    """The value as few objects: pickling many small ones is what a pause for snapshots would consist of."""
    if isinstance(value, array):
        return value.tobytes()
    if isinstance(value, dict):
        return b"".join(value), array("q", value.values()).tobytes()
    if isinstance(value, list) and value and isinstance(value[0], str):
        return NOT_IN_AN_ID.join(value)
    return value


def _unpacked(kept: Any, empty: Any) -> Any:
    if isinstance(empty, array):
        return array(empty.typecode, kept)
    if isinstance(empty, dict):
        digests, times = kept
        return {digests[n * DIGEST_SIZE : (n + 1) * DIGEST_SIZE]: time for n, time in enumerate(array("q", times))}
    if isinstance(empty, list) and isinstance(kept, str):
        return [intern(part) for part in kept.split(NOT_IN_AN_ID)]
    return kept


def _restore(snapshot: bytes | None, *states: Any) -> tuple[Any, ...] | None:
    """Fill new states from a snapshot; return its marks, None without one."""
    if snapshot is None:
        return None
    if not snapshot.startswith(LAYOUT):
        raise RecoveryError(
            "the recovery folder holds states of other feature definitions; remove it and start again: "
            "the dataflow then counts anew from the event store"
        )
    marks, values = pickle.loads(snapshot[len(LAYOUT) :])
    for state, kept in zip(states, values, strict=True):
        for name, value in zip(FIELDS[type(state)], kept, strict=True):
            setattr(state, name, _unpacked(value, getattr(state, name)))
    found: tuple[Any, ...] = marks
    return found
