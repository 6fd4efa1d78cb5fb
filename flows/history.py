"""What a dataflow that starts without states reads before the log: everything that is stored, once.

Each partition of a topic is preceded by the stored messages whose keys belong to it. One scan of the store serves
all partitions of a worker.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from kafka.partitioner.default import murmur2

from feature_repo.erasures import Erasures
from feature_repo.events import Event
from flows.event_store import open_event_store
from flows.flow_metrics import FlowMetrics
from flows.messages import Arrival, ErasedBefore, Refresh
from flows.metadata import MetadataStore
from infra.settings import Settings

log = logging.getLogger(__name__)

BATCH_SIZE = 2_000
TELL_EVERY_S = 5.0

Stored = Callable[[], Iterator[tuple[str | None, Arrival]]]
"""Opens the store: keys and arrivals, a key's in order of time; without a key: for every partition."""


class History:
    """The stored messages of one topic for the partitions of one worker.

    Args:
        topic: its name, for the log.
        stored: opens the store.
        partitions: number of the topic's partitions.
        metrics: told how many messages were read, and how many partitions are not through.
    """

    def __init__(self, topic: str, stored: Stored, partitions: int, metrics: FlowMetrics) -> None:
        self._topic = topic
        self._stored = stored
        self._count = partitions
        self._metrics = metrics
        self._waiting: set[int] = set()
        self._scans: dict[int, _Scan] = {}

    def add(self, partition: int) -> None:
        """Let a partition take part in the next scan."""
        self._metrics.rebuilding.inc()
        self._waiting.add(partition)

    def take(self, partition: int) -> list[Arrival] | None:
        """The partition's next messages; None when there are no more. After the last event: a Refresh for each row."""
        if partition in self._waiting:
            scan = _Scan(self._topic, self._stored(), self._waiting, self._count, self._metrics.stored.inc)
            self._scans.update(dict.fromkeys(self._waiting, scan))
            self._waiting = set()
        return self._scans[partition].take(partition)

    def close(self, partition: int) -> int | None:
        """All were taken; returns the time of the partition's newest stored message, None without one."""
        self._metrics.rebuilding.dec()
        return self._scans.pop(partition).newest_us.get(partition)


class _Scan:
    """One reading of the store, its messages dealt out to several partitions."""

    def __init__(
        self,
        topic: str,
        stored: Iterator[tuple[str | None, Arrival]],
        partitions: set[int],
        count: int,
        tell: Callable[[int], None],
    ) -> None:
        self._topic, self._stored, self._count, self._tell = topic, stored, count, tell
        self._queues: dict[int, deque[Arrival]] = {partition: deque() for partition in partitions}
        self._users: dict[str, int] = {}
        self._items: dict[str, dict[int, str]] = {}
        self._partition_of: dict[str, int] = {}
        self._over = False
        self._read, self._began, self._told = 0, time.monotonic(), time.monotonic()
        self.newest_us: dict[int, int] = {}

    def take(self, partition: int) -> list[Arrival] | None:
        queue = self._queues[partition]
        while not queue and not self._over:
            self._deal()
        batch = [queue.popleft() for _ in range(min(len(queue), BATCH_SIZE))]
        return batch or None

    def _deal(self) -> None:
        found = list(islice(self._stored, BATCH_SIZE))
        for key, arrival in found:
            if key is None:
                for queue in self._queues.values():
                    queue.append(arrival)
                continue
            partition = self._place(key)
            if partition in self._queues:
                self._queues[partition].append(arrival)
                self.newest_us[partition] = max(arrival.logged_us, self.newest_us.get(partition, 0))
                if isinstance(arrival.message, Event):
                    self._users[key] = partition
                    self._items.setdefault(arrival.message.item_id, {})[partition] = key
        self._read += len(found)
        self._tell(len(found))
        self._over = not found
        if self._over:
            self._refresh()
        self._say()

    def _place(self, key: str) -> int:
        """The partition that Kafka's default partitioner, which ingest and replays use, gives to a key."""
        if key not in self._partition_of:
            self._partition_of[key] = (murmur2(key.encode()) & 0x7FFFFFFF) % self._count
        return self._partition_of[key]

    def _refresh(self) -> None:
        for user_id, partition in self._users.items():
            self._queues[partition].append(Arrival(Refresh(user_id), 0))
        for item_id, users in self._items.items():
            for partition, user_id in users.items():
                self._queues[partition].append(Arrival(Refresh(user_id, item_id), 0))

    def _say(self) -> None:
        now = time.monotonic()
        if self._read and (self._over or now - self._told > TELL_EVERY_S):
            extra: dict[str, Any] = {
                "topic": self._topic,
                "messages": self._read,
                "seconds": round(now - self._began, 1),
            }
            log.info("history is read" if self._over else "reading history", extra=extra)
            self._told = now


def events(settings: Settings) -> Iterator[tuple[str | None, Arrival]]:
    """Who was erased, which the event store cannot tell, then the event store by user."""
    for user_key, until_us in Erasures(settings.database_url).reported().items():
        yield None, Arrival(ErasedBefore(user_key, until_us), 0, stored=True, quiet=True)
    for event in open_event_store(settings.event_store_url).scan():
        yield event.user_id, Arrival(event, event.time_us, stored=True, quiet=True)


def items(settings: Settings) -> Iterator[tuple[str | None, Arrival]]:
    """The catalogue by item."""
    for item, logged_us in MetadataStore(settings.database_url).logged_items():
        yield item.item_id, Arrival(item, logged_us, stored=True)


def users(settings: Settings) -> Iterator[tuple[str | None, Arrival]]:
    """The profiles by user."""
    for user, logged_us in MetadataStore(settings.database_url).logged_users():
        yield user.user_id, Arrival(user, logged_us, stored=True)
