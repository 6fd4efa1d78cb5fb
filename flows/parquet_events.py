"""The event store as Parquet files in one folder.

``open/<segment>.jsonl``: what a living writer appends to, one write a batch. A line that a kill cut short
is the last one of its segment and counts as never written.
``day=YYYY-MM-DD/part-*.parquet``: sealed events by the UTC day of their own time.

A writer holds a lock on its segment as long as it lives, so anybody may seal the segments of the dead.
Sealing writes the Parquet files aside, renames them, and only then removes the segment: a kill in between
leaves events twice, never none, and reads drop repeats. Readers look at the segments first and at the
Parquet files afterwards, so events that move meanwhile are seen at least once.
"""

from __future__ import annotations

import fcntl
import io
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet as pq
from pydantic_core import from_json, to_json

from feature_repo.events import Event

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("event_type", pa.string()),
        ("time_us", pa.int64()),
        ("value", pa.float64()),
        ("session_id", pa.string()),
        ("recommendation_id", pa.string()),
        ("properties", pa.string()),
    ]
)
"""Columns of every table; ``time_us`` is the event time in microseconds UTC, ``properties`` a JSON object."""

SEGMENT_EVENTS = 50_000
PARTS_PER_DAY = 8
_DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EMPTY = SCHEMA.empty_table()
_FIELDS = set(Event.model_fields)

T = TypeVar("T")


