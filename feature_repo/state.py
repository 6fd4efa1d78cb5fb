"""UserState and ItemState: THE definition of every streamed feature.

A state takes events one by one (``apply``) and shows them as one row of named features (``row``). The
stream keeps states live, the backfill replays history through the same two methods, and the Feast views
take their field names and types from ``FEATURES``: a feature cannot mean two things.

Counts decay exponentially instead of living in windows (forward decay: Cormode, Shkapenyuk, Srivastava, Xu,
"Forward decay", ICDE 2009): they need no timer, and are exact at any moment. A row holds them as of its newest
event; ``request_features`` carries them on to the clock of the request.

Everything that is summed is an integer, so the order of arrival cannot show, not even in the last bit: a recount
of the same events in any order gives the same state and the same bytes in Redis.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd
from sys import intern
from typing import Any, ClassVar, Literal, NamedTuple

from feature_repo.events import EVENT_TYPES, MICROSECONDS, Event

HALF_LIVES: dict[str, float] = {"1h": 3_600.0, "1d": 86_400.0, "7d": 7 * 86_400.0, "30d": 30 * 86_400.0}
"""Name -> seconds after which an event counts half."""

MAX_RECENT = 50
MAX_SEEN = 5_000

Dtype = Literal["string", "int64", "float32", "strings", "int64s", "float32s"]
Row = dict[str, Any]


class Feature(NamedTuple):
    """A feature's type and how a state shows it."""

    dtype: Dtype
    read: Callable[[Any], Any]
    description: str


def decayed_names() -> list[str]:
    """Names of the decayed counts, in the order in which a state stores them: ``view_1h``, ``view_1d``, ..."""
    return [f"{event_type}_{half_life}" for event_type in EVENT_TYPES for half_life in HALF_LIVES]


_HALF_LIVES_US = tuple(int(seconds * MICROSECONDS) for seconds in HALF_LIVES.values())
_DECAYED = len(EVENT_TYPES) * len(_HALF_LIVES_US)
_TYPE_BIT = {event_type: 1 << n for n, event_type in enumerate(EVENT_TYPES)}
_FIRST_COUNT = {event_type: n * len(_HALF_LIVES_US) for n, event_type in enumerate(EVENT_TYPES)}

# An event weighs 2 ** (its age within an aligned window / half-life) in units of 2 ** -_FRACTION_BITS, cut to an
# integer. The window of the newest event and the one before it are kept: what is left out when a window ends
# has decayed to less than 2 ** -32 of an event, far below what float32 shows.
_WINDOW_BITS = 32
_FRACTION_BITS = 32
_WINDOWS_US = tuple(_WINDOW_BITS * half_life for half_life in _HALF_LIVES_US)
_FINEST_US = gcd(*_WINDOWS_US)  # no window ends between two of its multiples
_VALUE_UNIT = 2.0**32


@lru_cache(4_096)  # the user's and the item's state weigh the same event
def _weights(time_us: int) -> tuple[tuple[int, int], ...]:
    """For each half-life: the number of the window that a time lies in, and what an event of that time weighs."""
    found = []
    for half_life_us, window_us in zip(_HALF_LIVES_US, _WINDOWS_US, strict=True):
        window, into = divmod(time_us, window_us)
        found.append((window, int(2.0 ** (_FRACTION_BITS + into / half_life_us))))
    return tuple(found)


def _decayed_feature(position: int, name: str) -> Feature:
    event_type, half_life = name.rsplit("_", 1)
    return Feature(
        "float32",
        # Most counts of most rows are zero, and rows are made all the time.
        lambda s: s.decayed(position) if s.current[position] or s.previous[position] else 0.0,
        f"{event_type} events as of last_event_us, each worth half after {half_life}",
    )


