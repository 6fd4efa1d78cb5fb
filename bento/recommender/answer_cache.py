"""Answers to the same question of the same user, asked again while nothing has changed.

An answer is given again only if the user's rows, which are read first, are the same bytes, the same release is served,
and the clock, cut to ``clock_s``, has not moved on: so it is never older than the user's last act, and what changed in
the catalogue shows after ``clock_s``.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import fields
from operator import attrgetter
from typing import NamedTuple

from bento.recommender.ask import Ask, Choice, Json
from bento.recommender.metrics import Metrics
from bento.recommender.release import Release
from bento.recommender.visitors import Visitor
from feature_repo.events import MICROSECONDS

# Everything that the answer may depend on, save how long it may take.
_QUESTION = attrgetter(*(field.name for field in fields(Ask) if field.name != "timeout_ms"))


class Chosen(NamedTuple):
    """What is shown to a visitor, before it gets its id and its time; ``time_us`` is the clock that it was made by."""

    choice: Choice
    items: list[Json]
    time_us: int


class _Kept(NamedTuple):
    chosen: Chosen
    release: weakref.ref[Release]
    version: bytes
    live: bool
    tick: int


class AnswerCache:
    """The answers made last.

    Args:
        size: most answers; the one made longest ago makes room. 0: none.
        clock_s: how long an answer may be given.
        metrics: ``answer_cache`` counts hits and misses.
    """

    def __init__(self, size: int, clock_s: float, metrics: Metrics) -> None:
        self._size, self._clock_us = size, clock_s * MICROSECONDS
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._hit, self._miss = (metrics.answer_cache.labels(outcome) for outcome in ("hit", "miss"))

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, ask: Ask, visitor: Visitor, release: Release, now_us: int) -> Chosen | None:
        """The answer, if it was made within the same tick for the same rows and release."""
        if not self._takes(ask, visitor):
            return None
        kept = self._kept.get(_key(ask, release))
        if (
            kept is None
            or kept.release() is not release
            or kept[2:] != (visitor.version, visitor.live, self._tick(now_us))
        ):
            self._miss.inc()
            return None
        self._hit.inc()
        return kept.chosen

    def put(self, ask: Ask, visitor: Visitor, release: Release, now_us: int, chosen: Chosen) -> None:
        """Remember an answer of a release; it is not to be changed afterwards."""
        if not self._takes(ask, visitor) or visitor.version is None:
            return
        key, tick = _key(ask, release), self._tick(now_us)
        self._kept[key] = _Kept(chosen, weakref.ref(release), visitor.version, visitor.live, tick)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size or next(iter(self._kept.values())).tick < tick:
            self._kept.popitem(last=False)

    def _takes(self, ask: Ask, visitor: Visitor) -> bool:
        """Not what has a clock of its own, is not stored, or is wanted with its reasons."""
        asked = ask.clock_us is None and ask.events is None and not ask.explain
        return asked and self._size > 0 and visitor.version is not None

    def _tick(self, now_us: int) -> int:
        return int(now_us // self._clock_us)


def _key(ask: Ask, release: Release) -> Hashable:
    question = (tuple(value) if isinstance(value, list) else value for value in _QUESTION(ask))
    return (id(release), *question)
