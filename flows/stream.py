"""The story of one event, from the log to features: ``python -m bytewax.run flows.stream:flow``.

Kafka -> decode (what is wrong: dead letters) -> the user's state, each event once -> the item's state -> Feast's
rows in Redis; the raw event into the event store. Catalogue entries and profiles go to PostgreSQL and Redis.

After a restart Bytewax goes on from its last snapshot and gives out again what came after it: states are as of
the snapshot too, and every sink takes repeats, so counts stay exact.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeGuard, cast

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.operators import KeyedStream

from feature_repo.events import Event, Item, Message, UserProfile
from feature_repo.schema import ITEM_CATALOG, USER_PROFILE
from flows import sinks
from flows.log_source import LogReader, LogSource
from flows.logics import ItemLogic, UserLogic, UserUpdate
from flows.messages import Arrival, DeadLetter, RowWrite, read_messages
from flows.stream_metrics import StreamMetrics
from infra.settings import Settings, load_settings
from infra.telemetry import setup_logging


def flow() -> Dataflow:
    """The dataflow by the environment's settings, with logging and metrics set up. Bytewax calls this."""
    settings = load_settings()
    setup_logging("stream", settings.log_level)
    metrics = StreamMetrics()
    metrics.serve(settings.host, settings.stream_metrics_port)
    return build(settings, metrics)


def build(settings: Settings, metrics: StreamMetrics) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("freshet")
    reader = LogReader(consumer_options(settings))
    events, bad_events = _messages(flow, LogSource(reader, settings.topic_events), Event)
    items, bad_items = _messages(flow, LogSource(reader, settings.topic_catalog), Item)
    users, bad_users = _messages(flow, LogSource(reader, settings.topic_profiles), UserProfile)

    by_user = op.key_on("by_user", events, lambda arrival: arrival.message.user_id)
    user_logic = partial(UserLogic, settings.lateness_s, metrics.count_event)
    updates: KeyedStream[UserUpdate] = op.stateful_batch("user_state", by_user, user_logic)
    late = op.flat_map("late", updates, lambda update: update[1].late)
    user_rows = op.flat_map("user_rows", updates, lambda update: update[1].rows)
    admitted = op.flat_map("admitted", updates, lambda update: update[1].admitted)

    by_item = op.key_on("by_item", admitted, lambda arrival: arrival.message.item_id)
    item_rows = op.map("item_rows", op.stateful_batch("item_state", by_item, ItemLogic), lambda keyed: keyed[1])

    item_entries = op.map("item_entries", items, item_entry)
    user_entries = op.map("user_entries", users, user_entry)
    rows = op.merge("rows", user_rows, item_rows, item_entries, user_entries)
    op.output("redis", rows, sinks.online_rows(settings, metrics))

    fresh = op.filter_map("raw_events", admitted, lambda arrival: None if arrival.stored else arrival.message)
    op.output("event_store", fresh, sinks.raw_events(settings, metrics))
    op.output("items", op.map("item_messages", items, message_of), sinks.catalogue(settings, metrics))
    op.output("users", op.map("user_messages", users, message_of), sinks.profiles(settings, metrics))
    dead = op.merge("dead", bad_events, bad_items, bad_users, late)
    op.output("dead_letters", dead, sinks.dead_letters(settings, metrics))
    return flow


def _messages(flow: Dataflow, source: LogSource, kind: type[Message]) -> tuple[Stream[Arrival], Stream[DeadLetter]]:
    """A topic's messages: those that can be used, and the others."""
    name = kind.__name__.lower()
    read = op.flat_map_batch(f"decode_{name}", op.input(f"log_{name}", flow, source), partial(read_messages, kind))
    usable = op.branch(f"usable_{name}", read, _is_arrival)
    return usable.trues, cast("Stream[DeadLetter]", usable.falses)


def _is_arrival(found: Arrival | DeadLetter) -> TypeGuard[Arrival]:
    return isinstance(found, Arrival)


def consumer_options(settings: Settings) -> dict[str, str]:
    """librdkafka's options; waiting less long for a fetch to fill is most of the freshness."""
    return {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "fetch.wait.max.ms": str(settings.fetch_wait_max_ms),
        "fetch.error.backoff.ms": "50",
        "reconnect.backoff.max.ms": "1000",
        # Offsets come from the recovery store; one that the log no longer has means: from what it still has.
        "auto.offset.reset": "earliest",
        # A sink may wait for its server for as long as it takes.
        "max.poll.interval.ms": "86400000",
        "log_level": "4",
    }


def item_entry(arrival: Arrival) -> RowWrite:
    """The catalogue row of an item message."""
    item: Item = arrival.message
    return RowWrite(ITEM_CATALOG.name, item.item_id, item.row(), arrival.logged_us, arrival.logged_us)


def user_entry(arrival: Arrival) -> RowWrite:
    """The profile row of a user message."""
    user: UserProfile = arrival.message
    return RowWrite(USER_PROFILE.name, user.user_id, user.row(), arrival.logged_us, arrival.logged_us)


def message_of(arrival: Arrival) -> Any:
    """The message alone."""
    return arrival.message
