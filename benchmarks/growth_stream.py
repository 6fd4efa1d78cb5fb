"""What the dataflow costs with a population behind it: CPU time an event, rows, and memory of its states and Redis.

The dataflow starts without states on an event store that holds the population's history, as after a loss: that is the
fastest way to a large state that there is, and one that operators use. Then events come through Kafka, three ways:
``few``, at a rate, of the same number of users in every population, so that the number of the others is all that
differs; ``everybody``, at that rate, of users from all of the population; ``waiting``, a log of events that came while
the dataflow stood still. CPU time runs from the first event to the last moment in which the dataflow was busy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any, NamedTuple, TypeVar
from urllib.request import urlopen

import psutil
import redis

from benchmarks.dataflow_cost import COUNTER, Track
from benchmarks.growth_shop import Population, catalogue, coming_events, past_events, segments
from benchmarks.serving.load_clients import SERVER
from feature_repo.events import Event, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES, USER_PROFILE
from feature_repo.state import Row
from flows.console import tracked
from flows.event_store import open_event_store
from infra.servers import scrape
from infra.settings import Settings
from infra.stack import Stack

T = TypeVar("T")

PARTS = ("kafka", "redis", "postgres", "stream")
LOOK_EVERY_S, QUIET_S = 0.25, 1.0
BUSY = 0.3
"""A process that takes more of a core than this is at work."""

PATIENCE_S = 120.0
ROWS_AT_ONCE = 1_000
SAMPLE = 1_000
ROWS = "freshet_stream_rows_total"
HISTORY_READ, REBUILDING = "freshet_stream_history_messages_total", "freshet_stream_rebuilding"


@dataclass(frozen=True)
class StreamEffort:
    """How much is measured: events that wait, events a second and for how long, users of ``few``, rounds of each."""

    waiting: int = 20_000
    rate: float = 1_000
    seconds: float = 10
    few: int = 1_000
    rounds: int = 3


class Look(NamedTuple):
    """The dataflow at one moment; CPU seconds and counts since its start."""

    at: float
    cpu_s: float
    redis_cpu_s: float
    counted: int
    rows: float


class Running:
    """A dataflow on a core of its own that has a population behind it.

    Args:
        stack: with PARTS.
    """

    def __init__(self, stack: Stack) -> None:
        self.settings = stack.settings
        self._track = Track(stack.settings, stack.environment(), stack.settings.topic_events)
        (self._dataflow,) = psutil.Process(stack.process("stream").guard_pid).children()
        (self._redis,) = psutil.Process(stack.process("redis").guard_pid).children()
        for thread in self._dataflow.threads():
            psutil.Process(thread.id).cpu_affinity(SERVER)

    def look(self) -> Look:
        url = f"http://{self.settings.host}:{self.settings.stream_metrics_port}/metrics"
        with closing(urlopen(url, timeout=PATIENCE_S)) as answer:
            lines = answer.read().decode().splitlines()
        counted = sum(float(line.removeprefix(COUNTER)) for line in lines if line.startswith(COUNTER))
        rows = sum(float(line.split()[1]) for line in lines if line.startswith(f"{ROWS} "))
        return Look(time.monotonic(), cpu_s(self._dataflow), cpu_s(self._redis), round(counted), rows)

    def until_quiet(self, counted: int) -> Look:
        """Wait until so many events are counted and nothing is left to do: when it was last at work.

        Raises:
            TimeoutError: it does nothing, and has not counted them.
        """
        found = last = self.look()
        while True:
            time.sleep(LOOK_EVERY_S)
            now = self.look()
            busy = now.cpu_s - last.cpu_s > BUSY * (now.at - last.at)
            if busy or (now.counted, now.rows) != (last.counted, last.rows):
                found = now
            elif now.at - found.at > QUIET_S and now.counted >= counted:
                return found
            elif now.at - found.at > PATIENCE_S:
                raise TimeoutError(f"the dataflow has counted {now.counted} of {counted} events and does nothing more")
            last = now

    def costs(self, events: Sequence[Event], per_s: float | None) -> dict[str, float]:
        """Let events come in at a rate, or, None, wait in the log until all of them have."""
        before = self.look()
        if per_s is None:
            self._dataflow.suspend()
            try:
                self._track.send(events)
            finally:
                began = time.monotonic()
                self._dataflow.resume()
        else:
            began = time.monotonic()
            self._track.send(events, per_s)
        after = self.until_quiet(before.counted + len(events))
        count = len(events)
        return {
            "cpu_us": 1e6 * (after.cpu_s - before.cpu_s) / count,
            "redis_us": 1e6 * (after.redis_cpu_s - before.redis_cpu_s) / count,
            "rows": (after.rows - before.rows) / count,
            "per_s": count / (after.at - began),
        }

    def rss(self) -> int:
        """Bytes of memory that the dataflow has."""
        return int(self._dataflow.memory_info().rss)


def cpu_s(process: psutil.Process) -> float:
    """CPU time of one process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def keep_history(settings: Settings, population: Population) -> None:
    """Write the population's past into the event store."""
    store = open_event_store(settings.event_store_url)
    for events in tracked(past_events(population), "event store", unit="blocks"):
        store.append(events)
    store.close()


