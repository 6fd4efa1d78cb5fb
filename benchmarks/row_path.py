"""The way of a row into Redis: ours against Feast's own, same rows, same Redis, in turns."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import redis

from benchmarks.dataflow_cost import made_up_events
from feature_repo.online import OnlineStore
from feature_repo.schema import TIMESTAMP, USER_FEATURES
from feature_repo.state import Row, States
from feature_repo.store import apply_definitions, open_store
from flows.console import tracked
from infra.settings import Settings

BATCH, SINGLE = 500, 100
ROUNDS = 9
EVENTS_PER_USER = 60


Rows = list[tuple[str, Row, int]]
"""User, row, event time in microseconds."""
AT_ONCE, ONE_BY_ONE = f"{BATCH} at once", "one by one"


def measure(settings: Settings) -> dict[tuple[str, str], float]:
    """Rows of ``user_features`` a second: median of several rounds, each way in turn.

    A round writes 500 users with 60 events each at once, and 100 of them one by one. Feast gets its data frames
    ready made. Each round's rows are newer than the last one's, or Feast would skip them.
    """
    states = States()
    for event in made_up_events(BATCH * EVENTS_PER_USER, users=BATCH):
        states.apply(event)
    users = [(user, state.row(), state.last_us) for user, state in states.users.items()]
    feast = open_store(settings)
    apply_definitions(feast)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with redis.Redis.from_url(settings.redis_url) as client:
        online = OnlineStore(client, [USER_FEATURES])
        ways = {"OnlineStore.write": partial(_write, online), "store.push": partial(_push, feast)}
        for later in tracked(range(ROUNDS), "row path", total=ROUNDS, unit="rounds"):
            for place, (way, prepare) in enumerate(ways.items()):
                newer = [(user, row, at + 1 + 4 * later + 2 * place) for user, row, at in users]
                found[way, AT_ONCE].append(BATCH / _seconds([prepare(newer)]))
                newest = [(user, row, at + 1) for user, row, at in newer[:SINGLE]]
                found[way, ONE_BY_ONE].append(SINGLE / _seconds([prepare([each]) for each in newest]))
                _expect(online, newer[-1], newest[-1])
    return {way: statistics.median(rates) for way, rates in found.items()}


def _seconds(writes: list[Callable[[], object]]) -> float:
    started = time.perf_counter()
    for write in writes:
        write()
    return time.perf_counter() - started


def _expect(online: OnlineStore, *rows: tuple[str, Row, int]) -> None:
    found = online.read(USER_FEATURES.name, [user for user, _, _ in rows])
    if [row and row.time_us for row in found] != [at for _, _, at in rows]:
        raise TimeoutError("a row that was written is not in Redis")


def _write(online: OnlineStore, rows: Rows) -> Callable[[], object]:
    return lambda: online.write({USER_FEATURES.name: {user: (row, at) for user, row, at in rows}})


def _push(feast: Any, rows: Rows) -> Callable[[], object]:
    moments = pd.to_datetime([at for _, _, at in rows], unit="us", utc=True)
    frame = pd.DataFrame([{"user_id": user, **row} for user, row, _ in rows]).assign(**{TIMESTAMP: moments})
    return lambda: feast.push(f"{USER_FEATURES.name}_push", frame)
