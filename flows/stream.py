"""The story of one event, from the log to features: ``python -m bytewax.run flows.stream:flow``.

Kafka -> decode (what is wrong: dead letters) -> the user's state, each event once -> the item's state -> Feast's
rows in Redis; the raw event into the event store. Catalogue entries and profiles go to PostgreSQL and Redis.

After a restart Bytewax goes on from its last snapshot and gives out again what came after it: states are as of
the snapshot too, and every sink takes repeats, so counts stay exact. Without a snapshot everything that is stored is
read first (``flows.history``), then the log.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from operator import attrgetter
from typing import Any, TypeGuard, cast

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.operators import KeyedStream

from feature_repo.events import Event, Item, Message, UserProfile, pseudonym
from feature_repo.schema import ITEM_CATALOG, USER_PROFILE
from flows import history, sinks
from flows.log_source import LogReader, LogSource
from flows.logics import ItemLogic, UserLogic, UserUpdate
from flows.messages import Arrival, DeadLetter, ErasedBefore, Forgotten, RowRemoval, RowWrite, Withdrawn, read_messages
from flows.stream_metrics import StreamMetrics
from flows.trails import Trails
from infra.kafka import librdkafka
from infra.settings import Settings, load_settings
from infra.telemetry import setup_logging


def flow() -> Dataflow:
    """The dataflow by the environment's settings, with logging and metrics set up. Bytewax calls this."""
    settings = load_settings()
    setup_logging("stream", settings)
    metrics = StreamMetrics()
    metrics.serve(settings.host, settings.stream_metrics_port)
    made = build(settings, metrics, Trails(settings))
    # States are no garbage and hold no cycles: full collections, which stop everything, need not look for them.
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
    return made


def build(settings: Settings, metrics: StreamMetrics, trails: Trails) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("freshet")
    reader = LogReader(consumer_options(settings), metrics.tell_lag)
    events = LogSource(reader, settings.topic_events, partial(history.events, settings), metrics)
    items = LogSource(reader, settings.topic_catalog, partial(history.items, settings), metrics)
    users = LogSource(reader, settings.topic_profiles, partial(history.users, settings), metrics)
    acts, bad_acts = _messages(flow, events, Event)
    entries, bad_entries = _messages(flow, items, Item)
    profiles, bad_profiles = _messages(flow, users, UserProfile)

    # By pseudonym: keys lie in the recovery store, where a forgotten user's id must not.
    by_user = op.key_on("by_user", acts, user_key)
    user_logic = partial(UserLogic, settings.lateness_s, metrics.count_event)
    updates: KeyedStream[UserUpdate] = op.stateful_batch("user_state", by_user, user_logic)
    by_item = op.key_on("by_item", _each("counted", updates, "items"), lambda arrival: arrival.message.item_id)
    item_rows = op.key_rm("item_rows", op.stateful_batch("item_state", by_item, ItemLogic))

    entry_rows = op.map("entry_rows", entries, entry_row)
    profile_rows = op.map("profile_rows", profiles, profile_row)
    rows = op.merge("rows", _each("user_rows", updates, "rows"), item_rows, entry_rows, profile_rows)
    op.output("redis", rows, sinks.online_rows(settings, metrics, trails))

    raw = _each("raw", updates, "raw")
    op.output("event_store", raw, sinks.raw_events(settings, metrics))
    op.output("erasures", op.filter("forgotten", raw, _is_forgotten), sinks.erasures(settings, metrics))
    op.output("items", op.filter("new_entries", entries, _is_new), sinks.catalogue(settings, metrics))
    op.output("users", op.filter("new_profiles", profiles, _is_new), sinks.profiles(settings, metrics))
    dead = op.merge("dead", bad_acts, bad_entries, bad_profiles, _each("late", updates, "dead"))
    op.output("dead_letters", dead, sinks.dead_letters(settings, metrics))
    return flow


def _messages(flow: Dataflow, source: LogSource, kind: type[Message]) -> tuple[Stream[Arrival], Stream[DeadLetter]]:
    """A topic's messages: those that can be used, and the others."""
    name = kind.__name__.lower()
    read = op.flat_map_batch(f"decode_{name}", op.input(f"log_{name}", flow, source), partial(read_messages, kind))
    usable = op.branch(f"usable_{name}", read, _is_arrival)
    return usable.trues, cast("Stream[DeadLetter]", usable.falses)


def _each(step: str, updates: KeyedStream[UserUpdate], part: str) -> Stream[Any]:
    """One part of all updates, element by element."""
    take = attrgetter(part)

    def chained(batch: list[tuple[str, UserUpdate]]) -> Iterator[Any]:
        for _, update in batch:
            yield from take(update)

    return op.flat_map_batch(step, updates, chained)


def _is_arrival(found: Arrival | DeadLetter) -> TypeGuard[Arrival]:
    return isinstance(found, Arrival)


def _is_forgotten(change: Event | Forgotten) -> bool:
    return isinstance(change, Forgotten)


def _is_new(arrival: Arrival) -> bool:
    return not arrival.stored


def consumer_options(settings: Settings) -> dict[str, Any]:
    """librdkafka's options; waiting less long for a fetch to fill is most of the freshness."""
    return {
        **librdkafka(settings),
        "fetch.wait.max.ms": str(settings.fetch_wait_max_ms),
        "fetch.error.backoff.ms": "50",
        "reconnect.backoff.max.ms": "1000",
        # Offsets come from the recovery store; one that the log no longer has means: from what it still has.
        "auto.offset.reset": "earliest",
        # A sink may wait for its server for as long as it takes.
        "max.poll.interval.ms": "86400000",
        "log_level": "4",
    }


def user_key(arrival: Arrival) -> str:
    """The pseudonym of a message's user."""
    message = arrival.message
    return message.user_key if isinstance(message, ErasedBefore) else pseudonym(message.user_id)


def entry_row(arrival: Arrival) -> RowWrite:
    """The catalogue row of an item message."""
    item: Item = arrival.message
    return RowWrite(ITEM_CATALOG.name, item.item_id, item.row(), arrival.logged_us, arrival.logged_us)


def profile_row(arrival: Arrival) -> RowWrite | RowRemoval:
    """The profile row of a user message, or its end."""
    if isinstance(arrival.message, Withdrawn):
        return RowRemoval(USER_PROFILE.name, arrival.message.user_id)
    user: UserProfile = arrival.message
    return RowWrite(USER_PROFILE.name, user.user_id, user.row(), arrival.logged_us, arrival.logged_us)