def until_rebuilt(running: Running, population: Population) -> float:
    """Wait until every state and row is there; seconds since the dataflow began to read. Raises TimeoutError."""
    url = f"http://{running.settings.host}:{running.settings.stream_metrics_port}/metrics"
    rows, told = 2 * len(set(population.history.user.tolist())) + population.items_met, 0.0
    began = changed = time.monotonic()
    while True:
        found = scrape(url)
        progress = found.get(HISTORY_READ, 0.0) + found.get(ROWS, 0.0)
        if progress != told:
            told, changed = progress, time.monotonic()
        if found.get(REBUILDING) == 0 and found.get(ROWS, 0) >= rows:
            return running.until_quiet(0).at - began
        if time.monotonic() - changed > PATIENCE_S:
            raise TimeoutError(
                f"the dataflow has written {found.get(ROWS, 0):.0f} of {rows} rows and does nothing more"
            )
        time.sleep(LOOK_EVERY_S)


def put_standing_rows(settings: Settings, population: Population) -> None:
    """Write catalogue and profiles, as the dataflow does when they come through the log, without that way."""
    now_us = time.time_ns() // 1_000
    profiles = (
        (f"u{n}", UserProfile.model_construct(user_id=f"u{n}", segments=segments(n, population.shelves)).row())
        for n in range(population.users)
    )
    entries = ((item.item_id, item.row()) for item in catalogue(population.shelves))
    views: dict[str, tuple[Iterable[tuple[str, Row]], int]] = {
        USER_PROFILE.name: (profiles, population.users),
        ITEM_CATALOG.name: (entries, population.items),
    }
    with redis.Redis.from_url(settings.redis_url) as client:
        store = OnlineStore(client, [USER_PROFILE, ITEM_CATALOG])
        for view, (rows, count) in views.items():
            batches = tracked(_batches(rows), view, total=-(-count // ROWS_AT_ONCE), unit="batches")
            for batch in batches:
                store.write({view: {entity_id: (row, now_us) for entity_id, row in batch}})


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    left = iter(rows)
    while batch := list(islice(left, ROWS_AT_ONCE)):
        yield batch


def redis_bytes(settings: Settings, population: Population) -> dict[str, float]:
    """Memory of Redis in all, and the mean size of a user's hash and of an item's (a sample of each)."""
    codecs = OnlineStore(None, [USER_FEATURES, ITEM_FEATURES]).codecs
    with redis.Redis.from_url(settings.redis_url) as client:

        def mean(view: str, ids: Sequence[str]) -> float:
            pipe = client.pipeline(transaction=False)
            for entity_id in ids:
                pipe.memory_usage(codecs[view].key(entity_id), samples=0)
            return float(sum(filter(None, pipe.execute())) / len(ids))

        users = range(0, population.users, max(1, population.users // SAMPLE))
        items = range(0, population.items, max(1, population.items // SAMPLE))
        return {
            "redis_bytes": float(client.info("memory")["used_memory"]),
            "user_hash_bytes": mean(USER_FEATURES.name, [f"u{n}" for n in users]),
            "item_hash_bytes": mean(ITEM_FEATURES.name, [f"i{n}" for n in items]),
        }


def measure(stack: Stack, population: Population, effort: StreamEffort, rebuild_s: float) -> dict[str, Any]:
    """Memory of a population, and medians of what its events cost."""
    running = Running(stack)
    figures: dict[str, Any] = {
        "acts_per_user": len(population.history.user) / population.users,
        "items_met": population.items_met,
        "rebuild_s": rebuild_s,
        "rss_bytes": running.rss(),
        **redis_bytes(stack.settings, population),
    }
    count = round(effort.rate * effort.seconds)
    ways: dict[str, Callable[[int], dict[str, float]]] = {
        "few": lambda n: running.costs(coming_events(population, count, n, effort.few), effort.rate),
        "waiting": lambda n: running.costs(coming_events(population, effort.waiting, 100 + n), None),
        "everybody": lambda n: running.costs(coming_events(population, count, 200 + n), effort.rate),
    }
    for name, cost in ways.items():
        figures[name] = _medians([cost(n) for n in range(effort.rounds)])
    return figures


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(found[name] for found in rounds) for name in rounds[0]}
