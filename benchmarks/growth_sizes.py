"""What one event, one user and one item of history weigh: sizes that no population is needed for.

An event in the log, in Parquet and as MongoDB's document; a user by the number of his acts, in the dataflow and in
Redis, there also with longer lists kept in the compact form of a hash; and how fast history becomes the rows of a
training in one process.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import redis

from benchmarks.growth_requests import closed_loop
from benchmarks.growth_shop import Population, catalogue, coming_events, past_events, populate, segments
from benchmarks.growth_stream import cpu_s
from benchmarks.serving.load_clients import CLIENT, SERVER, Server, on_cores
from benchmarks.state_memory import of_users
from feature_repo.events import EVENT_TYPES, Event, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import USER_FEATURES, USER_PROFILE, USER_SEEN
from feature_repo.state import UserState
from flows.backfill import write_history
from flows.console import tracked
from flows.event_columns import SCHEMA, row_of
from flows.synthetic_shop import DAY_S
from infra.settings import any_ports, load_settings
from infra.stack import Stack

ACTS = (3, 20, 50, 200)
TIMES = 10
ARRAY = 20
"""Events in one POST where they come by arrays."""

ITEMS = 10_000
SHARES = (0.5, 0.25, 0.1, 0.02, 0.08, 0.05)
"""Of the event types."""

BATCH = 1_000
"""Events that a producer compresses together, and rows written at once."""

REDIS_VALUE, COMPACT_VALUE = 64, 2_048
"""Bytes of a hash's longest value up to which Redis keeps the hash as one block: its default, and what is tried."""

CONNECTIONS = 8
INGEST_PARTS = ("kafka", "redis", "postgres", "stream", "ingest")
VIEWS = (USER_FEATURES, USER_SEEN, USER_PROFILE)


def measure(users: int, seconds: float) -> dict[str, Any]:
    """All sizes and costs.

    Args:
        users: how many are weighed at each number of acts; TIMES as many do what is weighed of events.
        seconds: how long events are posted.

    Raises:
        StackError: a server does not start, or refuses events.
    """
    population = populate(TIMES * users, ITEMS)
    return {
        "event": event_bytes(population),
        "users": user_bytes(population, users),
        "backfill": backfill(population),
        "ingest": ingest(population, seconds),
    }


def event_bytes(population: Population, count: int = 50_000) -> dict[str, float]:
    """Mean bytes of an event by where it is kept, and of a batch's share of one when it is compressed."""
    events = coming_events(population, count, seed=1)
    messages = [event.encode() for event in events]
    batches = [b"".join(messages[first : first + BATCH]) for first in range(0, count, BATCH)]
    file = io.BytesIO()
    columns = [row_of(event) for event in events]
    rows = pa.table({name: [row.get(name) for row in columns] for name in SCHEMA.names}, schema=SCHEMA)
    pq.write_table(rows, file, compression="zstd")
    documents = [bson.encode({**row, "timestamp": event.timestamp}) for row, event in zip(columns, events, strict=True)]
    packed = {
        name: sum(len(pa.compress(batch, codec=name, asbytes=True)) for batch in batches) for name in ("lz4", "zstd")
    }
    return {
        "message": sum(map(len, messages)) / count,
        "key": sum(len(event.user_id.encode()) for event in events) / count,
        **{name: size / count for name, size in packed.items()},
        "parquet": file.tell() / count,
        "bson": sum(map(len, documents)) / count,
    }


