"""What a backfill makes of history, apart from who runs it: one process (``flows.backfill``) or Spark's many.

No Prefect and no Spark here: the workers of both import it in a moment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from feature_repo.events import MICROSECONDS, Event, Item, UserProfile
from feature_repo.state import HALF_LIVES, Row

FAVOURITES = 50
FAVOURITES_HALF_LIFE_S = HALF_LIVES["30d"]

NO_LIKING = "remove_from_cart"
"""The type of event that favourites leave out."""


def moments(events: Iterable[Event]) -> Iterator[tuple[int, list[Event]]]:
    """Events grouped by their time: (microseconds since the epoch, events of that time)."""
    for time_us, group in groupby(events, key=lambda event: event.time_us):
        yield time_us, list(group)


def standing_rows(
    entries: Iterable[tuple[str, Item | UserProfile]], first_us: Mapping[str, int], start_us: int
) -> Iterator[tuple[str, int, Row]]:
    """Catalogue entries or profiles, each taken to have held from its entity's first event on.

    The log knows only when an entry was sent, often long after the events; stamped with that time, a
    point-in-time join would deny the model what it is given when it serves.

    Args:
        entries: entity id and entry; of several of one id the last counts.
        first_us: entity id -> its first event.
        start_us: what stands for it where there is none.
    """
    for entity_id, entry in dict(entries).items():
        yield entity_id, first_us.get(entity_id, start_us), entry.row()


class SegmentFavourites:
    """What each segment's users liked lately: decayed counts of (segment, item).

    Args:
        users: the profiles.
        start_us: the oldest event that counts; None: the first that is added.
    """

    def __init__(self, users: Sequence[UserProfile], start_us: int | None = None) -> None:
        self._segments = {user.user_id: user.segments for user in users}
        # Growing weights instead of shrinking counts (forward decay): one sum a pair, divided at the end.
        self._weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._start_us = start_us
        self._last_us = 0

    def add(self, event: Event) -> None:
        """Count one event for each of its user's segments."""
        if event.event_type == NO_LIKING:
            return
        if self._start_us is None:
            self._start_us = event.time_us
        self._last_us = max(self._last_us, event.time_us)
        weight = 2.0 ** ((event.time_us - self._start_us) / MICROSECONDS / FAVOURITES_HALF_LIFE_S)
        for segment in self._segments.get(event.user_id, ()):
            self._weights[segment][event.item_id] += weight

    def rows(self) -> Iterator[tuple[str, int, Row]]:
        """One row a segment, as of the newest event: the items and their shares of the segment's events."""
        for segment, weights in sorted(self._weights.items()):
            total = sum(weights.values())
            best = sorted(weights, key=lambda item_id: (-weights[item_id], item_id))[:FAVOURITES]
            yield segment, self._last_us, {"items": best, "scores": [weights[item_id] / total for item_id in best]}
