"""The eraser against real servers; the dataflow's part is done by hand, by its own functions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from feature_repo.erasures import DATAFLOW, KIND_HEADER, STORES, Erasures, Receipt
from feature_repo.events import Erasure, Event, UserProfile, pseudonym, to_us
from feature_repo.online import OnlineStore
from feature_repo.schema import USER_FEATURES, USER_PROFILE, USER_SEEN, VIEWS
from feature_repo.state import UserState
from flows.backfill import write_history
from flows.eraser import Eraser
from flows.event_store import EventStore, open_event_store
from flows.metadata import MetadataStore
from flows.outcome_messages import Listed, Served
from flows.served_store import ServedStore, served_folder
from infra.settings import Settings
from infra.topics import in_words
from models.outcome_store import Outcome, OutcomeStore

START = datetime.now(UTC) - timedelta(days=1)


def acts(user: str, since: datetime = START, count: int = 3) -> list[Event]:
    return [
        Event(
            user_id=user,
            item_id=f"i{n}",
            event_type="click",
            timestamp=since + timedelta(seconds=n),
            value=None,
            event_id=f"{user}-{since.timestamp()}-{n}",
        )
        for n in range(count)
    ]


class Shop:
    """All stores, as the dataflow and a backfill leave them."""

    def __init__(self, settings: Settings, redis_client: Any) -> None:
        self.settings = settings
        self.online = OnlineStore(redis_client, VIEWS)
        self.store: EventStore = open_event_store(settings.event_store_url)
        self.metadata = MetadataStore(settings.database_url)
        self.erasures = Erasures(settings.database_url)

    def take(self, events: list[Event]) -> None:
        """Store one user's events and write his rows."""
        state, user = UserState(), events[0].user_id
        for event in events:
            state.apply(event)
        self.store.append(events)
        rows = {USER_FEATURES.name: state.row(), USER_SEEN.name: state.seen_row()}
        self.online.write({view: {user: (row, state.last_us)} for view, row in rows.items()})

    def put(self, user: str, logged_at: datetime) -> None:
        """Store a profile and write its row."""
        profile, logged_us = UserProfile(user_id=user, segments=("s",)), to_us(logged_at)
        self.metadata.upsert_users([profile], [logged_us])
        self.online.write({USER_PROFILE.name: {user: (profile.row(), logged_us)}})

    def dataflow(self, erasure: Erasure) -> None:
        """The dataflow's part."""
        until_us = to_us(erasure.requested_at) + 1
        for view in (USER_FEATURES, USER_SEEN, USER_PROFILE):
            self.online.remove(view.name, [erasure.user_id])
        self.store.erase(erasure.user_id, until_us)
        self.metadata.delete_users([erasure.user_id])
        self.erasures.done(erasure.erasure_id, DATAFLOW, until_us)

    def receipt(self, erasure: Erasure) -> Receipt:
        receipt = self.erasures.receipt(erasure.erasure_id)
        assert receipt is not None
        return receipt

    def missing(self, erasure: Erasure) -> set[str]:
        return {store.store for store in self.receipt(erasure).stores if store.at is None}

    def close(self) -> None:
        for part in (self.store, self.metadata, self.erasures):
            part.close()


@pytest.fixture
def shop(settings: Settings, redis_client: Any) -> Iterator[Shop]:
    """Two users with events, profiles and offline rows."""
    with closing(Shop(settings, redis_client)) as shop:
        for user in ("anna", "bert"):
            shop.take(acts(user))
            shop.put(user, START)
        write_history(settings.offline_dir, shop.store.scan(), [], shop.metadata.users())
        yield shop


def messages(settings: Settings, topic: str) -> list[Any]:
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "t", "fetch.wait.max.ms": 20}
    )
    consumer.assign([TopicPartition(topic, p, 0) for p in range(settings.topic_partitions)])
    with closing(consumer):
        return consumer.consume(100, 2.0)


def test_a_store_is_entered_after_a_look_that_found_nothing(shop: Shop) -> None:
    eraser, erasure = Eraser(shop.settings), shop.erasures.request("anna")
    assert eraser.step() == {}
    assert shop.missing(erasure) == set(STORES), "before the dataflow nothing can be said"
    shop.erasures.done(erasure.erasure_id, DATAFLOW, to_us(erasure.requested_at) + 1)
    assert eraser.step() == {}
    assert shop.missing(erasure) == {"online_store", "event_store", "profile", "offline_store"}, "there it found him"
    assert eraser.step() == {}
    assert shop.missing(erasure) == {"event_store"}, "which the dataflow alone erases, in order with what it appends"
    shop.store.erase("anna", to_us(erasure.requested_at) + 1)
    eraser.step()
    receipt = shop.receipt(erasure)
    assert receipt.status == "done" and receipt.done_at is not None
    assert all(store.at and receipt.requested_at < store.at <= receipt.done_at for store in receipt.stores)
    details = {store.store: (store.status, store.detail) for store in receipt.stores}
    assert details["impressions"] == ("done", "messages name users by pseudonym only")
    assert details["log"][0] == "expires" and f"{shop.settings.topic_dead}: by the broker" in str(details["log"][1])
    assert {event.user_id for event in shop.store.scan()} == {"bert"}
    assert [user.user_id for user in shop.metadata.users()] == ["bert"]
    assert shop.online.read("user_features", ["anna"]) == [None]


