"""The releases in memory and who answers whom: every change is one assignment, between two requests."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from bento.recommender.ask import Ask
from bento.recommender.canary import Canary
from bento.recommender.catalog import Catalog
from bento.recommender.metrics import Metrics
from bento.recommender.release import Release


class Left(NamedTuple):
    """The version that was left, and the one that serves instead; None: the champion goes on as before."""

    version: str
    serves: str | None


class Standing:
    """Which releases there are.

    Args:
        alias: that the serving release goes by.
        first: the release that answers at first.

    Attributes:
        current: the release that answers all but the canary's users; replaced as a whole.
        canary: the release on trial; None: none.
        previous: the release to go back to; None: none is in memory.
        refused: registry version -> why it was not served or was left.
        turned_down: the version that is not followed although the alias names it.
    """

    def __init__(self, alias: str, first: Release, metrics: Metrics) -> None:
        self.current = first
        self.canary: Canary | None = None
        self.previous: Release | None = None
        self.refused: Mapping[str, str] = {}
        self.turned_down: str | None = None
        self._alias = alias
        self._metrics = metrics
        self._named: Mapping[str, Release] = {}
        self._lock = threading.Lock()  # requests only read; they report faults, though

    def serving(self, ask: Ask) -> Release:
        """The release that answers whoever asks. Sessions without a user and replays take no part in a trial."""
        canary = self.canary
        if canary is None or ask.events is not None or ask.clock_us is not None or not canary.takes(ask.user_id):
            return self.current
        self._metrics.canary_answers.inc()
        return canary.release

    def named(self, alias: str) -> Release | None:
        """The release of an alias that is wanted; None while there is none."""
        return self.current if alias == self._alias else self._named.get(alias)

    def beside(self, release: Release) -> Release | None:
        """The release that answers where this one's answer is bad; None: there is none."""
        current = self.current
        return self.previous if release.is_same_as(current) else current

    def followed(self) -> dict[str, str | None]:
        """Alias -> version, of those that experiments want."""
        return {alias: release.registered for alias, release in self._named.items()}

    def catalogs(self) -> list[Catalog]:
        """The item tables in memory, each once; the one that serves first."""
        return list(dict.fromkeys(release.catalog for release in self._held()))

    def in_memory(self, version: str) -> Release | None:
        """A release of this version, under whatever alias."""
        return next((each for each in self._held() if each.registered == version), None)

    def _held(self) -> Iterator[Release]:
        yield self.current
        if (canary := self.canary) is not None:
            yield canary.release
        if (previous := self.previous) is not None:
            yield previous
        yield from self._named.values()

    # Changes

    def begin_with(self, release: Release) -> None:
        """Let the first release answer all."""
        with self._lock:
            self._answer_by(release)

    def try_out(self, canary: Canary) -> None:
        """Let a release answer its share of the users."""
        with self._lock:
            self.canary = canary
            self._metrics.show_canary(canary.release.version)
            gc.freeze()

    def end_trial(self, canary: Canary) -> None:
        """Forget a release on trial, if it still is."""
        with self._lock:
            if self.canary is canary:
                self._forget_canary()

    def take(self, release: Release, canary: Canary | None = None) -> bool:
        """Let a release answer all, and keep the one before; not when it was left on trial meanwhile."""
        with self._lock:
            if self.canary is not canary:
                return False
            before = self.current
            before.guard.compare_with(None)
            self.previous = before
            self._answer_by(replace(release, variant=self._alias))
            self._forget_canary()
            self.refused = {version: why for version, why in self.refused.items() if version != release.registered}
            return True

    def return_to(self, previous: Release, *, keeps: str | None) -> bool:
        """Let the release before answer again, if it is still the one; the other is kept if it is of a version."""
        with self._lock:
            if self.previous is not previous:
                return False
            left = self.current
            self._answer_by(previous)
            self.previous = left if keeps is not None and keeps == left.registered else None
            return True

    def hold(self, release: Release) -> None:
        """Keep a release to go back to, where there is none."""
        with self._lock:
            if self.previous is None and self.current.registered not in (None, release.registered):
                self.previous = release

    def name(self, alias: str, release: Release | None) -> None:
        """Keep a release for an alias; None: none."""
        with self._lock:
            others = {name: each for name, each in self._named.items() if name != alias}
            self._named = others if release is None else others | {alias: release}

    def note(self, version: str, reason: str, *, follows: bool = True) -> None:
        """Write down why a version is not served. ``follows``: whether the champion alias names it."""
        with self._lock:
            self._note(version, reason, follows)

    def leave(self, release: Release, reason: str) -> Left | None:
        """Let the release before answer instead; None: it was left already, or there is none before."""
        version = release.registered
        if version is None:
            return None
        with self._lock:
            if self.canary is not None and release.is_same_as(self.canary.release):
                self._note(version, reason, True)
                self._forget_canary()
                return Left(version, self.current.registered)
            if self.previous is not None and release.is_same_as(self.current):
                self._note(version, reason, True)
                self._answer_by(self.previous)
                self.previous = None
                return Left(version, self.current.registered)
            if any(release.is_same_as(each) for each in self._named.values()):
                self._note(version, reason, False)
                return Left(version, None)
            return None

    def _note(self, version: str, reason: str, follows: bool) -> None:
        if follows:
            self.turned_down = version
        self.refused = {**self.refused, version: reason}
        self._named = {alias: each for alias, each in self._named.items() if each.registered != version}

    def _answer_by(self, release: Release) -> None:
        self.current = release
        self._metrics.show_release(release.version, release.variant)
        # Out of the collector's sight, without collecting: that would stop the requests.
        gc.freeze()

    def _forget_canary(self) -> None:
        self.canary = None
        self._metrics.show_canary(None)
