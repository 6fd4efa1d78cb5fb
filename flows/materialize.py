"""Offline rows into the online store, as ``feast materialize-incremental`` does it, on a schedule."""

from __future__ import annotations

from datetime import UTC, datetime

import redis
from prefect import flow

from feature_repo.erasures import Erasures
from feature_repo.store import open_store
from flows.remains import remove_all_remains
from infra.settings import load_settings


@flow(name="materialize", log_prints=True, retries=2, retry_delay_seconds=10)
def materialize(views: list[str] | None = None) -> str:
    """Write what the offline store has gained since the last run; users who are erased meanwhile do not come back.

    Args:
        views: names of feature views; all when absent.

    Returns:
        The end of the materialized window, ISO 8601.
    """
    settings = load_settings()
    end = datetime.now(UTC)
    open_store(settings).materialize_incremental(end_date=end, feature_views=views)
    with redis.Redis.from_url(settings.redis_url) as client:
        remove_all_remains(client, Erasures(settings.database_url).erased_since(end))
    return end.isoformat()


if __name__ == "__main__":
    materialize()
