"""Follows every erasure to its end: ``python -m flows.eraser``, where the offline store lies.

The dataflow forgets a user when the log tells it to. This process then looks into each other place where he may have
left something, removes what is there, and enters a store into the receipt only after a look that found nothing. What
cannot be reached is asked again; the log says so once.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
import redis

from feature_repo.erasures import DATAFLOW, LOG, Erasures, Pending, bounds, erasure_messages
from feature_repo.events import pseudonym, to_us
from flows.event_store import open_event_store
from flows.log_writer import LogError, Outgoing, publish
from flows.metadata import MetadataStore
from flows.offline import forget
from flows.remains import remove_remains
from flows.served_store import ServedStore, served_folder
from infra.redis_url import connect
from infra.settings import Settings, SettingsError, load_settings
from infra.telemetry import setup_logging
from infra.topics import TopicError, retention
from models.outcome_store import OutcomeStore

log = logging.getLogger(__name__)

POLL_S = 0.5
SEND_AGAIN_S = 20.0
"""After this long without the dataflow's part the erasure enters the log once more; a repeat is harmless."""

T = TypeVar("T")
OUTAGES = (psycopg.Error, redis.RedisError, LogError, TopicError, OSError)

NOTHING = ""
Look = Callable[[Pending], str | None]
"""Looks for a user in a store: what the receipt should say besides (or NOTHING) when it holds nothing of him; None
when something was there: it is removed, or about to be, and the next look will tell."""

BY_PSEUDONYM = "messages name users by pseudonym only"
NO_CACHE = "the recommender reads a user's rows anew for each request and keeps none"
EXPIRES = "not erased: messages expire ({}); whoever reads them again meets the erasure behind them"


class Eraser:
    """Looks after pending erasures.

    Args:
        settings: where the stores are, and the topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._erasures = Erasures(settings.database_url)
        self._metadata = MetadataStore(settings.database_url)
        self._events = open_event_store(settings.event_store_url)
        self._redis: Any = connect(settings.redis_url, retry=None, socket_timeout=5, socket_connect_timeout=2)
        self._looks: Mapping[str, Look] = {
            "offline_store": self._offline_rows,  # first: what lies there can be materialized into the online store
            "online_store": self._online_rows,
            "event_store": self._raw_events,
            "profile": self._profile,
            "impressions": lambda _: BY_PSEUDONYM,
            "served_rows": self._served_rows,
            "outcomes": self._outcome_rows,
            "caches": lambda _: NO_CACHE,
            LOG: self._messages,
        }
        self._served = ServedStore(served_folder(settings))
        self._outcomes = OutcomeStore(settings.database_url)
        self._sent: dict[str, float] = {}
        self._troubles: dict[str, Exception] = {}

    def run(self, stop: threading.Event) -> None:
        """Look again and again until told to stop."""
        told: set[str] = set()
        while not stop.is_set():
            troubles = self.step()
            for where, error in troubles.items():
                if where not in told:
                    unforeseen = None if isinstance(error, OUTAGES) else error
                    fields = {"store": where, "error": repr(error)}
                    log.warning("erasures wait, will try again", extra=fields, exc_info=unforeseen)
            if told and not troubles:
                log.info("nothing hinders erasures any more")
            told = set(troubles)
            stop.wait(POLL_S)

    def step(self) -> dict[str, Exception]:
        """Look after every pending erasure once; returns what stood in the way, by store."""
        self._troubles = {}
        found = self._attempt("receipts", self._erasures.pending)
        if found is not None:
            now = time.monotonic()
            self._sent = {p.erasure.erasure_id: self._sent.get(p.erasure.erasure_id, now) for p in found}
            for pending in found:
                self._advance(pending)
        return self._troubles

    def _advance(self, pending: Pending) -> None:
        if not {DATAFLOW, "event_store"} <= pending.stores:
            self._attempt("log", self._send_again, pending)
        if pending.until_us is not None:
            for store, look in self._looks.items():
                if store not in pending.stores:
                    self._attempt(store, self._enter, pending, store, look)
            self._attempt("receipts", self._finish, pending)

    def _attempt(self, where: str, work: Callable[..., T], *args: Any) -> T | None:
        try:
            return work(*args)
        except Exception as error:  # one store, or one erasure, must not hold up the others
            self._troubles[where] = error
            return None

    def _send_again(self, pending: Pending) -> None:
        erasure = pending.erasure
        if time.monotonic() - self._sent[erasure.erasure_id] >= SEND_AGAIN_S:
            messages = erasure_messages(self._settings, erasure)
            publish(self._settings, (Outgoing(m.topic, m.key.encode(), m.value, m.headers) for m in messages))
            self._sent[erasure.erasure_id] = time.monotonic()
            log.info("the dataflow has not reported, told it again", extra={"erasure_id": erasure.erasure_id})

    def _enter(self, pending: Pending, store: str, look: Look) -> None:
        detail = look(pending)
        if detail is not None and pending.until_us is not None:
            self._erasures.done(pending.erasure.erasure_id, store, pending.until_us, detail)

    def _finish(self, pending: Pending) -> None:
        if self._erasures.finish(pending):
            log.info("a user is erased", extra={"erasure_id": pending.erasure.erasure_id})

    # Looks

    def _offline_rows(self, pending: Pending) -> str | None:
        return None if forget(self._settings.offline_dir, [pseudonym(pending.erasure.user_id)]) else NOTHING

    def _online_rows(self, pending: Pending) -> str | None:
        older = bounds(pending.erasure.requested_at, pending.until_us)
        return None if remove_remains(self._redis, pending.erasure.user_id, older) else NOTHING

    def _raw_events(self, pending: Pending) -> str | None:
        found = self._events.tables(until_us=pending.until_us, user_id=pending.erasure.user_id)
        return None if any(table.num_rows for table in found) else NOTHING

    def _profile(self, pending: Pending) -> str | None:
        erasure = pending.erasure
        return None if self._metadata.delete_older_user(erasure.user_id, to_us(erasure.requested_at)) else NOTHING

    def _served_rows(self, pending: Pending) -> str | None:
        return None if self._served.forget(*_lists_of(pending)) else NOTHING

    def _outcome_rows(self, pending: Pending) -> str | None:
        return None if self._outcomes.erase(*_lists_of(pending)) else NOTHING

    def _messages(self, _: Pending) -> str:
        topics = (self._settings.topic_events, self._settings.topic_profiles, self._settings.topic_dead)
        alike = defaultdict(list)
        for topic, kept in retention(self._settings, topics).items():
            alike[kept].append(topic)
        return EXPIRES.format("; ".join(f"{', '.join(named)}: {kept}" for kept, named in alike.items()))


def _lists_of(pending: Pending) -> tuple[str, int]:
    """Whose lists must go, and which: those of before this time."""
    older = bounds(pending.erasure.requested_at, pending.until_us)
    return pseudonym(pending.erasure.user_id), max(older)


def main() -> int:
    """Run until SIGTERM or Ctrl-C."""
    try:
        settings = load_settings()
        eraser = Eraser(settings)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    setup_logging("eraser", settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("looking after erasures", extra={"offline_dir": settings.offline_dir})
    eraser.run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
