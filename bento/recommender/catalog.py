"""The item table of one release, kept current from Feast's Redis rows.

``catch_up`` reads what changed since the last call: everything the first time. Rows are read and decoded
outside the lock and put into the table in small batches under it, so that a request waits at most
for one batch. Of several workers that share one table, one reads Redis and the others follow what it says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bento.recommender.shared_items import SharedItems
from feature_repo.events import MICROSECONDS
from feature_repo.item_table import NUMBERS, ItemTable, TableFull
from feature_repo.online import OnlineRow, OnlineStore, if_fresh
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES

log = logging.getLogger(__name__)

Numbers = NDArray[np.intp]

BATCH = 100
OVERLAP_S = 10.0
"""Writers stamp rows by their own clocks, before their pipelines run: look this far back, or a slow write is missed."""

SORTING_SHARE = 0.05
"""Largest share of the time that goes into sorting items by popularity: of a million items this takes a while."""


class Catalog:
    """Items as columns, and what of them changed.

    Args:
        store: reads item_features and item_catalog.
        table: filled and kept current in place.
        ttl_s: item_features rows older than this count as missing, also those that grow old in the table.
        changed: called under the lock with the numbers of new items and of those whose catalogue rows changed.
        shared: the table's columns, where other workers have the same ones.

    Attributes:
        lock: hold it while reading the table.
    """

    def __init__(
        self,
        store: OnlineStore,
        table: ItemTable,
        ttl_s: float,
        changed: Callable[[Numbers], object] = lambda _: None,
        shared: SharedItems | None = None,
    ) -> None:
        self.table = table
        self.lock = threading.Lock()
        self._members: defaultdict[str, set[int]] = defaultdict(set)
        self._member_arrays: dict[str, Numbers] = {}
        self._labels: dict[int, tuple[str, ...]] = {}
        self._store = store
        self._ttl_s = ttl_s
        self._changed = changed
        self._shared = shared
        self._cursor = 0.0
        self._taken: dict[str, float] = {}
        self._catalog_us: dict[str, int] = {}
        self._level_at = 0.0
        self._sort_after = 0.0
        table.trends.followed = True

    def age_s(self) -> float | None:
        """Seconds since the table was last level with Redis; None before the first time."""
        return max(time.time() - self._level_at, 0.0) if self._level_at else None

    def in_category(self, label: str) -> Numbers:
        """Numbers of a category's items, also of one outside the vocabulary. To be called under the lock."""
        found = self._member_arrays.get(label)
        if found is None:
            members = self._members.get(label, ())
            found = self._member_arrays[label] = np.fromiter(members, np.intp, len(members))
        return found

    def catch_up(self) -> int:
        """Take in the rows written since the last call; returns how many items were touched.

        Raises:
            redis.RedisError: Redis is away.
        """
        if self._shared is not None and not self._shared.lead(self.table):
            return self._follow(self._shared)
        return self._read()

    def _follow(self, shared: SharedItems) -> int:
        with self.lock:
            described = shared.follow(self.table)
            self._describe(described)
        self._level_at = shared.level_at()
        self._sort()
        return len(described)

    def _read(self) -> int:
        started = time.time()
        with self.lock:
            self.table.expire(started * MICROSECONDS - self._ttl_s * MICROSECONDS)
        stamps = dict(self._store.changed_since(ITEM_FEATURES.entity, self._cursor - OVERLAP_S))
        changed = [item_id for item_id, stamp in stamps.items() if self._taken.get(item_id) != stamp]
        described: list[int] = []
        for batch in _batches(changed):
            described += self._take(batch)
        with self.lock:
            self._describe(described)
        if stamps:
            self._cursor = max(stamps.values())
        horizon = self._cursor - OVERLAP_S
        self._taken = {item_id: stamp for item_id, stamp in stamps.items() if stamp >= horizon}
        self._level_at = started
        if self._shared is not None:
            self._shared.publish(self.table, described, started)
        self._sort()
        return len(changed)

    def _take(self, item_ids: Sequence[str]) -> list[int]:
        """Read a batch and put it into the table; returns the numbers of new and newly described items."""
        counted = self._store.read(ITEM_FEATURES.name, item_ids)
        times = self._store.times_us(ITEM_CATALOG.name, item_ids)
        again = [
            item_id
            for item_id, time_us in zip(item_ids, times, strict=True)
            if time_us is not None and self._catalog_us.get(item_id) != time_us
        ]
        entries = dict(zip(again, self._store.read(ITEM_CATALOG.name, again), strict=True))
        now_us = time.time_ns() // 1_000
        fresh = [if_fresh(ITEM_FEATURES, row, now_us, self._ttl_s) for row in counted]
        rows = {item_id: row for item_id, row in zip(item_ids, fresh, strict=True) if row is not None}
        with self.lock:
            return self._put(rows, {item_id: row for item_id, row in entries.items() if row is not None})

    def _put(self, rows: dict[str, OnlineRow], entries: dict[str, OnlineRow]) -> list[int]:
        before, described = len(self.table), []
        try:
            numbers = np.array([self.table.number(item_id) for item_id in rows], np.intp)
            block = [[row.features[name] or 0 for name in NUMBERS] for row in rows.values()]
            if block:
                self.table.put_numbers(numbers, np.array(block, np.float64))
            for item_id, entry in entries.items():
                described.append(self.table.put_catalog(item_id, entry.features))
                self._catalog_us[item_id] = entry.time_us
        except TableFull as error:
            log.error("new items are left out: %s", error)
        return list(dict.fromkeys([*range(before, len(self.table)), *described]))

    def _describe(self, numbers: Sequence[int]) -> None:
        """What follows from new and changed descriptions."""
        if not numbers:
            return
        for n in numbers:
            for label in self._labels.get(n, ()):
                self._members[label].discard(n)
            self._labels[n] = labels = self.table.labels[n] if self.table.in_catalog[n] else ()
            for label in labels:
                self._members[label].add(n)
        self._member_arrays.clear()
        self._changed(np.array(numbers, np.intp))

    def _sort(self) -> None:
        if (began := time.monotonic()) >= self._sort_after:
            self.table.trends.refresh()
            self._sort_after = began + (time.monotonic() - began) / SORTING_SHARE


def _batches(item_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (item_ids[at : at + BATCH] for at in range(0, len(item_ids), BATCH))


def follow(held: Callable[[], Iterable[Catalog]], every_s: float, stop: threading.Event) -> None:
    """Keep catalogues level with Redis until told to stop; outlives Redis's outages.

    Args:
        held: the catalogues to keep; asked each time, as every release brings its own.
    """
    import redis

    away = False
    while not stop.wait(every_s):
        try:
            for catalog in held():
                catalog.catch_up()
        except (redis.RedisError, OSError) as error:
            if not away:
                log.warning("items are no longer followed: Redis is away: %s", error)
            away = True
        except Exception:
            log.exception("items could not be read; trying again")
        else:
            if away:
                log.info("items are followed again")
            away = False
