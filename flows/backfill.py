"""History through the stream's own states: point-in-time rows of every view, for training.

The rows of ``user_features`` and ``item_features`` are written after every moment at which the entity had an
event, so a point-in-time join at time t - 1 microsecond finds what serving would have read just before t.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_repo import schema
from feature_repo.erasures import Erasures
from feature_repo.events import Event, Item, UserProfile
from feature_repo.state import CountedState, Row, States
from flows.console import tracked
from flows.event_store import open_event_store
from flows.history_rows import SegmentFavourites, moments, standing_rows
from flows.metadata import MetadataStore
from flows.offline import Erased, ViewWriter, nobody, write_view
from infra.settings import Settings, load_settings


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
    first_us = _first_us(states.items)
    start_us = min(first_us.values(), default=0)
    catalog = standing_rows(((item.item_id, item) for item in items), first_us, start_us)
    counts[schema.ITEM_CATALOG.name] = write_view(folder, schema.ITEM_CATALOG, catalog)
    profiles = standing_rows(((user.user_id, user) for user in users), _first_us(states.users), start_us)
    counts[schema.USER_PROFILE.name] = write_view(folder, schema.USER_PROFILE, profiles, erased)
    counts[schema.SEGMENT_FAVOURITES.name] = write_view(folder, schema.SEGMENT_FAVOURITES, favourites.rows())
    return counts


def _seen_rows(states: States) -> Iterator[tuple[str, int, Row]]:
    # Only the last row: a filter reads it, no model does, and its history would be quadratic in size.
    return ((user_id, state.last_us, state.seen_row()) for user_id, state in states.users.items())


def _first_us(states: Mapping[str, CountedState]) -> dict[str, int]:
    return {entity_id: state.first_us for entity_id, state in states.items()}


if __name__ == "__main__":
    print(backfill())
