"""Offline rows into the online store, as ``feast materialize-incremental`` does it, on a schedule."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow

from feature_repo.store import open_store
from infra.settings import load_settings


@flow(name="materialize", log_prints=True, retries=2, retry_delay_seconds=10)
def materialize(views: list[str] | None = None) -> str:
    """Write what the offline store has gained since the last run.

    Args:
        views: names of feature views; all when absent.

    Returns:
        The end of the materialized window, ISO 8601.
    """
    store = open_store(load_settings())
    end = datetime.now(UTC)
    store.materialize_incremental(end_date=end, feature_views=views)
    return end.isoformat()


if __name__ == "__main__":
    materialize()
