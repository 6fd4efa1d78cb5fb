"""Rows that no stream keeps, from the offline store into Redis without Feast: ``python -m flows.batch_views``.

``feast materialize-incremental`` brings only what is new since its last run, which it remembers: rows that Redis
lost do not come back by it. The embedded stack does this at each start, ``flows.replay`` when it replays everything.
"""

from __future__ import annotations

import pyarrow.parquet as pq

from feature_repo.online import OnlineStore
from feature_repo.schema import SEGMENT_FAVOURITES, TIMESTAMP, View
from feature_repo.state import Row
from infra.redis_url import connect
from infra.settings import Settings, load_settings

BATCH_VIEWS = (SEGMENT_FAVOURITES,)


def restore_batch_views(settings: Settings) -> int:
    """Write the newest offline row of every entity of the batch views. Returns the number of rows."""
    with connect(settings.redis_url) as client:
        store = OnlineStore(client, BATCH_VIEWS)
        return store.write({view.name: _newest(settings, view) for view in BATCH_VIEWS})


def _newest(settings: Settings, view: View) -> dict[str, tuple[Row, int]]:
    path = settings.offline_dir / f"{view.name}.parquet"
    if not path.exists():
        return {}
    table = pq.read_table(path).sort_by(TIMESTAMP)
    times = table[TIMESTAMP].cast("int64").to_pylist()  # microseconds since the epoch
    entities = table[view.entity].to_pylist()
    rows = table.select(list(view.fields)).to_pylist()
    return {entity: (row, time_us) for entity, row, time_us in zip(entities, rows, times, strict=True)}


if __name__ == "__main__":
    print(f"wrote {restore_batch_views(load_settings())} rows")
