"""Feature rows at rest: one Parquet file a view, where Feast's DuckDB offline store looks for it.

Rows of an erased user leave the files at once (``forget``), and rows that are just being written lose him before
they appear, so that no writer that began before the erasure brings him back.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.events import pseudonym
from feature_repo.schema import TIMESTAMP, USER_FEATURES, View
from feature_repo.state import Dtype, Row

ARROW_TYPES: dict[Dtype, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "strings": pa.list_(pa.string()),
    "int64s": pa.list_(pa.int64()),
    "float32s": pa.list_(pa.float32()),
}
BATCH_ROWS = 10_000
USER = USER_FEATURES.entity

Erased = Callable[[], Collection[str]]
"""Asks for the pseudonyms of users whose rows must not appear any more."""


def nobody() -> Collection[str]:
    """No user is erased."""
    return ()


def arrow_schema(view: View) -> pa.Schema:
    """Columns of a view's file: join key, event timestamp (microseconds, UTC), then the features."""
    # Microseconds: with nanoseconds Feast's materialize fails on DuckDB.
    keys = [(view.entity, pa.string()), (TIMESTAMP, pa.timestamp("us", tz="UTC"))]
    return pa.schema([*keys, *((name, ARROW_TYPES[dtype]) for name, dtype in view.fields.items())])


class ViewWriter:
    """Writes a view's rows; the file appears whole when the block ends without an error, else not at all.

    Args:
        folder: the offline store's.
        view: whose rows.
        erased: asked at the end; rows of these users are left out.
    """

    def __init__(self, folder: Path, view: View, erased: Erased = nobody) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{view.name}.parquet"
        self.rows = 0
        self._erased = erased
        self._schema = arrow_schema(view)
        self._columns: list[list[object]] = [[] for _ in self._schema]
        self._names = [*view.fields]
        # Without a name: nothing of it is left, whatever ends this process.
        self._raw = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._file = pq.ParquetWriter(self._raw, self._schema, compression="zstd")

    def add(self, entity_id: str, time_us: int, row: Row) -> None:
        """Queue one row, as of ``time_us`` (microseconds since the epoch)."""
        for column, value in zip(self._columns, (entity_id, time_us, *(row[n] for n in self._names)), strict=True):
            column.append(value)
        self.rows += 1
        if len(self._columns[0]) >= BATCH_ROWS:
            self._flush()

    def add_table(self, table: pa.Table) -> None:
        """Write rows that are columns already, after those that were added before."""
        if self._columns[0]:
            self._flush()
        self._file.write_table(table.select(self._schema.names).cast(self._schema))
        self.rows += table.num_rows

    def _flush(self) -> None:
        arrays = [pa.array(column, field.type) for column, field in zip(self._columns, self._schema, strict=True)]
        self._file.write_batch(pa.record_batch(arrays, schema=self._schema))
        for column in self._columns:
            column.clear()

    def __enter__(self) -> ViewWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._raw:
            if kind is None and self._columns[0]:
                self._flush()
            self._file.close()
            if kind is None:
                with _alone(self.path.parent):
                    self._publish(set(self._erased()) if USER in self._schema.names else set())

    def _publish(self, erased: set[str]) -> None:
        self._raw.seek(0)
        if not erased:
            with _replacing(self.path) as aside:
                shutil.copyfileobj(self._raw, aside)
        else:
            _copy_without(pq.ParquetFile(self._raw), self.path, erased)


def write_view(folder: Path, view: View, rows: Iterable[tuple[str, int, Row]], erased: Erased = nobody) -> int:
    """Replace a view's file by these rows: (entity id, time in microseconds, features). Returns their number."""
    with ViewWriter(folder, view, erased) as writer:
        for entity_id, time_us, row in rows:
            writer.add(entity_id, time_us, row)
    return writer.rows


def forget(folder: Path, erased: Collection[str]) -> list[str]:
    """Rewrite every file below a folder that has rows of some users, without them.

    Args:
        folder: the offline store's; may be absent.
        erased: the users' pseudonyms.

    Returns:
        Names of the files that had such rows. When it returns, no file has any.
    """
    if not folder.exists():
        return []
    with _alone(folder):
        for left in folder.rglob("*.new"):  # by a process that was killed while it published
            left.unlink()
        return [path.name for path in sorted(folder.rglob("*.parquet")) if _forgotten(path, set(erased))]


def _forgotten(path: Path, erased: set[str]) -> bool:
    with pq.ParquetFile(path) as file:
        if USER not in file.schema_arrow.names:
            return False
        found = any(_users(batch, erased) for batch in file.iter_batches(columns=[USER]))
        if found:
            _copy_without(file, path, erased)
        return found


def _copy_without(file: pq.ParquetFile, path: Path, erased: set[str]) -> None:
    schema = file.schema_arrow
    with _replacing(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as copy:
        for batch in file.iter_batches():
            users = pa.array(_users(batch, erased), schema.field(USER).type)
            copy.write_batch(batch.filter(pc.invert(pc.is_in(batch[USER], users))))


def _users(batch: pa.RecordBatch, erased: set[str]) -> list[object]:
    """Those of a batch's users who are erased."""
    users = pc.unique(batch[USER]).to_pylist()
    return [user for user in users if user is not None and pseudonym(str(user)) in erased]


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file aside that takes the place of another when the block ends without an error."""
    aside = path.with_suffix(".parquet.new")
    with aside.open("wb") as file:
        yield file
    aside.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder against others who publish or forget; they wait."""
    at = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(at, fcntl.LOCK_EX)
        yield
    finally:
        os.close(at)
