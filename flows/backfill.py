"""History through the stream's own states: point-in-time rows of every view, for training.

The rows of ``user_features`` and ``item_features`` are written after every moment at which the entity had an
event, so a point-in-time join at time t - 1 microsecond finds what serving would have read just before t.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_repo import schema
from feature_repo.erasures import Erasures
from feature_repo.events import MICROSECONDS, Event, Item, UserProfile
from feature_repo.state import HALF_LIVES, CountedState, Row, States
from flows.console import tracked
from flows.event_store import open_event_store
from flows.metadata import MetadataStore
from flows.offline import Erased, ViewWriter, nobody, write_view
from infra.settings import Settings, load_settings

FAVOURITES = 50
FAVOURITES_HALF_LIFE_S = HALF_LIVES["30d"]


@flow(name="backfill", log_prints=True)
def backfill() -> dict[str, int]:
    """Rewrite the offline store from the event store and the metadata. Returns rows by view."""
    settings = load_settings()
    rows = rewrite(settings)
    if not rows[schema.USER_FEATURES.name]:
        print(f"EVENT_STORE_URL={settings.event_store_url} holds no event: every view is empty but what was PUT")
    create_table_artifact(
        key="backfill",
        table=[{"view": view, "rows": count} for view, count in rows.items()],
        description=f"rows of the offline store in {settings.offline_dir}",
    )
    return rows


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def rewrite(settings: Settings) -> dict[str, int]:
    """Every view's file anew; a file that cannot be finished stays as it was."""
    erased = erased_from_now_on(settings)
    store, metadata = open_event_store(settings.event_store_url), MetadataStore(settings.database_url)
    events = tracked(store.scan(), "backfill", total=store.count(), unit="events")
    return write_history(settings.offline_dir, events, metadata.items(), metadata.users(), erased)


def erased_from_now_on(settings: Settings) -> Erased:
    """To be called before events are read; then asks who was erased since, and may be among them all the same."""
    began, erasures = datetime.now(UTC), Erasures(settings.database_url)
    return lambda: erasures.erased_since(began).keys()


def moments(events: Iterable[Event]) -> Iterator[tuple[int, list[Event]]]:
    """Events grouped by their time: (microseconds since the epoch, events of that time)."""
    for time_us, group in groupby(events, key=lambda event: event.time_us):
        yield time_us, list(group)


def write_history(
    folder: Path,
    events: Iterable[Event],
    items: Sequence[Item],
    users: Sequence[UserProfile],
    erased: Erased = nobody,
) -> dict[str, int]:
    """Write every view's file.

    Args:
        folder: the offline store's folder.
        events: each event once, in order of time.
        items: the catalogue.
        users: the profiles.
        erased: asked when a view is complete; rows of these users are left out.

    Returns:
        Number of rows by view name, with those that are left out.
    """
    states, favourites = States(), SegmentFavourites(users)
    with ExitStack() as stack:
        user_rows = stack.enter_context(ViewWriter(folder, schema.USER_FEATURES, erased))
        item_rows = stack.enter_context(ViewWriter(folder, schema.ITEM_FEATURES))
        for time_us, group in moments(events):
            for event in group:
                states.apply(event)
                favourites.add(event)
            # One row an entity and time: ties share a timestamp, and a join could not tell them apart.
            for user_id in {event.user_id: None for event in group}:
                user_rows.add(user_id, time_us, states.users[user_id].row())
            for item_id in {event.item_id: None for event in group}:
                item_rows.add(item_id, time_us, states.items[item_id].row())
    counts = {schema.USER_FEATURES.name: user_rows.rows, schema.ITEM_FEATURES.name: item_rows.rows}
    counts[schema.USER_SEEN.name] = write_view(folder, schema.USER_SEEN, _seen_rows(states), erased)
    catalog = _standing_rows({item.item_id: item for item in items}, states.items)
    counts[schema.ITEM_CATALOG.name] = write_view(folder, schema.ITEM_CATALOG, catalog)
    profiles = _standing_rows({user.user_id: user for user in users}, states.users)
    counts[schema.USER_PROFILE.name] = write_view(folder, schema.USER_PROFILE, profiles, erased)
    counts[schema.SEGMENT_FAVOURITES.name] = write_view(folder, schema.SEGMENT_FAVOURITES, favourites.rows())
    return counts


def _seen_rows(states: States) -> Iterator[tuple[str, int, Row]]:
    # Only the last row: a filter reads it, no model does, and its history would be quadratic in size.
    return ((user_id, state.last_us, state.seen_row()) for user_id, state in states.users.items())


def _standing_rows(
    entries: Mapping[str, Item | UserProfile], states: Mapping[str, CountedState]
) -> Iterator[tuple[str, int, Row]]:
    """Catalogue entries or profiles, each taken to have held from its entity's first event on.

    The log knows only when an entry was sent, often long after the events; stamped with that time, a
    point-in-time join would deny the model what it is given when it serves.
    """
    start_us = min((state.first_us for state in states.values()), default=0)
    for entity_id, entry in entries.items():
        state = states.get(entity_id)
        yield entity_id, state.first_us if state else start_us, entry.row()


class SegmentFavourites:
    """What each segment's users liked lately: decayed counts of (segment, item)."""

    def __init__(self, users: Sequence[UserProfile]) -> None:
        self._segments = {user.user_id: user.segments for user in users}
        # Growing weights instead of shrinking counts (forward decay): one sum a pair, divided at the end.
        self._weights: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._start_us: int | None = None
        self._last_us = 0

    def add(self, event: Event) -> None:
        """Count one event for each of its user's segments."""
        if event.event_type == "remove_from_cart":
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


if __name__ == "__main__":
    print(backfill())
