"""What the dataflow of outcomes costs: ``python -m benchmarks.outcomes_cost``.

CPU time of its process, pinned to one core, for a log of impressions of ten items with all features of the ranker, for
the acts on them, and for events that name no list, which most do; and its memory, with all lists open.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
import psutil
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks.dataflow_cost import CORES
from feature_repo.events import Event, pseudonym
from flows.console import tracked
from infra.servers import scrape
from infra.settings import Settings, any_ports, load_settings
from infra.stack import Stack
from models.ranker import ranker_features

USERS, ITEMS, K = 1_000, 2_000, 10
LOOK_EVERY_S, QUIET_S, IDLE_S, BUSY = 0.25, 2.0, 5.0, 0.2
PATIENCE_S = 120.0

Messages = Sequence[tuple[str, str, bytes]]
"""Topic, key and value."""


class Cost(NamedTuple):
    """Of one kind of message."""

    messages: int
    cpu_s: float
    rss_mb: float


def impressions(settings: Settings, count: int) -> Iterator[tuple[str, str, bytes]]:
    """Lists of now, half of them in either variant of an experiment."""
    random, names = np.random.default_rng(7), list(ranker_features())
    for n in range(count):
        user_key, now_us = pseudonym(f"u{n % USERS}"), time.time_ns() // 1_000
        items = random.choice(ITEMS, K, replace=False)
        message = {
            "recommendation_id": f"{n:032x}",
            "user_key": user_key,
            "model_version": "20260101T000000-00000000",
            "variant": "champion",
            "fallback": None,
            "feature_age_ms": 1.0,
            "timestamp": "2026-01-01T00:00:00.000Z",
            "time_us": now_us,
            "registered_version": "1",
            "experiments": {"e": "ab"[n % USERS % 2]},
            "shadow": None,
            "offset": 0,
            "items": [{"item_id": f"i{item}", "score": 0.5, "source": "retriever"} for item in items],
            "feature_names": names,
            "features": random.random((K, len(names)), np.float32),
        }
        yield settings.topic_impressions, user_key, orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)


def events(settings: Settings, count: int, named: bool) -> Iterator[tuple[str, str, bytes]]:
    """Clicks, each on a list's item or without a list."""
    for n in range(count):
        user, of = f"u{n % USERS}", f"{n:032x}" if named else None
        event = Event(
            user_id=user,
            item_id=f"i{n % ITEMS}",
            event_type="click",
            value=None,
            event_id=f"{named:d}{n:031x}",
            recommendation_id=of,
        )
        yield settings.topic_events, user, event.encode()


class Run:
    """The process, and what it has used."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._process = psutil.Process(stack.process("outcomes").pid or 0)
        self._process.cpu_affinity(CORES[:1])
        self._producer = Producer({"bootstrap.servers": stack.settings.kafka_bootstrap_servers, "linger.ms": 20})

    def idle(self) -> float:
        """Share of a core that it takes when nothing happens."""
        time.sleep(QUIET_S)
        before_s = self._cpu_s()
        time.sleep(IDLE_S)
        return (self._cpu_s() - before_s) / IDLE_S

    def cost(self, messages: Messages) -> Cost:
        """Send messages and wait until nothing is left to do."""
        before_s = self._cpu_s()
        for topic, key, value in tracked(messages, "sending", total=len(messages), unit="messages"):
            while True:
                try:
                    self._producer.produce(topic, value, key)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self._producer.flush()
        self._wait_until_quiet()
        return Cost(len(messages), self._cpu_s() - before_s, self._process.memory_info().rss / 2**20)

    def _wait_until_quiet(self) -> None:
        deadline, last, quiet_since = time.monotonic() + PATIENCE_S, self._cpu_s(), time.monotonic()
        while time.monotonic() - quiet_since < QUIET_S:
            time.sleep(LOOK_EVERY_S)
            now = self._cpu_s()
            if now - last > BUSY * LOOK_EVERY_S:
                quiet_since = time.monotonic()
            last = now
            if time.monotonic() > deadline:
                raise TimeoutError(f"the dataflow is still busy after {PATIENCE_S:.0f} s")

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def close(self) -> None:
        """Let go of the log, before the broker ends."""
        del self._producer

    def told(self) -> dict[str, float]:
        """Its metrics without labels."""
        settings = self._stack.settings
        return scrape(f"http://{settings.host}:{settings.outcomes_metrics_port}/metrics")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=20_000, help="impressions sent (default: 20,000)")
    count = parser.parse_args().lists
    table = Table(title=f"The dataflow of outcomes: {count:,} lists of {K} items, {len(ranker_features())} features")
    for heading in ("messages", "number", "CPU µs each", "memory after it, MB"):
        table.add_column(heading, justify="left" if heading == "messages" else "right")
    with (
        tempfile.TemporaryDirectory(prefix="freshet-") as folder,
        Stack(load_settings(home=Path(folder), **any_ports()), ("kafka", "postgres", "outcomes")) as stack,
    ):
        run = Run(stack)
        idle = run.idle()
        kinds = {
            "lists": list(impressions(stack.settings, count)),
            "acts on them": list(events(stack.settings, count, named=True)),
            "events without a list": list(events(stack.settings, count, named=False)),
        }
        for name, messages in kinds.items():
            found = run.cost(messages)
            each_us = 1e6 * found.cpu_s / found.messages
            table.add_row(name, f"{found.messages:,}", f"{each_us:.0f}", f"{found.rss_mb:.0f}")
        open_lists = run.told()["freshet_outcomes_open_states"]
        run.close()
    console = Console()
    console.print(table)
    console.print(f"idle: {idle:.1%} of a core; {open_lists:,.0f} lists were open at the end")


if __name__ == "__main__":
    main()