def _shared_features() -> dict[str, Feature]:
    return {
        "event_count": Feature("int64", lambda s: s.event_count, "all-time number of events"),
        "first_event_us": Feature("int64", lambda s: s.first_us, "oldest event, microseconds since the epoch"),
        "last_event_us": Feature("int64", lambda s: s.last_us, "newest event, microseconds since the epoch"),
        "mean_value": Feature("float32", lambda s: s.mean_value, "mean of the events' values; 0 without any"),
        "value_count": Feature("int64", lambda s: s.value_count, "number of events that had a value"),
        **{name: _decayed_feature(n, name) for n, name in enumerate(decayed_names())},
    }


@dataclass(slots=True)
class CountedState:
    """Counts, times and values of one entity's events."""

    event_count: int = 0
    first_us: int = 0
    last_us: int = 0
    value_count: int = 0
    value_sum: int = 0  # in units of 2 ** -32
    current: list[int] = field(default_factory=lambda: [0] * _DECAYED)  # weights in the window of last_us
    previous: list[int] = field(default_factory=lambda: [0] * _DECAYED)  # and in the one before it

    FEATURES: ClassVar[dict[str, Feature]] = {}

    def apply(self, event: Event) -> None:
        """Take one event in; events may come in any order."""
        time_us = event.time_us
        if self.event_count == 0:
            self.first_us = self.last_us = time_us
        elif time_us > self.last_us:
            self._advance(time_us)
        elif time_us < self.first_us:
            self.first_us = time_us
        self.event_count += 1
        self._weigh(_FIRST_COUNT[event.event_type], time_us)
        if event.value is not None:
            self.value_count += 1
            self.value_sum += round(event.value * _VALUE_UNIT)

    def _advance(self, time_us: int) -> None:
        if time_us // _FINEST_US != self.last_us // _FINEST_US:
            for n, window_us in enumerate(_WINDOWS_US):
                passed = time_us // window_us - self.last_us // window_us
                if passed:
                    for at in range(n, _DECAYED, len(_WINDOWS_US)):
                        self.previous[at] = self.current[at] if passed == 1 else 0
                        self.current[at] = 0
        self.last_us = time_us

    def _weigh(self, first: int, time_us: int) -> None:
        if time_us == self.last_us:  # as nearly always: it lies in the current windows
            for at, (_, weight) in enumerate(_weights(time_us), first):
                self.current[at] += weight
            return
        for n, (window, weight) in enumerate(_weights(time_us)):
            behind = self.last_us // _WINDOWS_US[n] - window
            if behind <= 1:
                weights = self.previous if behind else self.current
                weights[first + n] += weight

    def decayed(self, position: int) -> float:
        """One decayed count as of ``last_us``; ``position`` is that of ``decayed_names``."""
        weight = (self.current[position] << _WINDOW_BITS) + self.previous[position]
        n = position % len(_WINDOWS_US)
        into = self.last_us % _WINDOWS_US[n]
        return float(weight * 2.0 ** -(_FRACTION_BITS + _WINDOW_BITS + into / _HALF_LIVES_US[n]))

    @property
    def mean_value(self) -> float:
        return self.value_sum / self.value_count / _VALUE_UNIT if self.value_count else 0.0

    def row(self) -> Row:
        """The features of this entity as of its newest event."""
        return {name: feature.read(self) for name, feature in self.FEATURES.items()}


