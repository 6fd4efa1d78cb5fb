"""The item matrix of the request path: ``python -m benchmarks.serving.item_matrix [--items N] [--memory N]``.

Against a Redis of its own, filled with made-up rows as the stream writes them: how long a worker takes to read all
rows at its start; how soon a change is in the matrix, idle and while a thousand items change every second, and what
following costs; and, in processes of their own, what a second worker takes when it shares the first one's matrix, and
what so many items take in memory (``--memory``, no Redis needed).
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import psutil
import redis
from rich.console import Console
from rich.table import Table

from bento.recommender.catalog import Catalog, follow
from bento.recommender.shared_items import SharedItems
from feature_repo.events import Item
from feature_repo.item_table import NUMBERS, ItemTable, bytes_per_item
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES
from feature_repo.state import ItemState, Row
from flows.console import tracked
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError

LABELS = tuple(f"category-{n}" for n in range(40))
TTL_S = 365 * 86_400.0
ROWS_AT_ONCE = 500
CHANGES_PER_S = 1_000
PROBES = 60
PATIENCE_S = 10.0

console = Console()


def store_of(settings: Settings) -> OnlineStore:
    """The item rows of a Redis."""
    return OnlineStore(redis.Redis.from_url(settings.redis_url), [ITEM_FEATURES, ITEM_CATALOG])


def item_row(random: Random, now_us: int) -> Row:
    """A row of counts, most of them not zero."""
    counts = {name: random.random() for name in NUMBERS}
    return (
        ItemState().row()
        | counts
        | {
            "event_count": random.randrange(1, 10_000),
            "value_count": random.randrange(100),
            "first_event_us": now_us - 10**12,
            "last_event_us": now_us - random.randrange(10**11),
        }
    )


def entry(random: Random, n: int) -> Row:
    """A catalogue row."""
    labels = tuple(random.sample(LABELS, 2))
    return Item(item_id=f"item-{n}", title=f"A made-up thing {n}", categories=labels, price=1.0 + n % 99).row()


def fill(store: OnlineStore, items: int) -> None:
    """Write all rows, as the stream does."""
    random, now_us = Random(7), time.time_ns() // 1_000
    for first in tracked(range(0, items, ROWS_AT_ONCE), "rows", total=-(-items // ROWS_AT_ONCE), unit="batches"):
        ids = range(first, min(first + ROWS_AT_ONCE, items))
        store.write(
            {
                "item_features": {f"item-{n}": (item_row(random, now_us), now_us) for n in ids},
                "item_catalog": {f"item-{n}": (entry(random, n), now_us) for n in ids},
            }
        )


def change(store: OnlineStore, items: int, per_s: int, stop: threading.Event) -> None:
    """Change so many items every second, in batches of a twentieth, until told to stop."""
    random = Random(11)
    while per_s and not stop.wait(0.05):
        now_us = time.time_ns() // 1_000
        ids = random.sample(range(items), per_s // 20)
        store.write({"item_features": {f"item-{n}": (item_row(random, now_us), now_us) for n in ids}})


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Something that goes on in a thread of its own meanwhile, until it is told to stop."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def seconds_to_show(catalog: Catalog, store: OnlineStore, count: int) -> float:
    """How long a new count of one item takes into the matrix."""
    now_us = time.time_ns() // 1_000
    row = item_row(Random(count), now_us) | {"event_count": count}
    store.write({"item_features": {"item-0": (row, now_us)}})
    began, number = time.perf_counter(), catalog.table.index["item-0"]
    while catalog.table.column("event_count")[number] != count:
        if time.perf_counter() - began > PATIENCE_S:
            raise TimeoutError(f"a change is not in the item matrix after {PATIENCE_S:.0f} s")
        time.sleep(0.002)
    return time.perf_counter() - began


def measure_following(settings: Settings, items: int, shown: Table) -> None:
    """Rows of the first table: start, then changes at two loads."""
    store, table = store_of(settings), ItemTable(LABELS)
    catalog = Catalog(store, table, TTL_S)
    began, cpu = time.perf_counter(), time.process_time()
    catalog.catch_up()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    shown.add_row("all rows read at the start", f"{wall:.1f} s", "", f"{cpu / items * 1e6:.0f} us an item")
    for per_s in (0, CHANGES_PER_S):
        follows = partial(follow, lambda: [catalog], settings.item_refresh_s)
        with beside(follows), beside(partial(change, store_of(settings), items, per_s)):
            time.sleep(2)
            found = [seconds_to_show(catalog, store, 20_000 + per_s + n) for n in range(PROBES)]
        p50, worst = np.percentile(found, [50, 100]) * 1_000
        shown.add_row(f"a change in the matrix, {per_s:,} others a second", f"{p50:.0f} ms", f"{worst:.0f} ms", "")


def measure_memory(items: int) -> int:
    """Bytes that a table of so many items takes in this process."""
    process, random = psutil.Process(), Random(7)
    gc.collect()
    before = process.memory_info().rss
    table = ItemTable(LABELS)
    row = np.array([list(item_row(random, time.time_ns() // 1_000).values())], np.float64)
    for n in range(items):
        table.put_catalog(f"item-{n}", entry(random, n))
    table.put_numbers(np.arange(items), np.repeat(row, items, 0))
    table.trends.refresh()
    gc.collect()
    return int(process.memory_info().rss - before)


def measure_second_worker(settings: Settings, items: int, folder: str) -> tuple[int, float]:
    """What a worker takes of its own (unique set size) that follows a matrix filled by another, and its seconds."""
    process = psutil.Process()
    gc.collect()
    before, began = process.memory_full_info().uss, time.perf_counter()
    shared = SharedItems(Path(folder), LABELS, items)
    catalog = Catalog(store_of(settings), ItemTable(LABELS, shared.arrays), TTL_S, shared=shared)
    catalog.catch_up()
    assert len(catalog.table) == items
    return int(process.memory_full_info().uss - before), time.perf_counter() - began


def measure_sharing(settings: Settings, items: int, shown: Table) -> None:
    """Rows of the first table: a second worker beside one that has read everything."""
    with tempfile.TemporaryDirectory(prefix="freshet-") as folder:
        shared = SharedItems(Path(folder), LABELS, items)
        first = Catalog(store_of(settings), ItemTable(LABELS, shared.arrays), TTL_S, shared=shared)
        first.catch_up()
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            uss, wall = pool.submit(measure_second_worker, settings, items, folder).result()
    shown.add_row("a second worker's start", f"{wall:.1f} s", "", f"{uss / items:.0f} bytes an item of its own")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.item_matrix", description=__doc__)
    parser.add_argument("--items", type=int, default=100_000, help="items in Redis")
    parser.add_argument("--memory", type=int, default=1_000_000, help="items whose memory is measured")
    options = parser.parse_args(arguments)
    shown = Table("what", "p50", "max", "cost", title=f"The item matrix, {options.items:,} items", title_justify="left")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="freshet-") as home,
            Stack(load_settings(home=Path(home), **any_ports()), ("redis",)) as stack,
        ):
            fill(store_of(stack.settings), options.items)
            measure_following(stack.settings, options.items, shown)
            measure_sharing(stack.settings, options.items, shown)
    except (SettingsError, StackError, TimeoutError, redis.RedisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(shown)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        taken = pool.submit(measure_memory, options.memory).result()
    console.print(
        f"{options.memory:,} items of {len(LABELS)} categories: {taken / 2**20:,.0f} MiB, of these "
        f"{bytes_per_item(LABELS) * options.memory / 2**20:,.0f} MiB columns, which workers share"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