def test_lists_and_what_they_led_to_go_by_the_pseudonym(shop: Shop) -> None:
    now_us, folder = time.time_ns() // 1_000, served_folder(shop.settings)
    outcomes, served = OutcomeStore(shop.settings.database_url), ServedStore(folder)
    for n, user in enumerate(("anna", "bert")):
        head = (f"r{n}", "", pseudonym(user), now_us)
        served.write([served_list(Listed(*head, now_us, "m", "1", "champion", {}, 0, ("i1", "i2")))])
        outcomes.write([Outcome(*head, "m", "1", "champion", {"e": "v"}, 2, 1, 0, 1.0, {"i1": 1}, True)])
    eraser, erasure = Eraser(shop.settings), shop.erasures.request("anna")
    shop.dataflow(erasure)
    assert eraser.step() == {}
    assert {"served_rows", "outcomes"} <= shop.missing(erasure), "there it found her"
    assert eraser.step() == {}
    assert shop.receipt(erasure).status == "done"
    (left,) = served.tables(now_us, now_us + 1)
    assert left["user_key"].to_pylist() == [pseudonym("bert")] * 2
    assert list(outcomes.labels(now_us, now_us + 1)) == ["r1"]
    assert outcomes.moments()["e", "v"]["ctr"].users == 1


def served_list(listed: Listed) -> Served:
    block = np.ones((len(listed.item_ids), 1), np.float32)
    return Served(listed, None, block[:, 0], ("new",) * len(block), ("x",), block)


def test_who_comes_back_at_once_keeps_what_is_new_and_the_receipt_is_done(shop: Shop) -> None:
    erasure = shop.erasures.request("anna")
    shop.dataflow(erasure)
    new = acts("anna", erasure.requested_at + timedelta(seconds=1))
    shop.take(new)
    shop.put("anna", erasure.requested_at + timedelta(seconds=1))
    eraser = Eraser(shop.settings)
    for _ in range(2):
        assert eraser.step() == {}
    assert shop.receipt(erasure).status == "done"
    assert list(shop.store.scan(user_id="anna")) == new
    assert all(shop.online.read_entity("anna", [USER_FEATURES.name, USER_SEEN.name, USER_PROFILE.name]).values())
    assert [user.user_id for user in shop.metadata.users()] == ["anna", "bert"]


def test_a_dataflow_that_does_not_report_is_told_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.eraser.SEND_AGAIN_S", 0.3)
    eraser, erasure = Eraser(shop.settings), shop.erasures.request("anna")
    eraser.step()
    eraser.step()
    assert messages(shop.settings, shop.settings.topic_events) == [], "not before its time"
    time.sleep(0.3)
    eraser.step()
    eraser.step()
    (end,) = messages(shop.settings, shop.settings.topic_events)
    assert (end.key(), end.headers()) == (b"anna", [KIND_HEADER])
    assert Erasure.model_validate_json(end.value()) == erasure
    (profile,) = messages(shop.settings, shop.settings.topic_profiles)
    assert (profile.key(), profile.value()) == (b"anna", None)


def test_one_store_that_is_away_holds_up_no_other(shop: Shop) -> None:
    nowhere = shop.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    erasure = shop.erasures.request("anna")
    shop.dataflow(erasure)
    eraser = Eraser(nowhere)
    for _ in range(2):
        assert [*eraser.step()] == ["online_store"]
    assert shop.missing(erasure) == {"online_store"}
    Eraser(shop.settings).step()
    assert shop.receipt(erasure).status == "done"


def test_the_process_outlives_its_servers_says_so_once_and_ends_when_told(
    home: Settings, start_stack: Callable[..., Any]
) -> None:
    stack = start_stack(home, "kafka", "redis", "postgres", "eraser")
    process = stack.process("eraser")

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]

    def wait_for(happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not happened():
            assert time.monotonic() < deadline, process.log.read_text()
            time.sleep(0.1)

    wait_for(lines)
    with closing(Erasures(stack.settings.database_url)) as erasures:
        erasures.request("anna")
    stack.kill("postgres")
    time.sleep(2)
    stack.restart("postgres")
    with closing(Erasures(stack.settings.database_url)) as erasures:
        (pending,) = erasures.pending()
        erasures.done(pending.erasure.erasure_id, DATAFLOW, to_us(pending.erasure.requested_at) + 1)
        wait_for(lambda: not erasures.pending())
    wait_for(lambda: len(lines()) >= 4)
    assert [line["level"] for line in lines()] == ["INFO", "WARNING", "INFO", "INFO"], "runs, away, back, erased"
    assert "anna" not in process.log.read_text()
    process.stop()
    assert process.exit_code == 0


def test_retention_in_words() -> None:
    assert in_words({"retention.ms": "604800000", "cleanup.policy": "delete"}) == "after 7 days"
    assert in_words({"retention.ms": "-1"}) == "for ever"
    assert in_words({"retention.ms": "604800000", "cleanup.policy": "compact"}) == "until they are compacted"
    assert in_words({}) == "by the broker's retention"
