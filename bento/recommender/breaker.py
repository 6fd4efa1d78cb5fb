"""Circuit breakers: what is known to be away is not asked again by whoever is in a hurry (Nygard, "Release It!", 2007).

``pybreaker`` keeps the states. Each breaker here logs its changes once, and tells Prometheus of them.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import pybreaker

from bento.recommender.metrics import Metrics

log = logging.getLogger(__name__)

FAILURES = 5
"""Failures in a row that open a breaker."""


class Breaker(pybreaker.CircuitBreaker):
    """The breaker of one dependency; ``call(function, ...)`` guards a call, as pybreaker's own does.

    Args:
        name: of the dependency, for logs and metrics.
        metrics: ``dependency_up`` shows the state, ``breaker_opened`` counts.
        reset_s: after it the next call is let through on trial; None: never, whoever looks after it tries.
    """

    def __init__(self, name: str, metrics: Metrics, reset_s: float | None = None) -> None:
        never = 1e9
        super().__init__(FAILURES, never if reset_s is None else reset_s, name=name, listeners=[_Told(name, metrics)])

    @property
    def is_closed(self) -> bool:
        """Whether calls go through."""
        return bool(self.current_state == pybreaker.STATE_CLOSED)

    def report(self, error: Exception | None) -> None:
        """Count a call that was made elsewhere; None: it succeeded."""
        if error is None and not self.fail_counter and self.is_closed:
            return
        with suppress(Exception):
            self.call(_outcome, error)

    def trip(self, reason: str) -> None:
        """Open, unless it is; the reason is logged."""
        if self.current_state != pybreaker.STATE_OPEN:
            log.warning("%s is away: %s", self.name, reason)
            self.open()


def _outcome(error: Exception | None) -> None:
    if error is not None:
        raise error


class _Told(pybreaker.CircuitBreakerListener):
    def __init__(self, name: str, metrics: Metrics) -> None:
        self._name = name
        self._up = metrics.dependency_up.labels(name)
        self._opened = metrics.breaker_opened.labels(name)
        self._up.set(1)

    def state_change(self, _: Any, old: Any, new: Any) -> None:
        if old is None or old.name == new.name:
            return
        if new.name == pybreaker.STATE_CLOSED:
            self._up.set(1)
            log.info("%s is asked again", self._name)
        elif new.name == pybreaker.STATE_OPEN and old.name == pybreaker.STATE_CLOSED:
            self._up.set(0)
            self._opened.inc()
            log.warning("nobody waits for %s until it answers again", self._name)