class ParquetEvents:
    """Raw events below one folder; many processes may write and read at once.

    Args:
        root: the folder; created by the first append.
        segment_events: a writer seals its segment after about this many events.
    """

    def __init__(self, root: str | Path, segment_events: int = SEGMENT_EVENTS) -> None:
        self._root = Path(root)
        self._open_dir = self._root / "open"
        self._segment_events = segment_events
        self._segment: _Segment | None = None
        self._lock = threading.Lock()

    def append(self, events: Sequence[Event]) -> int:
        """Keep events and return their number; raises OSError when the disk refuses, with nothing kept."""
        if not events:
            return 0
        lines = b"".join([_line(event) for event in events])
        with self._lock:
            if self._segment is None:
                self.compact()
                self._segment = _Segment(self._open_dir)
            self._segment.write(lines, len(events))
            if self._segment.events >= self._segment_events:
                self._seal(self._segment.path)
                self._segment.close()
                self._segment = None
        return len(events)

    def scan(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[Event]:
        """Events ordered by (time_us, event_id), each once."""
        for table in self.tables(since_us, until_us, user_id):
            yield from _events(table)

    def tables(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[pa.Table]:
        """The events as tables of SCHEMA, one a day, oldest day first."""
        fresh = self._segments_table()
        for day in self._days(fresh, since_us, until_us):
            table = _retry(partial(self._day_table, day))
            table = pa.concat_tables([table, fresh.filter(_between(fresh, day * _DAY_US, (day + 1) * _DAY_US))])
            if user_id is not None:
                table = table.filter(pc.equal(table["user_id"], user_id))
            table = distinct(table.filter(_between(table, since_us, until_us)))
            if table.num_rows:
                yield table

    def count(self) -> int:
        """Number of distinct events."""
        return sum(table.num_rows for table in self.tables())

    def compact(self) -> None:
        """Seal the segments of dead writers and merge days that lie in many parts."""
        for path in sorted(self._open_dir.glob("*.jsonl")):
            self._seal_abandoned(path)
        with _locked(self._root / "compact.lock") as alone:
            if alone:
                for folder in self._root.glob("day=*"):
                    self._merge(folder)

    def close(self) -> None:
        """Seal this writer's segment."""
        with self._lock:
            if self._segment is not None:
                self._seal(self._segment.path)
                self._segment.close()
                self._segment = None

    def _seal_abandoned(self, path: Path) -> None:
        with _locked(path) as dead:
            if dead and path.exists():
                self._seal(path)

    def _seal(self, path: Path) -> None:
        table = distinct(_read_segment(path))
        days = pc.divide(table["time_us"], _DAY_US).to_numpy() if table.num_rows else np.empty(0, np.int64)
        for day in np.unique(days):
            rows = table.slice(int(np.searchsorted(days, day)), int(np.count_nonzero(days == day)))
            _write_part(self._day_folder(int(day)) / f"part-{path.stem}.parquet", rows)
        path.unlink()

    def _merge(self, folder: Path) -> None:
        parts = sorted(folder.glob("part-*.parquet"))
        if len(parts) > PARTS_PER_DAY:
            merged = distinct(pa.concat_tables([_read_part(part) for part in parts]))
            _write_part(folder / f"part-{_unique_name()}.parquet", merged)
            for part in parts:
                part.unlink()

    def _segments_table(self) -> pa.Table:
        return _retry(lambda: pa.concat_tables([_EMPTY, *map(_read_segment, sorted(self._open_dir.glob("*.jsonl")))]))

    def _day_table(self, day: int) -> pa.Table:
        parts = sorted(self._day_folder(day).glob("part-*.parquet"))
        return pa.concat_tables([_EMPTY, *map(_read_part, parts)])

    def _day_folder(self, day: int) -> Path:
        return self._root / f"day={_EPOCH + timedelta(days=day):%Y-%m-%d}"

    def _days(self, fresh: pa.Table, since_us: int | None, until_us: int | None) -> list[int]:
        sealed = (datetime.strptime(f.name, "day=%Y-%m-%d").replace(tzinfo=UTC) for f in self._root.glob("day=*"))
        days = {(moment - _EPOCH).days for moment in sealed}
        days.update(pc.unique(pc.divide(fresh["time_us"], _DAY_US)).to_pylist())
        first = min(days, default=0) if since_us is None else since_us // _DAY_US
        last = max(days, default=0) if until_us is None else (until_us - 1) // _DAY_US
        return sorted(day for day in days if first <= day <= last)


class _Segment:
    """The file that one writer appends to, locked while it lives."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{_unique_name()}.jsonl"
        self.events = 0
        self._fd = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._size = 0

    def write(self, lines: bytes, events: int) -> None:
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._fd, lines[written:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(lines)
        self.events += events

    def close(self) -> None:
        os.close(self._fd)


class _locked:
    """Hold a file's lock if nobody else does; entering tells whether it is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> bool:
        try:
            self._fd = os.open(self._path, os.O_RDWR | (os.O_CREAT if self._path.suffix == ".lock" else 0))
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def distinct(table: pa.Table) -> pa.Table:
    """The rows ordered by (time_us, event_id, user_id), the first of every (user_id, event_id) only."""
    table = table.sort_by([("time_us", "ascending"), ("event_id", "ascending"), ("user_id", "ascending")])
    users = pc.dictionary_encode(table["user_id"].combine_chunks())
    ids = pc.dictionary_encode(table["event_id"].combine_chunks())
    pairs = users.indices.to_numpy().astype(np.int64) * len(ids.dictionary) + ids.indices.to_numpy()
    _, first = np.unique(pairs, return_index=True)
    return table if len(first) == table.num_rows else table.take(np.sort(first))


def _line(event: Event) -> bytes:
    row: dict[str, Any] = {
        "event_id": event.event_id,
        "user_id": event.user_id,
        "item_id": event.item_id,
        "event_type": event.event_type,
        "time_us": event.time_us,
    }
    if event.value is not None:
        row["value"] = event.value
    if event.session_id is not None:
        row["session_id"] = event.session_id
    if event.recommendation_id is not None:
        row["recommendation_id"] = event.recommendation_id
    if event.properties is not None:
        row["properties"] = to_json(event.properties).decode()  # orjson refuses integers above 64 bits
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _events(table: pa.Table) -> Iterator[Event]:
    # Built without validation: only validated events were appended, and a million are read at a time.
    for row in zip(*(table[name].to_pylist() for name in SCHEMA.names), strict=True):
        values = dict(zip(SCHEMA.names, row, strict=True))
        values["timestamp"] = _EPOCH + timedelta(microseconds=values.pop("time_us"))
        if values["properties"] is not None:
            values["properties"] = from_json(values["properties"])
        yield Event.model_construct(_FIELDS, **values)


def _read_segment(path: Path) -> pa.Table:
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if not whole:
        return _EMPTY
    options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error")
    blocks = pyarrow.json.ReadOptions(use_threads=False, block_size=max(1 << 20, len(whole)))
    try:
        return pyarrow.json.read_json(io.BytesIO(whole), blocks, options).select(SCHEMA.names)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a segment of events: {error}") from None


def _read_part(path: Path) -> pa.Table:
    return pq.ParquetFile(path).read(columns=SCHEMA.names)


def _write_part(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{_unique_name()}.tmp")
    pq.write_table(table, aside, compression="zstd")
    os.replace(aside, path)


def _between(table: pa.Table, since_us: int | None, until_us: int | None) -> pa.ChunkedArray:
    inside = pc.greater_equal(table["time_us"], -(2**63) if since_us is None else since_us)
    return inside if until_us is None else pc.and_(inside, pc.less(table["time_us"], until_us))


def _unique_name() -> str:
    return f"{time.time_ns()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _retry(read: Callable[[], T]) -> T:
    # A file that was listed can be sealed or merged away before it is read; what it held is elsewhere then.
    for _ in range(20):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()
