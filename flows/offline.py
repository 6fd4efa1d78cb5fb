"""Feature rows at rest: one Parquet file a view, where Feast's DuckDB offline store looks for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.schema import TIMESTAMP, View
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


def arrow_schema(view: View) -> pa.Schema:
    """Columns of a view's file: join key, event timestamp (microseconds, UTC), then the features."""
    # Microseconds: with nanoseconds Feast's materialize fails on DuckDB.
    keys = [(view.entity, pa.string()), (TIMESTAMP, pa.timestamp("us", tz="UTC"))]
    return pa.schema([*keys, *((name, ARROW_TYPES[dtype]) for name, dtype in view.fields.items())])


class ViewWriter:
    """Writes a view's rows; the file appears whole when the block ends without an error, else not at all."""

    def __init__(self, folder: Path, view: View) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{view.name}.parquet"
        self.rows = 0
        self._aside = self.path.with_suffix(".parquet.new")
        self._schema = arrow_schema(view)
        self._columns: list[list[object]] = [[] for _ in self._schema]
        self._names = [*view.fields]
        self._file = pq.ParquetWriter(self._aside, self._schema, compression="zstd")

    def add(self, entity_id: str, time_us: int, row: Row) -> None:
        """Queue one row, as of ``time_us`` (microseconds since the epoch)."""
        for column, value in zip(self._columns, (entity_id, time_us, *(row[n] for n in self._names)), strict=True):
            column.append(value)
        self.rows += 1
        if len(self._columns[0]) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        arrays = [pa.array(column, field.type) for column, field in zip(self._columns, self._schema, strict=True)]
        self._file.write_batch(pa.record_batch(arrays, schema=self._schema))
        for column in self._columns:
            column.clear()

    def __enter__(self) -> ViewWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._columns[0]:
            self._flush()
        self._file.close()
        if kind is None:
            self._aside.replace(self.path)
        else:
            self._aside.unlink()


def write_view(folder: Path, view: View, rows: Iterable[tuple[str, int, Row]]) -> int:
    """Replace a view's file by these rows: (entity id, time in microseconds, features). Returns their number."""
    with ViewWriter(folder, view) as writer:
        for entity_id, time_us, row in rows:
            writer.add(entity_id, time_us, row)
    return writer.rows