@dataclass(slots=True)
class UserState(CountedState):
    """What one user's events say. Lists of one name stand side by side, oldest first; ties by item, type, value."""

    recent_us: array[int] = field(default_factory=lambda: array("q"))
    recent_items: list[str] = field(default_factory=list)
    recent_types: list[str] = field(default_factory=list)
    recent_values: array[float] = field(default_factory=lambda: array("d"))
    seen_us: array[int] = field(default_factory=lambda: array("q"))
    seen_items: list[str] = field(default_factory=list)
    seen_types: array[int] = field(default_factory=lambda: array("B"))

    FEATURES: ClassVar[dict[str, Feature]] = {
        **_shared_features(),
        "recent_items": Feature("strings", lambda s: s.recent_items[:], f"last {MAX_RECENT} items, oldest first"),
        "recent_types": Feature("strings", lambda s: s.recent_types[:], "their event types"),
        "recent_us": Feature("int64s", lambda s: s.recent_us.tolist(), "their times, microseconds since the epoch"),
        "recent_values": Feature("float32s", lambda s: s.recent_values.tolist(), "their values; 0 without one"),
    }
    SEEN_FEATURES: ClassVar[dict[str, Feature]] = {
        "seen_items": Feature(
            "strings",
            lambda s: s.seen_items[:],
            f"last {MAX_SEEN} distinct items, by last time; for the seen-item filter",
        ),
        "seen_us": Feature("int64s", lambda s: s.seen_us.tolist(), "their last times, microseconds since the epoch"),
        "seen_types": Feature(
            "int64s",
            lambda s: s.seen_types.tolist(),
            "the types of all acts on them, a sum of " + ", ".join(f"{bit} {name}" for name, bit in _TYPE_BIT.items()),
        ),
    }

    def apply(self, event: Event) -> None:
        # Not super(): dataclass(slots=True) replaces the class that a bare super() would look up.
        CountedState.apply(self, event)
        time_us, item_id = event.time_us, intern(event.item_id)
        self._remember(time_us, item_id, intern(event.event_type), event.value or 0.0)
        self._meet(time_us, item_id, _TYPE_BIT[event.event_type])

    def _remember(self, time_us: int, item_id: str, event_type: str, value: float) -> None:
        at = _place(self.recent_us, time_us, lambda n: (item_id, event_type, value) < self._recent(n))
        self.recent_us.insert(at, time_us)
        self.recent_items.insert(at, item_id)
        self.recent_types.insert(at, event_type)
        self.recent_values.insert(at, value)
        if len(self.recent_us) > MAX_RECENT:
            del self.recent_us[0], self.recent_items[0], self.recent_types[0], self.recent_values[0]

    def _recent(self, n: int) -> tuple[str, str, float]:
        return self.recent_items[n], self.recent_types[n], self.recent_values[n]

    def _meet(self, time_us: int, item_id: str, types: int) -> None:
        try:
            before = self.seen_items.index(item_id)
        except ValueError:
            pass
        else:
            types |= self.seen_types[before]
            if self.seen_us[before] >= time_us:
                self.seen_types[before] = types
                return
            del self.seen_us[before], self.seen_items[before], self.seen_types[before]
        at = _place(self.seen_us, time_us, lambda n: item_id < self.seen_items[n])
        self.seen_us.insert(at, time_us)
        self.seen_items.insert(at, item_id)
        self.seen_types.insert(at, types)
        if len(self.seen_us) > MAX_SEEN:
            del self.seen_us[0], self.seen_items[0], self.seen_types[0]

    def seen_row(self) -> Row:
        """The seen-item view of this user."""
        return {name: feature.read(self) for name, feature in self.SEEN_FEATURES.items()}


def type_bits(event_types: Iterable[str]) -> int:
    """Event types as ``seen_types`` holds them. Raises KeyError with a type that there is not."""
    return sum(_TYPE_BIT[event_type] for event_type in set(event_types))


def _place(times: array[int], time_us: int, before: Callable[[int], bool]) -> int:
    """Where a time belongs among sorted times; ``before(n)`` says whether it goes before the n-th, an equal one."""
    if not times or time_us > times[-1]:
        return len(times)
    at, end = bisect_left(times, time_us), bisect_right(times, time_us)
    while at < end and not before(at):
        at += 1
    return at


@dataclass(slots=True)
class ItemState(CountedState):
    """What all users' events say of one item."""

    FEATURES: ClassVar[dict[str, Feature]] = _shared_features()


class States:
    """The states of all users and items while a history of events passes."""

    def __init__(self) -> None:
        self.users: dict[str, UserState] = defaultdict(UserState)
        self.items: dict[str, ItemState] = defaultdict(ItemState)

    def apply(self, event: Event) -> None:
        """Take one event in, on both of its sides."""
        self.users[event.user_id].apply(event)
        self.items[event.item_id].apply(event)
