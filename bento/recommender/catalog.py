"""The item table of one release, kept current from Feast's Redis rows.

``catch_up`` reads what changed since the last call: everything the first time. Rows are read and decoded
outside the lock and put into the table in small batches under it, so that a request waits at most
for one batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from feature_repo.events import MICROSECONDS
from feature_repo.item_table import ItemTable
from feature_repo.online import OnlineRow, OnlineStore, if_fresh
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES

log = logging.getLogger(__name__)

BATCH = 100
OVERLAP_S = 10.0
"""Writers stamp rows by their own clocks, before their pipelines run: look this far back, or a slow write is missed."""


class Catalog:
    """Items as columns, and what of them changed.

    Args:
        store: reads item_features and item_catalog.
        table: filled and kept current in place.
        ttl_s: item_features rows older than this count as missing, also those that grow old in the table.
        changed: called under the lock with the ids of new items and of those whose catalogue rows changed.

    Attributes:
        lock: hold it while reading the table.
        by_category: category -> numbers of its items; every category, also those outside the vocabulary.
    """

    def __init__(
        self,
        store: OnlineStore,
        table: ItemTable,
        ttl_s: float,
        changed: Callable[[Sequence[str]], object] | None = None,
    ) -> None:
        self.table = table
        self.lock = threading.Lock()
        self.by_category: defaultdict[str, set[int]] = defaultdict(set)
        self._store = store
        self._ttl_s = ttl_s
        self._changed = changed
        self._cursor = 0.0
        self._taken: dict[str, float] = {}
        self._catalog_us: dict[str, int] = {}
        self._read_at: float | None = None

    def age_s(self) -> float | None:
        """Seconds since the table was last level with Redis; None before the first time."""
        return None if self._read_at is None else time.monotonic() - self._read_at

    def catch_up(self) -> int:
        """Read the rows written since the last call; returns their number. Raises redis.RedisError."""
        started = time.monotonic()
        self._expire()
        stamps = dict(self._store.changed_since(ITEM_FEATURES.entity, self._cursor - OVERLAP_S))
        changed = [item_id for item_id, stamp in stamps.items() if self._taken.get(item_id) != stamp]
        described: list[str] = []
        for batch in _batches(changed):
            features = self._store.read(ITEM_FEATURES.name, batch)
            catalog = self._store.read(ITEM_CATALOG.name, batch)
            with self.lock:
                described += self._put(batch, features, catalog)
        if described and self._changed is not None:
            with self.lock:
                self._changed(described)
        if stamps:
            self._cursor = max(stamps.values())
        horizon = self._cursor - OVERLAP_S
        self._taken = {item_id: stamp for item_id, stamp in stamps.items() if stamp >= horizon}
        self._read_at = started
        return len(changed)

    def _expire(self) -> None:
        with self.lock:
            self.table.expire(time.time_ns() / 1_000 - self._ttl_s * MICROSECONDS)

    def _put(
        self, item_ids: Sequence[str], features: Sequence[OnlineRow | None], catalog: Sequence[OnlineRow | None]
    ) -> list[str]:
        now_us = time.time_ns() // 1_000
        changed = []
        for item_id, counted, entry in zip(item_ids, features, catalog, strict=True):
            known = item_id in self.table.index
            if (fresh := if_fresh(ITEM_FEATURES, counted, now_us, self._ttl_s)) is not None:
                self.table.put_features(item_id, fresh.features)
            if entry is not None and self._catalog_us.get(item_id) != entry.time_us:
                self._describe(item_id, entry)
                known = False
            if not known and item_id in self.table.index:
                changed.append(item_id)
        return changed

    def _describe(self, item_id: str, entry: OnlineRow) -> None:
        n = self.table.number(item_id)
        for label in self.table.labels[n]:
            self.by_category[label].discard(n)
        self.table.put_catalog(item_id, entry.features)
        for label in self.table.labels[n]:
            self.by_category[label].add(n)
        self._catalog_us[item_id] = entry.time_us


def _batches(item_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (item_ids[at : at + BATCH] for at in range(0, len(item_ids), BATCH))


def follow(current: Callable[[], Catalog], every_s: float, stop: threading.Event) -> None:
    """Keep the current catalogue level with Redis until told to stop; outlives Redis's outages.

    Args:
        current: the catalogue to keep; asked each time, as a new release brings its own.
    """
    import redis

    away = False
    while not stop.wait(every_s):
        try:
            current().catch_up()
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
