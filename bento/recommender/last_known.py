"""What a process read last of each user: answers while Redis is away are made from it."""

from __future__ import annotations

import marshal
import time
from collections import OrderedDict
from collections.abc import Sequence

Raw = Sequence[bytes | None]
"""Values of hash fields as Redis holds them."""

OVERHEAD = 330
"""Bytes that a row takes beside its own: key, time, place in the table."""


class LastKnown:
    """Rows by Redis key, as bytes: those read last, for a while.

    Who is erased is gone from here too after ``keep_s``, or as soon as he is asked for while Redis answers.

    Attributes:
        bytes: what all rows take together.

    Args:
        size: most rows; the one read longest ago makes room. 0: none.
        keep_s: a row read longer ago is forgotten.
        most_bytes: of all rows together, kept likewise.
    """

    def __init__(self, size: int, keep_s: float, most_bytes: int = 2**28) -> None:
        self._size, self._keep_s, self._most_bytes = size, keep_s, most_bytes
        self.bytes = 0
        self._rows: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: bytes) -> bool:
        return key in self._rows

    def keep(self, key: bytes, raw: Raw) -> bytes:
        """Take what was read now. Returns it as one piece, equal when nothing has changed."""
        # One object in place of forty: half the memory. Only this process ever reads it.
        packed = marshal.dumps(list(raw))
        self._drop(key)
        if any(raw):
            self._rows[key] = time.monotonic(), packed
            self.bytes += len(packed) + OVERHEAD
        self._forget()
        return packed

    def get(self, key: bytes) -> tuple[Raw, bytes] | None:
        """What was read last, as values and as one piece."""
        read_at, packed = self._rows.get(key, (0.0, b""))
        if not packed or read_at < time.monotonic() - self._keep_s:
            return None
        return marshal.loads(packed), packed

    def _forget(self) -> None:
        horizon = time.monotonic() - self._keep_s
        rows = self._rows
        while rows and (
            len(rows) > self._size or self.bytes > self._most_bytes or next(iter(rows.values()))[0] < horizon
        ):
            self._drop(next(iter(rows)))

    def _drop(self, key: bytes) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            self.bytes -= len(row[1]) + OVERHEAD
