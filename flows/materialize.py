"""Offline rows into the online store, as ``feast materialize-incremental`` does it, on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow.parquet as pq
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from feature_repo.erasures import Erasures
from feature_repo.schema import VIEWS
from feature_repo.store import open_store
from flows.remains import remove_all_remains
from infra.redis_url import connect
from infra.settings import Settings, load_settings


@flow(name="materialize", log_prints=True)
def materialize(views: list[str] | None = None) -> str:
    """Write what the offline store has gained since the last run; users who are erased meanwhile do not come back.

    Args:
        views: names of feature views; all when absent.

    Returns:
        The end of the materialized window, ISO 8601.

    Raises:
        ValueError: no view has such a name, or a named view has no rows yet.
    """
    settings, end = load_settings(), datetime.now(UTC)
    rows = offline_rows(settings, views)
    if not rows:
        print(f"{settings.offline_dir} holds no rows yet; the backfill or a training writes them")
    remains = bring_online(settings, list(rows), end) if rows else 0
    create_table_artifact(
        key="materialize",
        table=[{"view": view, "offline rows": count} for view, count in rows.items()],
        description=f"into the online store until {end.isoformat()}; erased users who had come back: {remains}",
    )
    return end.isoformat()


def offline_rows(settings: Settings, views: Sequence[str] | None = None) -> dict[str, int]:
    """Rows in the offline store by view, of all that have a file. Raises ValueError for a named one without."""
    known = [view.name for view in VIEWS]
    if unknown := [name for name in views or () if name not in known]:
        raise ValueError(f"views: {unknown[0]!r} is no feature view; there are {', '.join(known)}")
    files = {name: settings.offline_dir / f"{name}.parquet" for name in views or known}
    if absent := [name for name, file in files.items() if views and not file.exists()]:
        raise ValueError(f"views: {absent[0]} has no rows in {settings.offline_dir}; run the backfill first")
    return {name: pq.read_metadata(file).num_rows for name, file in files.items() if file.exists()}


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10)
def bring_online(settings: Settings, views: list[str], end: datetime) -> int:
    """What is new since Feast's last run, by Feast; then remove what was written of users who were erased meanwhile.

    Returns:
        How many such users there were.
    """
    open_store(settings).materialize_incremental(end_date=end, feature_views=views)
    with connect(settings.redis_url) as client:
        return remove_all_remains(client, Erasures(settings.database_url).erased_since(end))


if __name__ == "__main__":
    materialize()