def user_bytes(population: Population, users: int) -> dict[str, dict[str, float]]:
    """Bytes of a user by his acts: in the dataflow, his snapshot, and in Redis with the change feed, both ways."""
    found = {}
    for acts in ACTS:
        # Between two numbers of users: what a process takes besides is in both.
        memory, less = of_users(users, acts), of_users(users // 4, acts)
        each = (memory.states - less.states) / (users - users // 4)
        found[str(acts)] = {"state": each, "snapshot": memory.snapshot}
    with (
        tempfile.TemporaryDirectory(prefix="freshet-") as home,
        Stack(load_settings(home=Path(home), **any_ports()), ("redis",)) as stack,
        redis.Redis.from_url(stack.settings.redis_url) as client,
    ):
        (server,) = psutil.Process(stack.process("redis").guard_pid).children()
        for acts in tracked(ACTS, "rows of users", total=len(ACTS), unit="numbers of acts"):
            states = _states(population, users, acts)
            for name, longest in (("redis", REDIS_VALUE), ("redis_compact", COMPACT_VALUE)):
                client.config_set("hash-max-listpack-value", longest)
                found[str(acts)] |= _written(client, server, states, population, name)
    return found


def _states(population: Population, users: int, acts: int) -> list[UserState]:
    """Users who did so much within 30 days, each with items of three shelves."""
    random, states = np.random.default_rng(acts), []
    now, shelves = datetime.now(UTC), population.shelves
    for user in range(users):
        tastes = random.integers(len(shelves.first), size=3)
        items = shelves.popular(tastes[random.integers(3, size=acts)], random)
        states.append(state := UserState())
        for item, kind, ago_s in zip(
            items.tolist(),
            random.choice(EVENT_TYPES, acts, p=SHARES).tolist(),
            np.sort(random.uniform(0, 30 * DAY_S, acts))[::-1].tolist(),
            strict=True,
        ):
            at = now - timedelta(seconds=ago_s)
            state.apply(Event.model_construct(user_id=f"u{user}", item_id=f"i{item}", event_type=kind, timestamp=at))
    return states


def _written(
    client: Any, server: psutil.Process, states: Sequence[UserState], population: Population, name: str
) -> dict[str, float]:
    client.execute_command("FLUSHALL", "SYNC")  # freed later, it would seem to take less than nothing
    before, before_s, store = client.info("memory")["used_memory"], cpu_s(server), OnlineStore(client, VIEWS)
    for first in range(0, len(states), BATCH):
        users = dict(enumerate(states[first : first + BATCH], first))
        profiles = {n: UserProfile(user_id=f"u{n}", segments=segments(n, population.shelves)) for n in users}
        store.write(
            {
                USER_FEATURES.name: {f"u{n}": (state.row(), state.last_us) for n, state in users.items()},
                USER_SEEN.name: {f"u{n}": (state.seen_row(), state.last_us) for n, state in users.items()},
                USER_PROFILE.name: {f"u{n}": (profile.row(), 1) for n, profile in profiles.items()},
            }
        )
    spent_us = 1e6 * (cpu_s(server) - before_s) / len(states)
    return {name: (client.info("memory")["used_memory"] - before) / len(states), f"{name}_us": spent_us}


def backfill(population: Population) -> dict[str, float]:
    """Events a CPU second through the backfill, and bytes of the offline store an event."""

    def events() -> Iterator[Event]:
        for block in past_events(population):
            yield from block

    items = list(catalogue(population.shelves))
    users = [UserProfile(user_id=f"u{n}", segments=segments(n, population.shelves)) for n in range(population.users)]
    with tempfile.TemporaryDirectory(prefix="freshet-") as folder:
        began = time.process_time()
        rows = write_history(Path(folder), tracked(events(), "backfill", unit="events"), items, users)
        spent_s = time.process_time() - began
        size = sum(file.stat().st_size for file in Path(folder).glob("*.parquet"))
    count = len(population.history.user)
    return {"events": count, "cpu_us": 1e6 * spent_s / count, "bytes": size / count, "rows": sum(rows.values()) / count}


def ingest(population: Population, seconds: float) -> dict[str, float]:
    """CPU microseconds of ingest an event, posted one by one and as arrays, the log and the dataflow behind it."""
    events = [event.model_copy(update={"timestamp": datetime.now(UTC)}) for event in _some_events(population)]
    single = [f"POST /events {event.encode().decode()}" for event in events]
    arrays = [events[first : first + ARRAY] for first in range(0, len(events), ARRAY)]
    together = [f"POST /events [{','.join(event.encode().decode() for event in some)}]" for some in arrays]
    with (
        tempfile.TemporaryDirectory(prefix="freshet-") as home,
        on_cores(CLIENT),
    ):
        Path(home).chmod(0o755)  # PostgreSQL may run as another user
        with Stack(load_settings(home=Path(home), **any_ports()), INGEST_PARTS) as stack:
            process = stack.process("ingest")
            for child in psutil.Process(process.guard_pid).children(recursive=True):
                for thread in child.threads():
                    psutil.Process(thread.id).cpu_affinity(SERVER)
            server = Server("ingest", stack.settings.host, stack.settings.ingest_port, process)
            ways = {"one": (single, 1), "array": (together, ARRAY)}
            figures: dict[str, float] = {}
            for name, (lines, each) in ways.items():
                closed_loop(server, lines, CONNECTIONS, 1, answer=201)
                found = closed_loop(server, lines, CONNECTIONS, seconds, answer=201)
                figures |= {f"{name}_us": 1e3 * found["cpu_ms"] / each, f"{name}_per_s": each * found["per_s"]}
    return figures


def _some_events(population: Population) -> list[Event]:
    return coming_events(population, 2_000, seed=2)
