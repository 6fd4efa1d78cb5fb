"""Plays history through the running system: events in by ``POST /events``, lists out by ``GET /recommend``.

Before it asks, the player waits until the rows of everybody and everything that the events touched count them all, and
until the recommender has read its item table after that. From then on a request at the moment's clock (``at``) sees
exactly the strictly earlier events: no more were sent, and none is on its way.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

import httpx
import redis

from benchmarks.doors import RestDoor
from feature_repo.events import Event, Item, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES, USER_PROFILE
from infra.settings import Settings
from models.dataset import Moment
from models.metrics import DEPTH

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.003
AT_ONCE = 500
"""Events in one request, or rows read at a time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Behind(RuntimeError):
    """The system did not take in what it was sent; the message says what is missing."""


class Answer(NamedTuple):
    """What was recommended at a moment: item ids, best first, and the fallback's name; None for a personal list."""

    items: list[str]
    fallback: str | None


class Player:
    """Tells a running stack what happens, in order, and asks it in between.

    Args:
        settings: those of the stack; in mode local, with ingest, recommender and dataflow. A small item_refresh_s makes
            the waits short.
    """

    def __init__(self, settings: Settings) -> None:
        self._door = RestDoor(settings)
        url = f"http://{settings.host}:{settings.recommender_port}"
        self._recommender = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self._redis = redis.Redis.from_url(settings.redis_url)
        self._store = OnlineStore(self._redis, (USER_FEATURES, ITEM_FEATURES, USER_PROFILE, ITEM_CATALOG))
        self._counts: Mapping[str, Counter[str]] = {USER_FEATURES.name: Counter(), ITEM_FEATURES.name: Counter()}
        self._touched: dict[str, set[str]] = defaultdict(set)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.__exit__()
        self._recommender.close()
        self._redis.close()

    def loaded(self, events: Iterable[Event], items: Iterable[Item], users: Iterable[UserProfile]) -> None:
        """Say what others have sent to the stack; ``settle`` waits for it, too."""
        self._count(events)
        self._touched[ITEM_CATALOG.name] |= {item.item_id for item in items}
        self._touched[USER_PROFILE.name] |= {user.user_id for user in users}

    def send(self, events: Sequence[Event]) -> None:
        """Send events, in order of time. Raises httpx.HTTPError."""
        for at in range(0, len(events), AT_ONCE):
            self._door.send(events[at : at + AT_ONCE])
        self._count(events)

    def _count(self, events: Iterable[Event]) -> None:
        for event in events:
            for view, entity_id in ((USER_FEATURES, event.user_id), (ITEM_FEATURES, event.item_id)):
                self._counts[view.name][entity_id] += 1
                self._touched[view.name].add(entity_id)

    def settle(self) -> None:
        """Return when every answer knows all that was sent. Raises Behind, httpx.HTTPError, redis.RedisError."""
        if not any(self._touched.values()):
            return
        _until_none(self._missing_rows)
        written = time.monotonic()
        _until_none(lambda: self._missing_reading(written))

    def ask(self, moment: Moment) -> Answer:
        """The list of DEPTH items for the moment's user at its clock. Raises httpx.HTTPError."""
        at = _EPOCH + timedelta(microseconds=moment.now_us)
        query = {"user_id": moment.user_id, "k": str(DEPTH), "at": at.isoformat()}
        answer = self._recommender.get("/recommend", params=query).raise_for_status().json()
        return Answer([entry["item_id"] for entry in answer["recommendations"]], answer["fallback"])

    def _missing_rows(self) -> str:
        for view, entity_ids in self._touched.items():
            waiting = sorted(entity_ids)
            for at in range(0, len(waiting), AT_ONCE):
                part = waiting[at : at + AT_ONCE]
                for entity_id, row in zip(part, self._store.read(view, part), strict=True):
                    counted = row.features.get("event_count") if row else 0
                    wanted = self._counts[view][entity_id] if view in self._counts else counted
                    if row is None or counted != wanted:
                        return f"{view} of {entity_id}: {counted} of {wanted} events are counted"
                    entity_ids.remove(entity_id)
        return ""

    def _missing_reading(self, since: float) -> str:
        asked = time.monotonic()
        age_s = self._recommender.get("/model").raise_for_status().json()["item_table_age_s"]
        # The age counts from the begin of a reading and was taken after `asked`: the reading began at or after this.
        if age_s is not None and asked - age_s >= since:
            return ""
        return f"the recommender's item table is {age_s} s old"


def _until_none(missing: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while told := missing():
        if time.monotonic() > deadline:
            raise Behind(f"after {PATIENCE_S:.0f} s: {told}")
        time.sleep(LOOK_EVERY_S)
