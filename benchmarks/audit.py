"""What was acknowledged against what lies in the log, in the event store and in Redis."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from feature_repo.events import Event
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES, USER_SEEN
from feature_repo.state import Row, States
from flows.event_store import EventStore, open_event_store
from infra.settings import Settings

STREAMED = (USER_FEATURES, USER_SEEN, ITEM_FEATURES)
SILENCE_S = 3.0
"""After so long without a change nothing more is expected."""


@dataclass(frozen=True)
class Audit:
    """Numbers of events, unless said otherwise.

    Attributes:
        in_log: copies of events in the log.
        stored: distinct events in the event store.
        by_users, by_items: sums of ``event_count`` over all rows in Redis.
        not_stored: acknowledged, and not in the event store.
        not_counted: acknowledged, and missing from the count of their user or item; the larger of both.
        double_counted: counted beyond what was sent, by user or by item; the larger of both.
        rows: rows that a recount of the event store gives.
        unequal: names of rows that are not, byte for byte, what the recount gives; also rows that it does not give.
    """

    in_log: int
    stored: int
    by_users: int
    by_items: int
    not_stored: int
    not_counted: int
    double_counted: int
    rows: int
    unequal: list[str]

    @property
    def dropped(self) -> int:
        """Copies in the log beyond the first that were not counted."""
        return self.in_log - self.by_users

    @property
    def is_exact(self) -> bool:
        """Nothing lost, nothing counted twice, every row what a recount gives."""
        return not (self.not_stored or self.not_counted or self.double_counted or self.unequal)


def audit(settings: Settings, acknowledged: Sequence[Event], pending: Sequence[Event], patience_s: float) -> Audit:
    """Wait until the dataflow has caught up, then compare.

    Args:
        settings: of the running stack, which saw no other events than these.
        acknowledged: distinct events that ingest has accepted.
        pending: events that were sent and never acknowledged; they may count.
        patience_s: longest wait for all acknowledged events to be counted.
    """
    store = open_event_store(settings.event_store_url)
    with redis.Redis.from_url(settings.redis_url) as client:
        online = OnlineStore(client, STREAMED)
        by_user, by_item = _settled(online, store, [*acknowledged, *pending], len(acknowledged), patience_s)
        stored = list(store.scan())
        rows, unequal = unequal_rows(client, online, stored)
    wanted = Counter(e.user_id for e in acknowledged), Counter(e.item_id for e in acknowledged)
    most = tuple(counts + Counter(ids) for counts, ids in zip(wanted, _ids(pending), strict=True))
    return Audit(
        in_log=copies_in_log(settings),
        stored=len(stored),
        by_users=by_user.total(),
        by_items=by_item.total(),
        not_stored=len({(e.user_id, e.event_id) for e in acknowledged} - {(e.user_id, e.event_id) for e in stored}),
        not_counted=max((wanted[0] - by_user).total(), (wanted[1] - by_item).total()),
        double_counted=max((by_user - most[0]).total(), (by_item - most[1]).total()),
        rows=rows,
        unequal=unequal,
    )


def _ids(events: Iterable[Event]) -> tuple[list[str], list[str]]:
    events = list(events)
    return [e.user_id for e in events], [e.item_id for e in events]


def _settled(
    online: OnlineStore, store: EventStore, sent: Sequence[Event], least: int, patience_s: float
) -> tuple[Counter[str], Counter[str]]:
    """Counts by user and by item, once ``least`` events are counted and stored and nothing has changed for a while."""
    users, items = (sorted(set(ids)) for ids in _ids(sent))
    deadline = time.monotonic() + patience_s
    before, since = None, time.monotonic()
    while True:
        counts = _counts(online, USER_FEATURES.name, users), _counts(online, ITEM_FEATURES.name, items)
        found = (*counts, store.count())
        if found != before:
            before, since = found, time.monotonic()
        silent = time.monotonic() - since > SILENCE_S
        complete = min(counts[0].total(), counts[1].total(), found[2]) >= least
        if (silent and complete) or time.monotonic() > deadline:
            return counts
        time.sleep(0.25)


def _counts(online: OnlineStore, view: str, ids: Sequence[str]) -> Counter[str]:
    rows = zip(ids, online.read(view, ids), strict=True)
    return Counter({entity_id: row.features["event_count"] for entity_id, row in rows if row})


def unequal_rows(client: redis.Redis, online: OnlineStore, events: Iterable[Event]) -> tuple[int, list[str]]:
    """Recount events and compare every streamed row in Redis, byte for byte.

    Returns:
        The number of rows that there should be, and the names of those that differ, are missing, or are too many.
    """
    states = States()
    for event in events:
        states.apply(event)
    users = {user: (state.row(), state.last_us) for user, state in states.users.items()}
    seen = {user: (state.seen_row(), state.last_us) for user, state in states.users.items()}
    items = {item: (state.row(), state.last_us) for item, state in states.items.items()}
    wanted = {USER_FEATURES.name: users, USER_SEEN.name: seen, ITEM_FEATURES.name: items}
    unequal = [name for view, rows in wanted.items() for name in _unequal(client, online, view, rows)]
    present = sum(1 for _ in client.scan_iter(match=b"*freshet", count=1_000))
    if present != len(users) + len(items):
        unequal.append(f"{present} entities in Redis instead of {len(users) + len(items)}")
    return sum(map(len, wanted.values())), unequal


def _unequal(client: redis.Redis, online: OnlineStore, view: str, rows: Mapping[str, tuple[Row, int]]) -> Iterable[str]:
    codec = online.codecs[view]
    pipe = client.pipeline(transaction=False)
    for entity_id in rows:
        pipe.hmget(codec.key(entity_id), codec.hash_fields)  # type: ignore[arg-type]
    for (entity_id, (row, time_us)), raw in zip(rows.items(), pipe.execute(), strict=True):
        encoded = codec.encode(row, time_us)
        if raw != [encoded[field] for field in codec.hash_fields]:
            yield f"{view} of {entity_id}"


def copies_in_log(settings: Settings) -> int:
    """Number of messages in the topic of events, read from its beginning until it falls silent."""
    topic = settings.topic_events
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "audit", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        found = 0
        while messages := consumer.consume(1_000, SILENCE_S):
            found += sum(message.error() is None for message in messages)
        return found
    finally:
        consumer.close()
