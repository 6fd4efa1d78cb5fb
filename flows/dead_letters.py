"""Gives dead letters another chance, once what was wrong has been fixed: ``python -m flows.replay --dead``.

The topic of dead letters is treated as a queue. A run writes a marker behind the last letter of every partition (no
broker's word for where a topic ends is needed then), takes the letters from where the last run ended up to its
markers, and sends each to the topic it came from. One that is still bad becomes a dead letter again, behind the
marker: the next run's. Letters that this run was not asked for go back to the end of the queue. Only when all of
that is acknowledged is the new place committed, so a run that is killed has lost nothing and sends some again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from rich.table import Table

from flows.console import tracked
from flows.log_writer import LogError, Outgoing, publish
from flows.messages import ORIGIN, VERDICT
from infra.kafka import librdkafka
from infra.settings import Settings

GROUP = "freshet-dead-letters"
"""Consumer group that keeps the place; nobody joins it, which takes some brokers seconds."""
MARKER = "marker"
"""Header of what is no letter but the end of a run."""

PATIENCE_S = 30.0
BATCH = 500

Offsets = dict[int, int]
"""Partition -> offset."""


class Resent(NamedTuple):
    """Letters by reason: sent to their topics again, and left in the queue."""

    sent: Counter[str]
    left: Counter[str]


def resend(settings: Settings, reason: str | None = None) -> Resent:
    """Send the dead letters since the last run to the topics they came from.

    Args:
        settings: the log and its topics.
        reason: only letters of this reason; the others stay.

    Raises:
        LogError: the brokers give no answer; the next run begins where this one did.
    """
    topic = settings.topic_dead
    consumer = Consumer(
        {
            **librdkafka(settings),
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "log_level": 4,
        }
    )
    resent = Resent(Counter(), Counter())
    try:
        ends = _mark(settings, consumer)
        starts = _starts(consumer, topic, ends)
        letters = _letters(consumer, topic, starts, ends)
        total = sum(ends[partition] - starts[partition] for partition in ends)
        routed = (_routed(settings, letter, reason, resent) for letter in letters)
        publish(settings, tracked(routed, "dead letters", total=total, unit="letters"))
        consumer.commit(offsets=_places(topic, {p: end + 1 for p, end in ends.items()}), asynchronous=False)
    except KafkaException as error:
        raise LogError(f"topic {topic}: {error.args[0].str()}") from None
    finally:
        consumer.close()
    return resent


def table(resent: Resent) -> Table:
    """Figures by reason."""
    shown = Table(title="Dead letters")
    for name in ("reason", "sent again", "left"):
        shown.add_column(name, justify="left" if name == "reason" else "right")
    for reason in sorted({*resent.sent, *resent.left}):
        shown.add_row(reason, f"{resent.sent[reason]:,}", f"{resent.left[reason]:,}")
    return shown


def _mark(settings: Settings, consumer: Consumer) -> Offsets:
    """Write a marker to every partition; where they lie."""
    found = consumer.list_topics(settings.topic_dead, PATIENCE_S).topics[settings.topic_dead]
    if found.error is not None:
        raise KafkaException(found.error)
    ends: Offsets = {}

    def written(message: Any) -> None:
        ends[message.partition()] = message.offset()

    markers = [Outgoing(settings.topic_dead, None, None, [(MARKER, b"1")], partition) for partition in found.partitions]
    publish(settings, markers, written)
    return ends


def _starts(consumer: Consumer, topic: str, ends: Mapping[int, int]) -> Offsets:
    """Where the last run ended; without one, or when the topic was made anew since, the first message there is."""
    starts = {}
    for place in consumer.committed(_places(topic, ends), PATIENCE_S):
        known = 0 <= place.offset <= ends[place.partition]
        starts[place.partition] = place.offset if known else consumer.get_watermark_offsets(place, PATIENCE_S)[0]
    return starts


def _letters(consumer: Consumer, topic: str, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[Any]:
    """The messages before the markers, without the markers of runs that were killed."""
    consumer.assign(_places(topic, starts))
    unfinished, moved = set(ends), time.monotonic()
    while unfinished:
        batch: list[Any] = list(consumer.consume(BATCH, 0.1))
        for message in batch:
            if message.error() is not None:
                raise KafkaException(message.error())
            if message.offset() >= ends[message.partition()]:
                unfinished.discard(message.partition())
            elif not _header(message, MARKER):
                yield message
        if batch:
            moved = time.monotonic()
        elif time.monotonic() - moved > PATIENCE_S:
            raise LogError(f"topic {topic}: the brokers gave nothing for {PATIENCE_S:.0f} s; try again")


def _routed(settings: Settings, letter: Any, wanted: str | None, resent: Resent) -> Outgoing:
    """The letter on its way: to the topic it came from, or back into the queue."""
    reason, topic = _header(letter, "reason"), _header(letter, "topic")
    headers = letter.headers() or []
    known = topic in (settings.topic_events, settings.topic_catalog, settings.topic_profiles)
    if not known or (wanted is not None and wanted != reason):
        resent.left[reason] += 1
        return Outgoing(settings.topic_dead, letter.key(), letter.value(), headers)
    resent.sent[reason] += 1
    kept = [(name, value) for name, value in headers if name not in VERDICT]
    if not _header(letter, ORIGIN):
        place = f"{topic}-{_header(letter, 'partition')}-{_header(letter, 'offset')}"
        kept.append((ORIGIN, place.encode()))
    return Outgoing(topic, letter.key(), letter.value(), kept)


def _header(message: Any, name: str) -> str:
    """A header's text; empty without it."""
    return next((value.decode(errors="replace") for key, value in message.headers() or [] if key == name and value), "")


def _places(topic: str, offsets: Mapping[int, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
