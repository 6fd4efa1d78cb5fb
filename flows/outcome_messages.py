"""What the dataflow of outcomes reads: lists that were made, and acts that name one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from feature_repo.events import BadEvent, Event, pseudonym, to_us
from flows.messages import Arrival, DeadLetter, Source, read_messages

CLICK, CART, BOUGHT = 1, 2, 3
LABELS: dict[str, int] = {"view": CLICK, "click": CLICK, "rate": CLICK, "add_to_cart": CART, "purchase": BOUGHT}
"""What an act says of its item, in the order of ``models.dataset.TYPE_WEIGHT``; from CART on it is a conversion.

A rating above 0 is an act like a click: whether it is a good one depends on the shop's scale, which ``act_weights``
learns from all ratings and no single one tells. One of 0 or less, and remove_from_cart, are no wish and no act.
"""

_NAMES_A_LIST = b'"recommendation_id"'


class Listed(NamedTuple):
    """A list, or a later page of one.

    Attributes:
        shadow: "" when it was shown, else "experiment:variant".
        time_us: the clock that it was made for; logged_us: when it entered the log.
        offset: place of the first item in the whole list.
        item_ids: from there on.
    """

    recommendation_id: str
    shadow: str
    user_key: str
    time_us: int
    logged_us: int
    model_version: str | None
    registered_version: str | None
    variant: str | None
    experiments: Mapping[str, str]
    offset: int
    item_ids: tuple[str, ...]


class Served(NamedTuple):
    """A list with what it was ranked by.

    Attributes:
        scores: float32 [n]; sources: [n].
        features: float32 [m, len(feature_names)] of the first m items.
    """

    listed: Listed
    fallback: str | None
    scores: NDArray[np.float32]
    sources: tuple[str, ...]
    feature_names: tuple[str, ...]
    features: NDArray[np.float32]


class Act(NamedTuple):
    """An act on an item of some list; ``label`` as in LABELS."""

    recommendation_id: str
    event_id: str
    user_key: str
    item_id: str
    label: int
    logged_us: int


def read_impressions(found: Iterable[Source | Arrival]) -> Iterator[Served | DeadLetter]:
    """Decode a batch of the topic of impressions; one that is wrong becomes a dead letter."""
    for source in found:
        assert isinstance(source, Source)
        try:
            yield _served(orjson.loads(source.value or b""), source.logged_ms * 1_000)
        except (KeyError, TypeError, ValueError) as error:
            yield DeadLetter(source, "impression", f"not an impression: {error!r}"[:500])


def read_acts(found: Iterable[Source | Arrival]) -> Iterator[Act]:
    """The acts among a batch of events that name a list; the rest, bad ones too, is the event dataflow's."""
    named = (source for source in found if isinstance(source, Source) and _NAMES_A_LIST in (source.value or b""))
    for arrival in read_messages(Event, named):
        if isinstance(arrival, Arrival) and isinstance(arrival.message, Event) and not arrival.stored:
            yield from _acts(arrival.message, arrival.logged_us)


def _acts(event: Event, logged_us: int) -> Iterator[Act]:
    if event.recommendation_id is not None and (label := label_of(event)):
        user_key = pseudonym(event.user_id)
        yield Act(event.recommendation_id, event.event_id, user_key, event.item_id, label, logged_us)


def label_of(event: Event) -> int:
    """The label that an act gives its item; 0: none."""
    if event.event_type == "rate" and event.value is not None and event.value <= 0:
        return 0
    return LABELS.get(event.event_type, 0)


def _served(message: dict[str, Any], logged_us: int) -> Served:
    items = message["items"]
    time_us = message.get("time_us") or to_us(datetime.fromisoformat(message["timestamp"]))
    listed = Listed(
        _text(message["recommendation_id"]),
        message.get("shadow") or "",
        _text(message["user_key"]),
        int(time_us),
        logged_us if logged_us > 0 else int(time_us),
        message["model_version"],
        message.get("registered_version"),
        message["variant"],
        message.get("experiments") or {},
        int(message["offset"]),
        tuple(_text(item["item_id"]) for item in items),
    )
    names = tuple(sys.intern(name) for name in message["feature_names"])
    # By way of float64, which holds every float32 and takes null for NaN; nobody reads a shadow's.
    rows = [] if listed.shadow else message["features"]
    features = np.array(rows, np.float64).astype(np.float32).reshape(-1, max(1, len(names)))
    return Served(
        listed,
        message["fallback"],
        np.array([item["score"] for item in items], np.float64).astype(np.float32),
        tuple(sys.intern(item["source"]) for item in items),
        names,
        features,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise BadEvent("schema", f"{value!r} is no text")
    return value
