"""How old is a feature? From an event's acknowledgement to its row in Redis, as Feast reads it.

``python -m benchmarks.freshness`` starts the embedded stack in a throw-away folder on free ports, once with the
embedded broker and once with librdkafka's mock cluster. Each probe is one event of a new user; its row is looked for
without a pause from the moment of the acknowledgement. Under load, arrays of events of other users come in meanwhile.
Afterwards Feast's own SDK reads some of the rows.

kafka-python, hence ingest, cannot read the mock cluster's first answer (ApiVersions): there a producer of librdkafka's
own takes the place of ``POST /events``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import numpy as np
import redis
from confluent_kafka import KafkaException, Producer
from rich.console import Console
from rich.table import Table

from benchmarks.doors import Door, LogDoor, RestDoor
from feature_repo.events import Event
from feature_repo.online import ViewCodec
from feature_repo.schema import USER_FEATURES
from flows.console import tracked
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError
from infra.topics import topic_names

PROBES_PER_S = 10
ARRAYS_PER_S = 50
USERS, ITEMS = 2_000, 2_000
PATIENCE_S = 30.0
READ_BY_FEAST = 50
CODEC = ViewCodec(USER_FEATURES)

console = Console()

MakeDoor = Callable[[Settings], Door]


@contextmanager
def tansu(home: Path) -> Iterator[tuple[Settings, MakeDoor]]:
    """The embedded stack with its own broker, events over REST."""
    parts = ("kafka", "redis", "postgres", "ingest", "stream")
    with Stack(load_settings(home=home, **any_ports()), parts) as stack:
        yield stack.settings, RestDoor


@contextmanager
def mock(home: Path) -> Iterator[tuple[Settings, MakeDoor]]:
    """The embedded stack on a mock cluster that lives in this process, events straight to the log."""
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    settings = load_settings(home=home, kafka_bootstrap_servers=f"{broker.host}:{broker.port}", **any_ports())
    for topic in topic_names(settings):
        cluster.list_topics(topic, timeout=10)  # which makes it, with four partitions
    with Stack(settings, ("redis", "postgres", "stream")) as stack:
        yield stack.settings, LogDoor
    cluster.flush(0)


BROKERS = {"tansu": tansu, "mock": mock}


def measure(settings: Settings, make_door: MakeDoor, name: str, probes: int, load_per_s: int) -> np.ndarray:
    """Seconds of each probe, shape (probes, 2): from sending to acknowledgement, and from there to the row."""
    random = Random(7)
    found = []
    with (
        make_door(settings) as door,
        redis.Redis.from_url(settings.redis_url) as online,
        _background(settings, make_door, load_per_s),
    ):
        for number in tracked(range(probes), name, total=probes, unit="probes"):
            found.append(_probe(door, online, _probe_user(load_per_s, number)))
            time.sleep(random.uniform(0.5, 1.5) / PROBES_PER_S)
    return np.array(found)


def _probe_user(load_per_s: int, number: int) -> str:
    return f"probe-{load_per_s}-{number}"


def _probe(door: Door, online: redis.Redis, user: str) -> tuple[float, float]:
    key = CODEC.key(user)
    started = time.perf_counter()
    door.send([Event(user_id=user, item_id="probe", event_type="click", value=None)])
    acknowledged = time.perf_counter()
    while not online.exists(key):
        if time.perf_counter() - acknowledged > PATIENCE_S:
            raise TimeoutError(f"no row of {user} after {PATIENCE_S:.0f} s")
    return acknowledged - started, time.perf_counter() - acknowledged


@contextmanager
def _background(settings: Settings, make_door: MakeDoor, per_s: int) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=_load, args=(settings, make_door, per_s, stop), daemon=True)
    if per_s:
        thread.start()
        time.sleep(2)
    try:
        yield
    finally:
        stop.set()
        if per_s:
            thread.join()


def _load(settings: Settings, make_door: MakeDoor, per_s: int, stop: threading.Event) -> None:
    random = Random(11)
    due = time.perf_counter()
    with make_door(settings) as door:
        while not stop.is_set():
            door.send(
                [
                    Event(
                        user_id=f"u{random.randrange(USERS)}",
                        item_id=f"i{random.randrange(ITEMS)}",
                        event_type="view",
                        value=None,
                    )
                    for _ in range(per_s // ARRAYS_PER_S)
                ]
            )
            due += 1 / ARRAYS_PER_S
            time.sleep(max(0.0, due - time.perf_counter()))


def read_by_feast(settings: Settings, users: Sequence[str]) -> int:
    """How many of these users' rows Feast's SDK reads with the one event that each has."""
    from feature_repo.store import apply_definitions, open_store

    store = open_store(settings)
    apply_definitions(store)
    answer = store.get_online_features(
        features=["user_features:event_count"], entity_rows=[{"user_id": user} for user in users]
    ).to_dict()
    return sum(count == 1 for count in answer["event_count"])


def run(broker: str, probes: int, load_per_s: int, table: Table) -> None:
    """Measure idle and under load on one broker; add rows in milliseconds to the table. Raises TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="freshet-") as home:
        Path(home).chmod(0o755)  # PostgreSQL may run as another user
        with BROKERS[broker](Path(home)) as (settings, make_door):
            for load in (0, load_per_s):
                name = f"{load:,} events/s" if load else "idle"
                times = measure(settings, make_door, f"{broker}, {name}", probes, load) * 1_000
                for what, found in zip((make_door(settings).LABEL, "acknowledged -> row"), times.T, strict=True):
                    percentiles = (f"{value:.1f}" for value in np.percentile(found, [50, 90, 99, 100]))
                    table.add_row(broker, name, what, *percentiles)
            users = [_probe_user(load_per_s, number) for number in range(min(probes, READ_BY_FEAST))]
            if (read := read_by_feast(settings, users)) != len(users):
                raise TimeoutError(f"Feast's SDK reads {read} of {len(users)} rows")
    console.print(f"{broker}: Feast's SDK reads {len(users)} of {len(users)} rows looked at")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freshness", description=__doc__)
    parser.add_argument("--probes", type=int, default=300, help="probes at each load")
    parser.add_argument("--load", type=int, default=1_000, help="events a second of the second run")
    parser.add_argument("--broker", choices=BROKERS, help="only this one")
    options = parser.parse_args(arguments)
    table = Table(
        "broker", "load", "what", "p50 ms", "p90 ms", "p99 ms", "max ms", title="Freshness", title_justify="left"
    )
    try:
        for broker in [options.broker] if options.broker else BROKERS:
            run(broker, options.probes, options.load, table)
    except (SettingsError, StackError, httpx.HTTPError, KafkaException, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
