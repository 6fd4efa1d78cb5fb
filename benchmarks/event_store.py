"""What does keeping an event cost? ``python -m benchmarks.event_store [URL ...]``.

Each store gets events of 900 users over 215 days, in order of time, appended in batches of three sizes; then all are
read, and one user is erased. Without a URL: Parquet files in a throw-away folder. The store has to be empty.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from feature_repo.events import Event
from flows.console import tracked
from flows.event_store import EventStore, EventStoreError, open_event_store
from infra.settings import SettingsError

USERS, ITEMS = 900, 1_682
START, SPAN = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=215)
BATCHES = {1: 0.05, 100: 0.45, 1_000: 0.5}
"""Size of a batch -> the part of all events that is appended in such."""

console = Console()

T = TypeVar("T")


def sample(count: int) -> list[Event]:
    """Events at even distances, each user's spread over the whole time."""
    return [
        Event(
            user_id=f"user-{n % USERS}",
            item_id=f"item-{n % ITEMS}",
            event_type="rate",
            event_id=f"{n:032x}",
            timestamp=START + SPAN * n / count,
            value=n % 5,
        )
        for n in range(count)
    ]


def appending_us(store: EventStore, events: Sequence[Event], name: str) -> dict[int, float]:
    """Size of a batch -> microseconds an event."""
    found, first = {}, 0
    for size, part in BATCHES.items():
        last = first + round(part * len(events))
        batches = [events[n : min(n + size, last)] for n in range(first, last, size)]
        took_s = 0.0
        for batch in tracked(batches, f"{name}, {size:,} at once", total=len(batches), unit="batches"):
            took_s += timed(partial(store.append, batch))[0]
        found[size] = took_s / (last - first) * 1e6
        first = last
    return found


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def measure(url: str, events: Sequence[Event]) -> list[str]:
    """One store's row of the table."""
    name = url.partition(":")[0]
    with closing(open_event_store(url)) as store:
        if store.count():
            raise SettingsError(f"{name}: the store holds events already; this needs an empty one")
        costs = appending_us(store, events, name)
        store.compact()
        rows_s, rows = timed(lambda: sum(table.num_rows for table in store.tables()))
        events_s, found = timed(lambda: sum(1 for _ in store.scan()))
        history_s, history = timed(lambda: sum(1 for _ in store.scan(user_id="user-7")))
        erase_s, erased = timed(lambda: store.erase("user-7", 2**62))
    if not (rows == found == len(events) and 0 < history == erased):
        raise AssertionError(
            f"{name}: {len(events)} appended, {rows} and {found} read; {history} of a user, {erased} erased"
        )
    figures = [*(f"{us:,.1f}" for us in costs.values()), f"{rows / rows_s:,.0f}", f"{found / events_s:,.0f}"]
    return [name, *figures, f"{1e3 * history_s:,.0f}", f"{1e3 * erase_s:,.0f}"]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="*", metavar="URL")
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    events = sample(arguments.events)
    table = Table(title=f"Event store, {len(events):,} events of {USERS} users over 215 days", show_lines=False)
    table.add_column("store")
    sizes = [f"append {size:,}\nµs/event" for size in BATCHES]
    for column in (*sizes, "columns\nrows/s", "scan\nevents/s", "history\nms", "erase\nms"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        try:
            for url in arguments.urls or [f"file://{folder}/events"]:
                table.add_row(*measure(url, events))
        except (SettingsError, EventStoreError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
