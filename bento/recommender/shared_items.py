"""One copy of the item matrix for all workers of a service: files that every worker maps, and one of them writes.

columns       every array of the item table, each ``capacity`` items long; untouched parts take no memory
names.jsonl   [number, item id, title, labels] of each item that came after the bundle or was described anew, in order
writer        locked by the worker that reads Redis; when it dies the kernel frees the lock, and another takes over

A row may be read while it is being written: one candidate's counts are then of two moments, a batch apart.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import psutil
from numpy.typing import NDArray

from feature_repo.item_table import ItemTable, columns

_HEAD = ("version", "catalog_version", "newest_us", "level_at", "names_end")
"""What the writer tells the others, as float64: versions and newest event of the table; when it was last level with
Redis (seconds since the epoch, 0: not yet); and how many bytes of names are valid."""

_LEVEL = _HEAD.index("level_at")
_ALIGNMENT = 64


def folder_of(home: Path, release: str) -> Path:
    """Where the workers of this service (the children of one supervisor) keep a release's items."""
    parent = psutil.Process(os.getppid())
    return home / "items" / f"{parent.pid}-{parent.create_time():.0f}" / release


def remove_abandoned(home: Path) -> None:
    """Remove what supervisors that are gone have left."""
    for folder in (home / "items").glob("*-*"):
        pid, _, since = folder.name.partition("-")
        try:
            alive = f"{psutil.Process(int(pid)).create_time():.0f}" == since
        except (psutil.NoSuchProcess, ValueError):
            alive = False
        if not alive:
            shutil.rmtree(folder, ignore_errors=True)


class SharedItems:
    """The columns of one release's item table, mapped.

    Args:
        folder: the same for all workers; made when absent.
        vocabulary: of the item table.
        capacity: most items.

    Attributes:
        arrays: what ``ItemTable`` takes.
    """

    def __init__(self, folder: Path, vocabulary: Sequence[str], capacity: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer: IO[bytes] = (folder / "writer").open("ab")
        self._names: IO[bytes] = (folder / "names.jsonl").open("a+b", buffering=0)
        self._head, self.arrays = _mapped(folder / "columns", vocabulary, capacity)
        self._read = 0
        self._leads = False

    def lead(self, table: ItemTable) -> bool:
        """Whether this worker is the one that writes; it becomes so when no other is."""
        if self._leads:
            return True
        try:
            fcntl.flock(self._writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.follow(table)
        # What a writer that died was about to say is said again by whoever reads all rows anew: this one.
        os.ftruncate(self._names.fileno(), self._read)
        self._leads = True
        return True

    def publish(self, table: ItemTable, described: Iterable[int], level_at: float) -> None:
        """Tell the others what the table holds now.

        Args:
            described: numbers of items that are new or were described anew.
            level_at: when it was level with Redis, seconds since the epoch.
        """
        lines = [orjson.dumps([n, table.ids[n], table.titles[n], table.labels[n]]) + b"\n" for n in described]
        self._read += self._names.write(b"".join(lines)) if lines else 0
        self._head[:] = (table.version, table.catalog_version, table.newest_us, level_at, self._read)

    def follow(self, table: ItemTable) -> list[int]:
        """Take over what the writer told. Returns numbers of items that are new or were described anew."""
        version, catalog_version, newest_us, _, end = self._head.tolist()
        raw = os.pread(self._names.fileno(), int(end) - self._read, self._read)
        described = []
        for number, item_id, title, labels in map(orjson.loads, raw.splitlines()):
            if table.number(item_id) != number:
                raise ValueError(f"item {item_id} has number {table.number(item_id)} here and {number} at the writer's")
            table.describe(number, title, tuple(labels))
            described.append(number)
        self._read = int(end)
        table.version, table.catalog_version, table.newest_us = int(version), int(catalog_version), newest_us
        return described

    def level_at(self) -> float:
        """When the rows were last level with Redis, seconds since the epoch; 0: not yet."""
        return float(self._head[_LEVEL])


def _mapped(
    path: Path, vocabulary: Sequence[str], capacity: int
) -> tuple[NDArray[np.float64], dict[str, NDArray[Any]]]:
    parts: dict[str, tuple[type, tuple[int, ...]]] = {"head": (np.float64, (len(_HEAD),))}
    parts |= {name: (dtype, (capacity, *shape)) for name, (dtype, shape) in columns(vocabulary).items()}
    places, end = {}, 0
    for name, (dtype, shape) in parts.items():
        places[name] = end
        end += -(-np.dtype(dtype).itemsize * int(np.prod(shape)) // _ALIGNMENT) * _ALIGNMENT
    with path.open("ab") as file:
        file.truncate(end)
    whole = np.memmap(path, np.uint8, "r+")
    arrays = {name: np.ndarray(shape, dtype, whole, places[name]) for name, (dtype, shape) in parts.items()}
    return arrays.pop("head"), arrays
