"""What the dataflow costs: CPU time of its processes for a log of events, whole and with parts left out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import psutil
import redis

from benchmarks.doors import LogDoor
from feature_repo.events import EVENT_TYPES, Event
from flows.console import tracked
from flows.event_store import open_event_store
from infra.settings import Settings
from infra.topics import ensure_topics

CORES = sorted(os.sched_getaffinity(0))
"""Cores of this process at its start; the dataflow gets the first."""
WHOLE = "flows.stream:flow"
COUNTER = 'freshet_stream_events_total{result="new"} '
LOOK_EVERY_S, QUIET_S = 0.25, 1.5
BUSY = 0.3
PATIENCE_S = 30.0
SEND_AT_ONCE = 2_000
TICKS_PER_S = 50


@dataclass(frozen=True)
class Cost:
    """Of one run over ``events`` events: CPU seconds of all processes together, and seconds on the clock.

    ``behind``: events that were not counted yet when the broker acknowledged the last one.
    """

    events: int
    cpu_s: float
    wall_s: float
    behind: int = 0

    @property
    def per_core(self) -> float:
        """Events a second on one busy core."""
        return self.events / self.cpu_s

    @property
    def cpu_us(self) -> float:
        """CPU microseconds an event."""
        return 1e6 * self.cpu_s / self.events


def made_up_events(count: int, users: int = 1_000, items: int = 2_000, seed: int = 7) -> list[Event]:
    """Events of the last six hours in order of time, users and items uniform."""
    random = np.random.default_rng(seed)
    start = time.time() - 6 * 3_600
    who, what = random.integers(users, size=count), random.integers(items, size=count)
    kinds = random.choice(EVENT_TYPES, size=count, p=[0.5, 0.25, 0.1, 0.02, 0.08, 0.05])
    return [
        Event.model_validate(
            {
                "user_id": f"u{who[n]}",
                "item_id": f"i{what[n]}",
                "event_type": kinds[n],
                "timestamp": start + n * 20_000 / count,
                "event_id": f"{seed:04x}{n:028x}",
                "value": n % 5 + 1 if kinds[n] == "rate" else None,
            }
        )
        for n in range(count)
    ]


class Track:
    """A log of its own for one list of events on running servers, and dataflows that read it.

    Args:
        settings: of the servers.
        environment: of child processes.
        name: of the topic.
    """

    def __init__(self, settings: Settings, environment: dict[str, str], name: str) -> None:
        self._settings = settings.model_copy(update={"topic_events": name})
        self._environment = environment
        ensure_topics(self._settings)

    def send(self, events: Sequence[Event], per_s: float | None = None) -> None:
        """Put events into the log, as fast as it takes them or at a rate."""
        at_once = SEND_AT_ONCE if per_s is None else round(per_s / TICKS_PER_S)
        firsts = range(0, len(events), at_once)
        due = time.perf_counter()
        with LogDoor(self._settings) as door:
            for first in tracked(firsts, "sending", total=len(firsts), unit=f"times {at_once:,} events"):
                door.send(events[first : first + at_once])
                due += 1 / TICKS_PER_S
                time.sleep(max(0.0, due - time.perf_counter()) if per_s else 0.0)

    def cost(self, events: int, flow: str = WHOLE, processes: int = 1) -> Cost:
        """Let a dataflow without any state read the whole log; ``events``: how many lie there."""
        with _Run(self._settings, self._environment, flow, processes) as run:
            cost = run.until_quiet(events)
            if flow == WHOLE and (stored := run.stored()) != events:
                raise TimeoutError(f"the dataflow stored {stored} of {events} events")
            return cost

    def cost_of_stream(self, events: Sequence[Event], per_s: float) -> Cost:
        """Let the dataflow read what comes in at a rate."""
        with _Run(self._settings, self._environment, WHOLE, 1) as run:
            run.until_quiet(0)
            before_s, started = run.cpu_s(), time.monotonic()
            self.send(events, per_s)
            wall_s = time.monotonic() - started
            behind = len(events) - run.counted()
            cpu_s = run.until_quiet(len(events)).cpu_s - before_s
            return Cost(len(events), cpu_s, wall_s, behind)


class _Run:
    """A dataflow on one core (one each, with several processes), from nothing: no states, no rows, no stored events."""

    def __init__(self, settings: Settings, environment: dict[str, str], flow: str, processes: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="freshet-")
        folder = Path(self._folder.name)
        self._settings = settings.model_copy(
            update={"event_store_url": f"file://{folder / 'events'}", "stream_processes": processes}
        )
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushall()
        recovery = folder / "recovery"
        recovery.mkdir()
        subprocess.run([sys.executable, "-m", "bytewax.recovery", str(recovery), str(processes)], check=True)
        module = "bytewax.run" if processes == 1 else "flows.cluster"
        command = [sys.executable, "-m", module, flow, "-r", str(recovery), "-s", "10", "-b", "0"]
        self._child = subprocess.Popen(command, env=environment | self._settings.environment())
        self._process = psutil.Process(self._child.pid)
        self._process.cpu_affinity(CORES[:processes])
        self._wait_for_metrics()
        self._before_s = self._total_cpu_s()
        self.started = time.monotonic()

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()
        self._folder.cleanup()

    def cpu_s(self) -> float:
        """CPU seconds since it began to read."""
        return self._total_cpu_s() - self._before_s

    def until_quiet(self, events: int) -> Cost:
        """Wait until so many events are counted and nothing is left to do; the cost until then. Raises TimeoutError."""
        done, last = Cost(events, self.cpu_s(), time.monotonic() - self.started), self.cpu_s()
        while True:
            time.sleep(LOOK_EVERY_S)
            if self._child.poll() is not None:
                raise TimeoutError(f"the dataflow ended with code {self._child.returncode}")
            now, wall_s = self.cpu_s(), time.monotonic() - self.started
            if now - last > BUSY * LOOK_EVERY_S:
                done = Cost(events, now, wall_s)
            elif wall_s - done.wall_s > QUIET_S:
                if (counted := self.counted()) >= events:
                    return done
                if wall_s - done.wall_s > PATIENCE_S:
                    raise TimeoutError(f"the dataflow has counted {counted} of {events} events and does nothing more")
            last = now

    def stored(self) -> int:
        """Number of events in the event store."""
        return open_event_store(self._settings.event_store_url).count()

    def counted(self) -> int:
        """Events that the processes have counted as new, by their metrics."""
        first, found = self._settings.stream_metrics_port, 0.0
        for port in range(first, first + self._settings.stream_processes):
            with closing(urlopen(f"http://{self._settings.host}:{port}/metrics", timeout=2)) as answer:
                lines = answer.read().decode().splitlines()
            found += sum(float(line.removeprefix(COUNTER)) for line in lines if line.startswith(COUNTER))
        return round(found)

    def _total_cpu_s(self) -> float:
        times = [process.cpu_times() for process in (self._process, *self._process.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def _wait_for_metrics(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.counted()
                return
            except OSError:
                if self._child.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError("the dataflow does not start") from None
                time.sleep(0.02)
