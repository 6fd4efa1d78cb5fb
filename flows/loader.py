"""Loads a data set through ingest, as any client would, and waits until the dataflow has caught up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import orjson
from rich.progress import Progress

from feature_repo.events import Event, Item, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import USER_FEATURES
from flows.console import bar
from flows.dataset import Dataset
from flows.event_store import open_event_store
from infra.redis_url import connect
from infra.settings import Settings

PATIENCE_S = 120.0
CONNECTIONS = 8
LOOK_EVERY_S = 0.25


class LoadError(RuntimeError):
    """Ingest or the dataflow did not do its part; the message says which and how far it went."""


class Loaded(NamedTuple):
    """What was loaded, and the seconds it took to send and to be applied after that."""

    items: int
    users: int
    events: int
    sending_s: float
    waiting_s: float


def load_dataset(settings: Settings, dataset: Dataset) -> Loaded:
    """Load catalogue and profiles, then the events in order of time; return when their features can be read.

    Raises:
        DatasetError: a line of the data set is wrong; it names file, line and field.
        LoadError: ingest refuses, or nothing moves for PATIENCE_S seconds.
    """
    items, users = list(dataset.items()), list(dataset.users())
    events = sorted(dataset.events(), key=lambda event: event.time_us)
    with bar() as progress:
        started = time.perf_counter()
        _send(settings, items, users, events, progress)
        sent = time.perf_counter()
        wait_until_applied(settings, events, progress)
    return Loaded(len(items), len(users), len(events), sent - started, time.perf_counter() - sent)


def _send(
    settings: Settings, items: Sequence[Item], users: Sequence[UserProfile], events: Sequence[Event], progress: Progress
) -> None:
    puts = [(f"/items/{quote(item.item_id, safe='')}", item.encode()) for item in items]
    puts += [(f"/users/{quote(user.user_id, safe='')}", user.encode()) for user in users]
    task = progress.add_task("catalogue, profiles", total=len(puts), unit="entries")
    connections = threading.local()

    def put(entry: tuple[str, bytes]) -> None:
        if not hasattr(connections, "ingest"):
            connections.ingest = Ingest(settings)
        connections.ingest.call("PUT", *entry)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for _ in pool.map(put, puts):
            progress.advance(task)
    task = progress.add_task("events", total=len(events), unit="events")
    ingest = Ingest(settings)
    for batch in _batches(events, settings):
        answer = ingest.call("POST", "/events", b"[" + b",".join(batch) + b"]")
        if answer["rejected"]:
            raise LoadError(f"ingest rejected an event: {answer['rejected'][0]['error']}")
        progress.advance(task, answer["accepted"])


def _batches(events: Iterable[Event], settings: Settings) -> Iterator[list[bytes]]:
    """Events as JSON, as many as one request may hold."""
    batch: list[bytes] = []
    size = 2
    for event in events:
        text = event.encode()
        if batch and (len(batch) == settings.max_batch_events or size + len(text) >= settings.max_body_bytes):
            yield batch
            batch, size = [], 2
        batch.append(text)
        size += len(text) + 1
    if batch:
        yield batch


class Ingest:
    """One connection to ingest. The standard library's client: under a third of the CPU time of others."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.service_url("ingest")
        url = urlsplit(self._url)
        kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        self._connection = kind(url.hostname or "", url.port, timeout=30)
        self._headers = {"content-type": "application/json", "x-api-key": settings.own_key}

    def call(self, method: str, path: str, body: bytes) -> Any:
        """The answer's JSON. Tries again while ingest or the log is away, for PATIENCE_S seconds."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._connection.request(method, path, body, self._headers)
                answer = self._connection.getresponse()
                text = answer.read()
                if answer.status < 300:
                    return orjson.loads(text)
                reason = text.decode(errors="replace")
                if answer.status != 503:
                    raise LoadError(f"{method} {path}: {answer.status} {reason}")
                delay_s = float(answer.headers.get("retry-after", 1))
            except (OSError, HTTPException) as error:
                self._connection.close()
                reason, delay_s = repr(error), 1.0
            if time.monotonic() > deadline:
                raise LoadError(f"ingest at {self._url}: no success for {PATIENCE_S:.0f} s: {reason}")
            time.sleep(delay_s)


def wait_until_applied(settings: Settings, events: Sequence[Event], progress: Progress) -> None:
    """Return when every user's row holds his newest event and the event store holds what the rows count.

    Raises LoadError when nothing moves for PATIENCE_S seconds.
    """
    newest = {event.user_id: event.time_us for event in events}
    store = open_event_store(settings.event_store_url)
    task = progress.add_task("features", total=len(events), unit="events")
    counted, moved = -1, time.monotonic()
    with connect(settings.redis_url) as client:
        online = OnlineStore(client, [USER_FEATURES])
        while True:
            rows = online.read(USER_FEATURES.name, list(newest))
            count = sum(row.features["event_count"] for row in rows if row)
            reached = all(row and row.time_us >= newest[user] for user, row in zip(newest, rows, strict=True))
            progress.update(task, completed=min(count, len(events)))
            if reached and count == counted and store.count() >= count:
                progress.update(task, completed=len(events))
                return
            if count != counted:
                counted, moved = count, time.monotonic()
            elif time.monotonic() - moved > PATIENCE_S:
                raise LoadError(f"the dataflow stands still at {count} of {len(events)} events; is it running?")
            time.sleep(LOOK_EVERY_S)
