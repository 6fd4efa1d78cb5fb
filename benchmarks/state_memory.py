"""Memory that the dataflow's states take: resident size of a fresh process before and after."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple, get_args

import psutil

from feature_repo.events import Event, EventType
from flows.console import tracked
from flows.logics import UserLogic
from flows.messages import Arrival
from infra.settings import load_settings

DAYS = 30
ITEMS = 50_000


class Memory(NamedTuple):
    """Bytes of all states together, and the mean size of one user's snapshot in the recovery store."""

    states: int
    snapshot: float


def of_users(users: int, events_each: int) -> Memory:
    """What users with so many events each, spread over 30 days, take; measured in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, users, events_each).result()


def _measure(users: int, events_each: int) -> Memory:
    random, lateness_s = Random(7), load_settings().lateness_s
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    kept = []
    for user in tracked(range(users), f"{events_each} events a user", total=users, unit="users"):
        logic = UserLogic(lateness_s, lambda verdict: None, None)
        logic.on_batch([Arrival(event, event.time_us) for event in _history(random, user, events_each)])
        kept.append(logic)
    gc.collect()
    taken = process.memory_info().rss - before
    sample = kept[:1_000]
    return Memory(taken, sum(len(logic.snapshot()) for logic in sample) / len(sample))


def _history(random: Random, user: int, count: int) -> Iterator[Event]:
    now, kinds = datetime.now(UTC), get_args(EventType)
    for ago_s in sorted((random.uniform(0, DAYS * 86_400) for _ in range(count)), reverse=True):
        yield Event.model_construct(
            user_id=f"user-{user}",
            item_id=f"item-{int(random.triangular(0, ITEMS, 0))}",
            event_type=random.choice(kinds),
            timestamp=now - timedelta(seconds=ago_s),
            event_id=f"{random.getrandbits(128):032x}",
            value=None,
        )
