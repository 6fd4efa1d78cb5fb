"""Segments: the files that writers of the Parquet event store append to, one JSON line an event.

A writer holds its segment's lock as long as it lives. A line that a kill cut short is the last one of its
segment and counts as never written.
"""

from __future__ import annotations

import fcntl
import io
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.json

from feature_repo.events import Event
from flows.event_columns import EMPTY, SCHEMA, row_of


class Segment:
    """The file that one writer appends to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{unique_name()}.jsonl"
        self.events = 0
        self._fd = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._size = 0

    @property
    def is_gone(self) -> bool:
        """Whether readers no longer see this file: it was removed, or another stands in its place."""
        return os.fstat(self._fd).st_nlink == 0

    def write(self, lines: bytes, events: int) -> None:
        """Append lines; raises OSError when the disk refuses, with none of them kept."""
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
        """Let go of the file and its lock."""
        os.close(self._fd)


def lines_of(events: Sequence[Event]) -> bytes:
    """Events as a segment's lines."""
    return b"".join([orjson.dumps(row_of(event), option=orjson.OPT_APPEND_NEWLINE) for event in events])


def read_segment(path: Path, user_id: str | None = None) -> pa.Table:
    """The events of a segment, of one user or all, as they were appended."""
    lines, _ = _whole_lines(path)
    if user_id is not None:
        lines = b"".join([lines[begin:end] for begin, end in _lines_of_user(lines, user_id)])
    if not lines:
        return EMPTY
    options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="error")
    blocks = pyarrow.json.ReadOptions(use_threads=False, block_size=max(1 << 20, len(lines)))
    try:
        return pyarrow.json.read_json(io.BytesIO(lines), blocks, options).select(SCHEMA.names)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: not a segment of events: {error}") from None


def erase_from_segment(path: Path, user_id: str, until_us: int) -> set[str]:
    """Put a copy without the user's older events in the segment's place; returns the ids of the events left out.

    Nobody may write meanwhile. The copy belongs to no writer: one that lives finds its file gone and starts another.
    """
    lines, torn = _whole_lines(path)
    kept, erased, done = [], set(), 0
    for begin, end in _lines_of_user(lines, user_id):
        row = orjson.loads(lines[begin:end])
        if row["time_us"] < until_us:
            erased.add(row["event_id"])
            kept.append(lines[done:begin])
            done = end
    if erased or torn:
        aside = path.with_suffix(".tmp")
        aside.write_bytes(b"".join([*kept, lines[done:]]))
        os.replace(aside, path)
    return erased


def _whole_lines(path: Path) -> tuple[bytes, bool]:
    """A segment's lines, and whether the beginning of another follows them."""
    raw = path.read_bytes()
    end = raw.rfind(b"\n") + 1
    return raw[:end], end < len(raw)


def _lines_of_user(lines: bytes, user_id: str) -> Iterator[tuple[int, int]]:
    """Where the user's lines begin and end."""
    # Stands in no other user's line: within a string the quotation marks are escaped.
    mark = b'"user_id":' + orjson.dumps(user_id)
    end = 0
    while (found := lines.find(mark, end)) >= 0:
        begin, end = lines.rfind(b"\n", 0, found) + 1, lines.index(b"\n", found) + 1
        yield begin, end


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a file's lock while the context, or the process, lasts; gives whether it is held (always with ``wait``)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(fd)


def unique_name() -> str:
    """A file name without suffix that no other writer takes; later ones sort after earlier ones."""
    return f"{time.time_ns()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
