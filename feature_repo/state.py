"""UserState and ItemState: THE definition of every streamed feature.

A state takes events one by one (``apply``) and shows them as one row of named features (``row``). The
stream keeps states live, the backfill replays history through the same two methods, and the Feast views
take their field names and types from ``features()``: a feature cannot mean two things.

Counts decay exponentially instead of living in windows (forward decay: Cormode, Shkapenyuk, Srivastava, Xu,
"Forward decay", ICDE 2009): they merge in any order, need no timer, and are exact at any moment. A row holds
them as of its newest event; ``request_features`` carries them on to the clock of the request.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


_SECONDS = tuple(HALF_LIVES.values())
_FIRST_COUNT = {event_type: n * len(_SECONDS) for n, event_type in enumerate(EVENT_TYPES)}


def _decayed_feature(position: int, name: str) -> Feature:
    event_type, half_life = name.rsplit("_", 1)
    return Feature(
        "float32",
        lambda state: state.decayed[position],
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
    value_sum: float = 0.0
    decayed: list[float] = field(default_factory=lambda: [0.0] * (len(EVENT_TYPES) * len(_SECONDS)))

    FEATURES: ClassVar[dict[str, Feature]] = {}

    def apply(self, event: Event) -> None:
        """Take one event in; events may come in any order."""
        time_us = event.time_us
        if self.event_count == 0:
            self.first_us = self.last_us = time_us
        self._count(event.event_type, time_us)
        self.event_count += 1
        self.first_us = min(self.first_us, time_us)
        if event.value is not None:
            self.value_count += 1
            self.value_sum += event.value

    def _count(self, event_type: str, time_us: int) -> None:
        elapsed = (time_us - self.last_us) / MICROSECONDS
        if elapsed > 0:
            factors = [2.0 ** (-elapsed / seconds) for seconds in _SECONDS]
            self.decayed = [count * factors[n % len(factors)] for n, count in enumerate(self.decayed)]
            self.last_us = time_us
        first = _FIRST_COUNT[event_type]
        for n, seconds in enumerate(_SECONDS):
            self.decayed[first + n] += 1.0 if elapsed >= 0 else 2.0 ** (elapsed / seconds)

    @property
    def mean_value(self) -> float:
        return self.value_sum / self.value_count if self.value_count else 0.0

    @classmethod
    def features(cls) -> Mapping[str, Feature]:
        """Feature name -> type, reader and description, in the order of the row."""
        return cls.FEATURES

    def row(self) -> Row:
        """The features of this entity as of its newest event."""
        return {name: feature.read(self) for name, feature in self.FEATURES.items()}


class Recent(NamedTuple):
    """One remembered act; sorts by time, then by item, so that order of arrival does not matter."""

    time_us: int
    item_id: str
    event_type: str
    value: float


@dataclass(slots=True)
class UserState(CountedState):
    """What one user's events say."""

    recent: list[Recent] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    FEATURES: ClassVar[dict[str, Feature]] = {
        **_shared_features(),
        "recent_items": Feature(
            "strings", lambda s: [r.item_id for r in s.recent], f"last {MAX_RECENT} items, oldest first"
        ),
        "recent_types": Feature("strings", lambda s: [r.event_type for r in s.recent], "their event types"),
        "recent_us": Feature(
            "int64s", lambda s: [r.time_us for r in s.recent], "their times, microseconds since the epoch"
        ),
        "recent_values": Feature("float32s", lambda s: [r.value for r in s.recent], "their values; 0 without one"),
    }
    SEEN_FEATURES: ClassVar[dict[str, Feature]] = {
        "seen_items": Feature(
            "strings", lambda s: list(s.seen), f"last {MAX_SEEN} distinct items, for the seen-item filter"
        ),
    }

    def apply(self, event: Event) -> None:
        # Not super(): dataclass(slots=True) replaces the class that a bare super() would look up.
        CountedState.apply(self, event)
        insort(self.recent, Recent(event.time_us, event.item_id, event.event_type, event.value or 0.0))
        del self.recent[:-MAX_RECENT]
        self.seen[event.item_id] = max(event.time_us, self.seen.get(event.item_id, 0))
        if len(self.seen) > MAX_SEEN:
            del self.seen[min(self.seen, key=lambda item: (self.seen[item], item))]

    def seen_row(self) -> Row:
        """The seen-item view of this user."""
        return {name: feature.read(self) for name, feature in self.SEEN_FEATURES.items()}


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


@dataclass(slots=True)
class Admission:
    """Which events of one user count: each id once, none far behind the newest.

    Ids are remembered as long as lateness is allowed, so a repeat is either known or too late.
    """

    newest_us: int = 0
    ids: dict[str, int] = field(default_factory=dict)

    def verdict(self, event: Event, lateness_s: float) -> Literal["new", "duplicate", "late"]:
        """Judge one event and, when it is new, remember it."""
        horizon = max(self.newest_us, event.time_us) - int(lateness_s * MICROSECONDS)
        if event.time_us < horizon:
            return "late"
        if event.event_id in self.ids:
            return "duplicate"
        self.ids[event.event_id] = event.time_us
        if event.time_us > self.newest_us:
            self.newest_us = event.time_us
            self._forget(horizon)
        return "new"

    def _forget(self, horizon: int) -> None:
        # Ids stand in order of arrival, which is nearly that of time: stop at the first one still needed.
        while self.ids and (oldest := next(iter(self.ids))) and self.ids[oldest] < horizon:
            del self.ids[oldest]
