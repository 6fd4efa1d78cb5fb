"""The event store as Parquet files in one folder.

``open/<segment>.jsonl``: what a living writer appends to, one write a batch (``flows.event_segments``).
``day=YYYY-MM-DD/part-*.parquet``: sealed events by the UTC day of their own time.

A writer holds a lock on its segment as long as it lives, so anybody may seal the segments of the dead.
Sealing writes the Parquet files aside, renames them, and only then removes the segment: a kill in between
leaves events twice, never none, and reads drop repeats. Readers take no lock: they look at the segments first
and at the Parquet files afterwards, so events that move meanwhile are seen at least once.

``compact.lock`` is held by whoever seals, merges or erases; what lies aside (``*.tmp``) while nobody holds it was
left by a kill. ``append.lock`` is held by who writes to a segment, for that moment, and by an erasure while it puts
copies of segments, those of living writers too, in their places. (A lock that all appends held together would be
cheaper, and could keep an erasure waiting for ever.)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.events import Event
from flows.event_columns import EMPTY, SCHEMA, between, distinct, events_of, of_user
from flows.event_segments import Segment, erase_from_segment, lines_of, locked, read_segment, unique_name

SEGMENT_EVENTS = 50_000
PARTS_PER_DAY = 8
_DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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
        self._append_lock = self._root / "append.lock"
        self._compact_lock = self._root / "compact.lock"
        self._segment_events = segment_events
        self._segment: Segment | None = None
        self._lock = threading.Lock()

    def append(self, events: Sequence[Event]) -> int:
        """Keep events and return their number; raises OSError when the disk refuses, with nothing kept."""
        if not events:
            return 0
        lines = lines_of(events)
        with self._lock:
            if started := self._segment is None:
                self._root.mkdir(parents=True, exist_ok=True)
            with locked(self._append_lock):
                while self._segment is None or self._segment.is_gone:
                    self._leave_segment()
                    self._segment, started = Segment(self._open_dir), True
                self._segment.write(lines, len(events))
            if started:
                self.compact()
            if self._segment.events >= self._segment_events:
                self._seal_own(wait=False)
        return len(events)

    def scan(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[Event]:
        """Events ordered by (time_us, event_id), each once."""
        for table in self.tables(since_us, until_us, user_id):
            yield from events_of(table)

    def tables(
        self, since_us: int | None = None, until_us: int | None = None, user_id: str | None = None
    ) -> Iterator[pa.Table]:
        """The events as tables, one a day, oldest day first."""
        fresh = between(self._segments_table(user_id), since_us, until_us)
        days = {*self._sealed_days(), *pc.unique(pc.divide(fresh["time_us"], _DAY_US)).to_pylist()}
        for day in sorted(days):
            start_us, end_us = day * _DAY_US, (day + 1) * _DAY_US
            if (since_us is not None and end_us <= since_us) or (until_us is not None and until_us <= start_us):
                continue
            sealed = between(_retry(partial(self._day_table, day, user_id)), since_us, until_us)
            table = distinct(pa.concat_tables([sealed, between(fresh, start_us, end_us)]))
            if table.num_rows:
                yield table

    def count(self) -> int:
        """Number of distinct events."""
        return sum(table.num_rows for table in self.tables())

    def erase(self, user_id: str, until_us: int) -> int:
        """Remove a user's events before a moment; returns their number.

        A kill in between leaves some of them; erasing again removes the rest.
        """
        if not self._root.exists():
            return 0
        with locked(self._compact_lock):
            self._remove_leftovers()
            with locked(self._append_lock):
                erased = [erase_from_segment(path, user_id, until_us) for path in self._segments()]
            days = [day for day in self._sealed_days() if day * _DAY_US < until_us]
            erased += [_erase_from_part(part, user_id, until_us) for day in days for part in self._parts(day)]
        return len(set().union(*erased))

    def compact(self) -> None:
        """Seal the segments of dead writers and merge days that lie in many parts, unless somebody is at it."""
        if not self._root.exists():
            return
        with locked(self._compact_lock, wait=False) as alone:
            if alone:
                self._remove_leftovers()
                for path in self._segments():
                    self._seal_abandoned(path)
                for day in self._sealed_days():
                    self._merge(day)

    def close(self) -> None:
        """Seal this writer's segment."""
        with self._lock:
            if self._segment is not None:
                self._seal_own(wait=True)

    # Appending and sealing

    def _seal_own(self, wait: bool) -> None:
        assert self._segment is not None
        with locked(self._compact_lock, wait=wait) as alone:
            if alone:
                if not self._segment.is_gone:
                    self._seal(self._segment.path)
                self._leave_segment()

    def _leave_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _seal_abandoned(self, path: Path) -> None:
        with locked(path, wait=False) as abandoned:
            if abandoned:
                self._seal(path)

    def _seal(self, path: Path) -> None:
        table = distinct(read_segment(path))
        days = pc.divide(table["time_us"], _DAY_US).to_numpy() if table.num_rows else np.empty(0, np.int64)
        for day in np.unique(days):
            rows = table.slice(int(np.searchsorted(days, day)), int(np.count_nonzero(days == day)))
            _write_part(self._day_folder(int(day)) / f"part-{path.stem}.parquet", rows)
        path.unlink()

    def _merge(self, day: int) -> None:
        parts = self._parts(day)
        if len(parts) > PARTS_PER_DAY:
            merged = distinct(pa.concat_tables([_read_part(part) for part in parts]))
            _write_part(self._day_folder(day) / f"part-{unique_name()}.parquet", merged)
            for part in parts:
                part.unlink()

    def _remove_leftovers(self) -> None:
        for aside in self._root.glob("*/*.tmp"):
            aside.unlink()

    # Reading

    def _segments_table(self, user_id: str | None) -> pa.Table:
        return _retry(lambda: pa.concat_tables([EMPTY, *(read_segment(path, user_id) for path in self._segments())]))

    def _day_table(self, day: int, user_id: str | None) -> pa.Table:
        parts = [part for part in self._parts(day) if user_id is None or _has_user(part, user_id)]
        return of_user(pa.concat_tables([EMPTY, *map(_read_part, parts)]), user_id)

    def _segments(self) -> list[Path]:
        return sorted(self._open_dir.glob("*.jsonl"))

    def _parts(self, day: int) -> list[Path]:
        return sorted(self._day_folder(day).glob("part-*.parquet"))

    def _day_folder(self, day: int) -> Path:
        return self._root / f"day={_EPOCH + timedelta(days=day):%Y-%m-%d}"

    def _sealed_days(self) -> list[int]:
        """Days since the epoch that have a folder."""
        moments = (datetime.strptime(f.name, "day=%Y-%m-%d").replace(tzinfo=UTC) for f in self._root.glob("day=*"))
        return [(moment - _EPOCH).days for moment in moments]


def _has_user(part: Path, user_id: str) -> bool:
    # One column, and of that only the dictionary: an erasure looks into every file of the store.
    column = pq.ParquetFile(part, read_dictionary=["user_id"]).read(columns=["user_id"])["user_id"]
    return any(chunk.dictionary.index(user_id).as_py() >= 0 for chunk in column.chunks)


def _erase_from_part(part: Path, user_id: str, until_us: int) -> set[str]:
    if not _has_user(part, user_id):
        return set()
    table = _read_part(part)
    leaves = pc.and_(pc.equal(table["user_id"], user_id), pc.less(table["time_us"], until_us))
    erased = set(table.filter(leaves)["event_id"].to_pylist())
    if len(erased) > 0:
        kept = table.filter(pc.invert(leaves))
        if kept.num_rows:
            _write_part(part, kept)
        else:
            part.unlink()
    return erased


def _read_part(path: Path) -> pa.Table:
    return pq.ParquetFile(path).read(columns=SCHEMA.names)


def _write_part(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    pq.write_table(table, aside, compression="zstd")
    os.replace(aside, path)


def _retry(read: Callable[[], T]) -> T:
    # A file that was listed can be sealed or merged away before it is read; what it held is elsewhere then.
    for _ in range(20):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()
