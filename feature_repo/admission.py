"""Which of one user's events count: each id once, none from far behind, none from before an erasure."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from feature_repo.events import MICROSECONDS, Event

DIGEST_SIZE = 16
"""Bytes of an event id's digest (BLAKE2b)."""

Verdict = Literal["new", "duplicate", "late", "erased"]


@dataclass(slots=True)
class Admission:
    """What must be remembered of a user's events to judge the next one.

    Ids are kept, as digests, for as long as lateness is allowed: a repeat is either known or too late. As long as
    nothing is late, what counts does not depend on the order of arrival.
    """

    newest_us: int = 0
    erased_us: int = 0
    ids: dict[bytes, int] = field(default_factory=dict)

    def verdict(self, event: Event, lateness_s: float, stored: bool = False) -> Verdict:
        """Judge one event and, when it is new, remember it.

        Args:
            event: of this admission's user.
            lateness_s: how far behind the newest event another may lie.
            stored: it comes from the event store, in order of time; one that lies further behind was counted before.
        """
        time_us = event.time_us
        if time_us <= self.erased_us:
            return "erased"
        horizon_us = max(self.newest_us, time_us) - int(lateness_s * MICROSECONDS)
        if time_us < horizon_us:
            return "duplicate" if stored else "late"
        digest = blake2b(event.event_id.encode(), digest_size=DIGEST_SIZE).digest()
        if digest in self.ids:
            return "duplicate"
        self.ids[digest] = time_us
        if time_us > self.newest_us:
            self.newest_us = time_us
            self._forget(horizon_us)
        return "new"

    def erase(self, requested_us: int) -> bool:
        """Forget everything up to an erasure, and what came with a clock ahead of it; False: it was done before."""
        if requested_us <= self.erased_us:
            return False
        self.erased_us = max(requested_us, self.newest_us)
        self.newest_us = 0
        self.ids.clear()
        return True

    def _forget(self, horizon_us: int) -> None:
        # Ids stand in order of arrival, which is nearly that of time: stop at the first one still needed.
        while self.ids and (oldest := next(iter(self.ids))) and self.ids[oldest] < horizon_us:
            del self.ids[oldest]
