"""How old is a feature? From ``POST /events`` answered to the new row readable in Redis.

``python -m benchmarks.freshness`` starts the embedded stack in a throw-away folder on free ports. Each probe is
one event of a new user; its row is looked for without a pause from the moment of the answer. Under load, arrays of
events of other users come in meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import numpy as np
import redis
from rich.console import Console
from rich.table import Table

from feature_repo.online import ViewCodec
from feature_repo.schema import USER_FEATURES
from flows.console import tracked
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError

PARTS = ("kafka", "redis", "postgres", "ingest", "stream")
PROBES_PER_S = 10
ARRAYS_PER_S = 50
USERS, ITEMS = 2_000, 2_000
PATIENCE_S = 30.0
CODEC = ViewCodec(USER_FEATURES)

console = Console()


def measure(settings: Settings, name: str, probes: int, load_per_s: int) -> dict[str, np.ndarray]:
    """Seconds of each probe: ``ack`` from sending to the answer, ``row`` from the answer to the row."""
    url = f"http://{settings.host}:{settings.ingest_port}"
    found = []
    with (
        httpx.Client(base_url=url, trust_env=False) as client,
        redis.Redis.from_url(settings.redis_url) as online,
        _background(url, load_per_s),
    ):
        random = Random(7)
        for number in tracked(range(probes), name, total=probes, unit="probes"):
            found.append(_probe(client, online, f"probe-{load_per_s}-{number}"))
            time.sleep(random.uniform(0.5, 1.5) / PROBES_PER_S)
    ack, row = np.array(found).T
    return {"ack": ack, "row": row}


def _probe(client: httpx.Client, online: redis.Redis, user: str) -> tuple[float, float]:
    key = CODEC.key(user)
    started = time.perf_counter()
    client.post("/events", json={"user_id": user, "item_id": "probe", "event_type": "click"}).raise_for_status()
    answered = time.perf_counter()
    while not online.exists(key):
        if time.perf_counter() - answered > PATIENCE_S:
            raise TimeoutError(f"no row of {user} after {PATIENCE_S:.0f} s")
    return answered - started, time.perf_counter() - answered


@contextmanager
def _background(url: str, per_s: int) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=_load, args=(url, per_s, stop), daemon=True)
    if per_s:
        thread.start()
        time.sleep(2)
    try:
        yield
    finally:
        stop.set()
        if per_s:
            thread.join()


def _load(url: str, per_s: int, stop: threading.Event) -> None:
    random = Random(11)
    due = time.perf_counter()
    with httpx.Client(base_url=url, trust_env=False) as client:
        while not stop.is_set():
            events = [
                {
                    "user_id": f"u{random.randrange(USERS)}",
                    "item_id": f"i{random.randrange(ITEMS)}",
                    "event_type": "view",
                }
                for _ in range(per_s // ARRAYS_PER_S)
            ]
            client.post("/events", json=events).raise_for_status()
            due += 1 / ARRAYS_PER_S
            time.sleep(max(0.0, due - time.perf_counter()))


def report(found: dict[str, dict[str, np.ndarray]]) -> Table:
    """Percentiles in milliseconds."""
    table = Table("load", "what", "p50 ms", "p90 ms", "p99 ms", "max ms", title="Freshness", title_justify="left")
    labels = {"ack": "POST /events answered", "row": "answered -> row in Redis"}
    for load, times in found.items():
        for what, seconds in times.items():
            p50, p90, p99, worst = np.percentile(seconds, [50, 90, 99, 100]) * 1_000
            table.add_row(load, labels[what], f"{p50:.1f}", f"{p90:.1f}", f"{p99:.1f}", f"{worst:.1f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freshness", description=__doc__)
    parser.add_argument("--probes", type=int, default=300, help="probes at each load")
    parser.add_argument("--load", type=int, default=1_000, help="events a second of the second run")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="freshet-") as home:
            Path(home).chmod(0o755)  # PostgreSQL may run as another user
            with Stack(load_settings(home=Path(home), **any_ports()), PARTS) as stack:
                found = {"idle": measure(stack.settings, "idle", options.probes, 0)}
                name = f"{options.load:,} events/s"
                found[name] = measure(stack.settings, name, options.probes, options.load)
    except (SettingsError, StackError, httpx.HTTPError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
