"""Puts stored messages back into the log: ``python -m flows.replay``.

Catalogue and profiles come from PostgreSQL, events from the event store in order of time, all marked as stored. The
dataflow counts none of them twice and writes their rows anew: that repairs an online store that lost rows while
the dataflow lives. Rows that no stream keeps come from the offline store. With --dead it is the dead letters that
are sent again, to be judged anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from confluent_kafka import KafkaException
from psycopg import OperationalError
from pydantic import TypeAdapter, ValidationError
from redis import RedisError
from rich.console import Console

from feature_repo.events import Event, Item, UserProfile, as_utc, to_us
from flows import dead_letters
from flows.batch_views import restore_batch_views
from flows.console import tracked
from flows.event_store import open_event_store
from flows.log_writer import LogError, Outgoing, publish
from flows.messages import STORED
from flows.metadata import MetadataStore
from infra.settings import Settings, SettingsError, load_settings

console = Console()

_HEADERS = ((STORED, b"1"),)
_TIME = TypeAdapter(datetime)


class Slice(NamedTuple):
    """What is replayed: events with ``since_us <= time_us < until_us`` of one user; None: no bound, all users."""

    since_us: int | None = None
    until_us: int | None = None
    user_id: str | None = None

    @property
    def timeless(self) -> bool:
        """Whether catalogue and profiles, which have no time of their own, belong to it."""
        return self.since_us is None and self.until_us is None


EVERYTHING = Slice()


def replay(settings: Settings, part: Slice = EVERYTHING) -> int:
    """Publish what is stored; return the number of messages. Raises LogError, and what the stores raise."""
    store = open_event_store(settings.event_store_url)
    items, users = _entries(settings, part) if part.timeless else ([], [])
    messages = chain(
        (_outgoing(settings, item, logged_us) for item, logged_us in items),
        (_outgoing(settings, user, logged_us) for user, logged_us in users),
        (_outgoing(settings, event) for event in store.scan(*part)),
    )
    # Counting a slice would be reading it twice.
    total = len(items) + len(users) + store.count() if part == EVERYTHING else None
    sent = publish(settings, tracked(messages, "replay", total=total, unit="messages"))
    store.close()
    if part == EVERYTHING:
        restore_batch_views(settings)
    return sent


def _entries(settings: Settings, part: Slice) -> tuple[list[tuple[Item, int]], list[tuple[UserProfile, int]]]:
    """Catalogue and profiles, each with the time at which it entered the log."""
    metadata = MetadataStore(settings.database_url)
    try:
        if part.user_id is None:
            return metadata.logged_items(), metadata.logged_users()
        return [], [entry for entry in metadata.logged_users() if entry[0].user_id == part.user_id]
    finally:
        metadata.close()


def _outgoing(settings: Settings, message: Event | Item | UserProfile, logged_us: int = 0) -> Outgoing:
    match message:
        case Event():
            topic, key = settings.topic_events, message.user_id
        case Item():
            topic, key = settings.topic_catalog, message.item_id
        case UserProfile():
            topic, key = settings.topic_profiles, message.user_id
    return Outgoing(topic, key.encode(), message.encode(), _HEADERS, time_ms=logged_us // 1_000)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.replay",
        description="Publish stored messages again: without options the catalogue, all profiles and all events. "
        "Counts do not change; rows of the online store are written anew.",
        epilog="T is ISO 8601 (UTC where it names no offset) or seconds since the epoch.",
    )
    parser.add_argument("--since", metavar="T", type=_time_us, help="only events of this time and later")
    parser.add_argument("--until", metavar="T", type=_time_us, help="only events before this time")
    parser.add_argument("--user", metavar="ID", help="only this user's events, and without a time his profile")
    parser.add_argument(
        "--dead", action="store_true", help="instead, send the dead letters since the last such run to their topics"
    )
    parser.add_argument("--reason", metavar="R", help="with --dead: only letters of this reason; the others stay")
    return parser


def _time_us(text: str) -> int:
    try:
        return to_us(as_utc(_TIME.validate_python(text)))
    except (ValidationError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; give ISO 8601 such as 2026-01-31T12:00:00Z, or seconds since the epoch"
        ) from None


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    sliced = options.since is not None or options.until is not None or options.user is not None
    if options.dead and sliced:
        parser.error("--dead takes no --since, --until or --user: it sends dead letters, not stored events")
    if options.reason is not None and not options.dead:
        parser.error("--reason goes with --dead only")
    if options.since is not None and options.until is not None and options.since >= options.until:
        parser.error("--since must be before --until")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    options = _options(arguments)
    started = time.perf_counter()
    try:
        settings = load_settings()
        if options.dead:
            resent = dead_letters.resend(settings, options.reason)
            console.print(dead_letters.table(resent))
            count, what = resent.sent.total(), "dead letters"
        else:
            count, what = replay(settings, Slice(options.since, options.until, options.user)), "messages"
    except (SettingsError, LogError, KafkaException, OperationalError, RedisError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    took_s = time.perf_counter() - started
    console.print(f"replayed {count:,} {what} in {took_s:.1f} s ({count / took_s:,.0f}/s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
