"""Served rows at rest: Parquet files below one folder, ``day=YYYY-MM-DD/<name>.parquet`` by the UTC day of a list.

Files appear whole. ``served.lock`` is held by whoever publishes, merges or forgets, and rows that are published lose
erased users then, so that nobody who was forgotten comes back with what had waited in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_repo.events import MICROSECONDS
from flows.event_segments import locked, unique_name
from flows.outcome_messages import Served
from infra.settings import Settings

SCHEMA = pa.schema(
    [
        ("recommendation_id", pa.string()),
        ("user_key", pa.string()),
        ("item_id", pa.string()),
        ("position", pa.int64()),
        ("time_us", pa.int64()),
        ("model_version", pa.string()),
        ("registered_version", pa.string()),
        ("variant", pa.string()),
        ("fallback", pa.string()),
        ("source", pa.string()),
        ("score", pa.float32()),
    ]
)
"""Columns of every file; after them stand the features of the model that served, float32, null where not ranked."""

PARTS_PER_DAY = 16
SMALL_BYTES = 16 * 2**20
"""Files below this size are merged when a day has more than PARTS_PER_DAY of them."""

DAY_US = 86_400 * MICROSECONDS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Erased = Callable[[], Mapping[str, int]]
"""Asks for erased users: pseudonym -> their rows of before this time, in microseconds, must not appear."""


def served_folder(settings: Settings) -> Path:
    """Where served rows lie."""
    return settings.home / "served"


class ServedStore:
    """Keeps served rows below one folder.

    Args:
        folder: created by the first write.
        erased: asked before rows are published.
    """

    def __init__(self, folder: Path, erased: Erased = dict) -> None:
        self._folder, self._erased = folder, erased
        self._lock = folder / "served.lock"

    def write(self, lists: list[Served]) -> int:
        """Publish lists and return the number of their rows. Raises OSError; then as good as nothing is kept."""
        by_features = defaultdict(list)
        for each in lists:
            by_features[each.feature_names].append(each)
        if not lists:
            return 0
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._lock):
            erased = self._erased()
            tables = [_without(_table(some), erased) for some in by_features.values()]
            for table in tables:
                self._publish(table)
        return sum(table.num_rows for table in tables)

    def _publish(self, table: pa.Table) -> None:
        days = pc.divide(table["time_us"], DAY_US)
        for day in pc.unique(days).to_pylist():
            folder = self._day_folder(day)
            _write(folder / f"{unique_name()}.parquet", table.filter(pc.equal(days, day)))
            self._merge(folder)

    def _merge(self, folder: Path) -> None:
        small = [path for path in sorted(folder.glob("*.parquet")) if path.stat().st_size < SMALL_BYTES]
        if len(small) > PARTS_PER_DAY:
            tables = [pq.ParquetFile(path).read() for path in small]
            merged = pa.concat_tables(tables, promote_options="default").sort_by("time_us")
            _write(folder / f"{unique_name()}.parquet", merged)
            for path in small:
                path.unlink()

    def tables(self, since_us: int, until_us: int) -> Iterator[pa.Table]:
        """The rows with ``since_us <= time_us < until_us``, a table each file; a repeated list may be in two."""
        between = [("time_us", ">=", since_us), ("time_us", "<", until_us)]
        for folder in sorted(self._folder.glob("day=*")):
            if since_us - DAY_US < _day_us(folder) < until_us:
                # Under the lock: a merge would take away what has been listed.
                with locked(self._lock):
                    found = [pq.read_table(p, filters=between, partitioning=None) for p in folder.glob("*.parquet")]
                yield from (table for table in found if table.num_rows)

    def forget(self, user_key: str, until_us: int) -> list[str]:
        """Rewrite every file that has rows of a user of before a time; returns their names."""
        if not self._folder.exists():
            return []
        with locked(self._lock):
            for left in self._folder.rglob("*.tmp"):  # by a process that was killed while it wrote
                left.unlink()
            found = [p for p in sorted(self._folder.rglob("*.parquet")) if _has(p, user_key, until_us)]
            for path in found:
                _write(path, _without(pq.ParquetFile(path).read(), {user_key: until_us}))
        return [path.name for path in found]

    def drop_before(self, time_us: int) -> int:
        """Remove days that ended before a time; returns their number."""
        if not self._folder.exists():
            return 0
        with locked(self._lock):
            old = [folder for folder in self._folder.glob("day=*") if _day_us(folder) + DAY_US <= time_us]
            for folder in old:
                for path in folder.iterdir():
                    path.unlink()
                folder.rmdir()
        return len(old)

    def _day_folder(self, day: int) -> Path:
        return self._folder / f"day={_EPOCH + timedelta(days=day):%Y-%m-%d}"


def _day_us(folder: Path) -> int:
    day = datetime.strptime(folder.name, "day=%Y-%m-%d").replace(tzinfo=UTC)
    return (day - _EPOCH).days * DAY_US


def _table(lists: list[Served]) -> pa.Table:
    """Rows of lists that were ranked by the same features."""
    sizes = [len(each.listed.item_ids) for each in lists]

    def column(name: str) -> pa.Array:
        values = [getattr(each.listed, name) for each in lists]
        return pa.array(values, SCHEMA.field(name).type).take(pa.array(np.repeat(np.arange(len(lists)), sizes)))

    listed = ("recommendation_id", "user_key", "time_us", "model_version", "registered_version", "variant")
    columns = {name: column(name) for name in listed}
    columns["item_id"] = pa.array([item_id for each in lists for item_id in each.listed.item_ids], pa.string())
    places = [np.arange(size) + each.listed.offset for each, size in zip(lists, sizes, strict=True)]
    columns["position"] = pa.array(np.concatenate(places), pa.int64())
    fallbacks = [why for each, size in zip(lists, sizes, strict=True) for why in repeat(each.fallback, size)]
    columns["fallback"] = pa.array(fallbacks, pa.string())
    columns["source"] = pa.array([source for each in lists for source in each.sources], pa.string())
    columns["score"] = pa.array(np.concatenate([each.scores for each in lists]), pa.float32())
    head = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    names = lists[0].feature_names
    block = np.concatenate([_block(each, len(names)) for each in lists])
    for n, name in enumerate(names):
        head = head.append_column(name, pa.array(np.ascontiguousarray(block[:, n]), pa.float32(), from_pandas=True))
    return head


def _block(each: Served, columns: int) -> NDArray[np.float32]:
    """The features of all items of a list: NaN after those that were described."""
    out = np.full((len(each.listed.item_ids), columns), np.nan, np.float32)
    if columns:
        out[: len(each.features)] = each.features
    return out


def _without(table: pa.Table, erased: Mapping[str, int]) -> pa.Table:
    for user_key in set(pc.unique(table["user_key"]).to_pylist()) & set(erased):
        table = table.filter(pc.invert(_of(table, user_key, erased[user_key])))
    return table


def _of(table: pa.Table, user_key: str, until_us: int) -> pa.ChunkedArray:
    return pc.and_(pc.equal(table["user_key"], user_key), pc.less(table["time_us"], until_us))


def _has(path: Path, user_key: str, until_us: int) -> bool:
    who = [("user_key", "==", user_key), ("time_us", "<", until_us)]
    return bool(pq.read_table(path, columns=["time_us"], filters=who, partitioning=None).num_rows)


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(exist_ok=True)
    aside = path.with_suffix(".tmp")
    pq.write_table(table, aside, compression="zstd")
    aside.replace(path)
