"""Clients that send events over REST and do not give up before each is acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from random import Random
from typing import get_args

import httpx

from feature_repo.events import Event, EventType

USERS, ITEMS = 300, 500
EVENTS_PER_CALL = 10
RETRY_EVERY_S = 0.2
ANSWER_WITHIN_S = 10.0
PATIENCE_S = 180.0


class Client(threading.Thread):
    """One client: arrays of new events at its rate, now and then with one that was acknowledged before.

    Whatever is not answered with 201 is sent again as it was, with the same ids. What is late is caught up.

    Args:
        url: of ingest.
        name: makes its event ids its own.
        per_s: new events a second.
        repeats: share of the new events that are followed, some time, by a repeat.
        seed: of everything random in it.

    Attributes:
        acknowledged: events of which at least one copy was acknowledged, each once, in order.
        pending: events that were sent and not acknowledged yet.
        copies: copies of events sent, whatever became of them.
        repeated: copies sent although the event was acknowledged.
        retried: copies sent because an earlier one was not acknowledged.
        failure: why the client gave up; None when it did not.
    """

    def __init__(self, url: str, name: str, per_s: float, repeats: float, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.acknowledged: list[Event] = []
        self.pending: list[Event] = []
        self.copies = self.repeated = self.retried = 0
        self.failure: str | None = None
        self._url, self._per_s, self._repeats = url, per_s, repeats
        self._random = Random(f"{seed} {name}")
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Send nothing new any more; the thread ends when what was sent is acknowledged."""
        self._stop_asked.set()

    def run(self) -> None:
        due = time.perf_counter()
        with httpx.Client(base_url=self._url, trust_env=False, timeout=ANSWER_WITHIN_S) as http:
            while not (self._stop_asked.is_set() or self.failure):
                fresh = [self._event(n) for n in range(self._random.randint(1, 2 * EVENTS_PER_CALL - 1))]
                self._deliver(http, fresh)
                due += len(fresh) / self._per_s
                self._stop_asked.wait(max(0.0, due - time.perf_counter()))

    def _event(self, number: int) -> Event:
        kind: EventType = self._random.choice(get_args(EventType))
        return Event(
            user_id=f"u{self._random.randrange(USERS)}",
            item_id=f"i{int(self._random.triangular(0, ITEMS, 0))}",
            event_type=kind,
            event_id=f"{self.name}-{len(self.acknowledged) + number}",
            value=self._random.uniform(1, 5) if kind == "rate" else None,
        )

    def _deliver(self, http: httpx.Client, fresh: Sequence[Event]) -> None:
        again = [self._random.choice(self.acknowledged) for _ in fresh if self._random.random() < self._repeats_now()]
        self.repeated += len(again)
        self.pending = list(fresh)
        body = b"[" + b",".join(event.encode() for event in (*fresh, *again)) + b"]"
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.copies += len(fresh) + len(again)
            if self._is_acknowledged(http, body):
                break
            if self.failure or time.monotonic() > deadline:
                self.failure = self.failure or f"no acknowledgement within {PATIENCE_S:.0f} s"
                return
            self.retried += len(fresh) + len(again)
            time.sleep(RETRY_EVERY_S)
        self.acknowledged += fresh
        self.pending = []

    def _repeats_now(self) -> float:
        return self._repeats if self.acknowledged else 0.0

    def _is_acknowledged(self, http: httpx.Client, body: bytes) -> bool:
        try:
            answer = http.post("/events", content=body, headers={"content-type": "application/json"})
        except httpx.TransportError:
            return False
        if answer.status_code < 500 and answer.status_code != 201:
            self.failure = f"POST /events answered {answer.status_code}: {answer.text}"
        return answer.status_code == 201


def start_clients(url: str, count: int, per_s: float, repeats: float, seed: int) -> list[Client]:
    """Start clients that together send ``per_s`` new events a second."""
    clients = [Client(url, f"c{number}", per_s / count, repeats, seed) for number in range(count)]
    for client in clients:
        client.start()
    return clients


def stop_clients(clients: Iterable[Client]) -> None:
    """Stop clients and wait until all they have sent is acknowledged. Raises TimeoutError when it never is."""
    clients = list(clients)
    for client in clients:
        client.stop()
    for client in clients:
        client.join()
        if client.failure:
            raise TimeoutError(f"client {client.name}: {client.failure}")
