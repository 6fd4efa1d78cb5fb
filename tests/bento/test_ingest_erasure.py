"""DELETE /users/{id} as it is served: a receipt in a real PostgreSQL, the wish in a real log, and what is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition

from feature_repo.erasures import KIND_HEADER, STORES, Erasures
from feature_repo.events import Erasure, to_us
from infra.local import Stack
from infra.settings import Settings, any_ports, load_settings

CLICK = {"user_id": "u1", "item_id": "i1", "event_type": "click"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("ingest-erasure")
    settings = load_settings(home=home, broker_timeout_s=1.0, **any_ports())
    with Stack(settings, ("kafka", "postgres", "ingest")) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with client_of(stack.settings) as client:
        wait_for(client, "/ready", 200)
        yield client


def client_of(settings: Settings) -> httpx.Client:
    return httpx.Client(base_url=f"http://{settings.host}:{settings.ingest_port}", trust_env=False, timeout=20)


def wait_for(client: httpx.Client, path: str, status: int) -> None:
    deadline = time.monotonic() + 15
    while client.get(path).status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def messages(settings: Settings, topic: str, key: str) -> list[Any]:
    """Every message of a key in a topic."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "t", "fetch.wait.max.ms": 20}
    )
    consumer.assign([TopicPartition(topic, p, 0) for p in range(settings.topic_partitions)])
    with closing(consumer):
        found: list[Any] = []
        while batch := consumer.consume(1_000, 1.0):
            found += batch
    return [message for message in found if message.key() == key.encode()]


def test_a_202_has_a_receipt_and_both_ends_in_the_log(stack: Stack, client: httpx.Client) -> None:
    before = datetime.now(UTC)
    answer = client.delete("/users/anna")
    assert answer.status_code == 202
    body = answer.json()
    assert (set(body), body["status"]) == ({"status", "erasure_id"}, "accepted")

    (profile,) = messages(stack.settings, stack.settings.topic_profiles, "anna")
    assert profile.value() is None
    (end,) = messages(stack.settings, stack.settings.topic_events, "anna")
    assert end.headers() == [KIND_HEADER]
    erasure = Erasure.model_validate_json(end.value())
    assert (erasure.user_id, erasure.erasure_id) == ("anna", body["erasure_id"])
    assert before <= erasure.requested_at <= datetime.now(UTC)

    receipt = client.get(f"/erasures/{body['erasure_id']}").json()
    assert (receipt["status"], receipt["done_at"]) == ("pending", None)
    assert datetime.fromisoformat(receipt["requested_at"]) == erasure.requested_at
    pending = {"status": "pending", "at": None, "detail": None}
    assert receipt["stores"] == [{"store": store, **pending} for store in STORES]


def test_a_repeat_while_pending_has_the_same_id_and_ends_the_user_again(stack: Stack, client: httpx.Client) -> None:
    first, second = (client.delete("/users/bert").json()["erasure_id"] for _ in range(2))
    assert first == second
    ends = messages(stack.settings, stack.settings.topic_events, "bert")
    moments = [Erasure.model_validate_json(end.value()).requested_at for end in ends]
    assert len(moments) == 2 and moments[0] < moments[1], "what he did in between is meant, too"
    assert len(messages(stack.settings, stack.settings.topic_profiles, "bert")) == 2


def test_the_receipt_shows_what_the_stores_report(stack: Stack, client: httpx.Client) -> None:
    erasure_id = client.delete("/users/carl").json()["erasure_id"]
    with closing(Erasures(stack.settings.database_url)) as erasures:
        (pending,) = [p for p in erasures.pending() if p.erasure.erasure_id == erasure_id]
        until_us = to_us(pending.erasure.requested_at) + 1
        erasures.done(erasure_id, STORES[0], until_us)
        shown = client.get(f"/erasures/{erasure_id}").json()
        assert [store["status"] for store in shown["stores"]] == ["done", *["pending"] * (len(STORES) - 1)]
        for store in STORES[1:]:
            erasures.done(erasure_id, store, until_us, f"about {store}")
        assert erasures.finish(pending._replace(until_us=until_us))
    receipt = client.get(f"/erasures/{erasure_id}").json()
    assert receipt["status"] == "done"
    assert receipt["stores"][-1] == {"store": "log", "status": "expires", "detail": "about log"} | {
        "at": receipt["stores"][-1]["at"]
    }
    moments = [datetime.fromisoformat(store["at"]) for store in receipt["stores"]]
    assert moments == sorted(moments) and moments[-1] <= datetime.fromisoformat(receipt["done_at"])


@pytest.mark.parametrize("user", ["a%20b", "x" * 129, "%00"])
def test_a_wrong_id_is_refused_by_field(client: httpx.Client, user: str) -> None:
    answer = client.delete(f"/users/{user}")
    assert answer.status_code == 422
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == ["user_id"]


def test_an_unknown_erasure_is_404(client: httpx.Client) -> None:
    answer = client.get("/erasures/none-such")
    assert answer.status_code == 404
    assert "none-such" in answer.json()["error"]["message"]


def refused(client: httpx.Client) -> None:
    """Both routes say that PostgreSQL is away, and events are taken as ever."""
    for method, path in (("DELETE", "/users/emil"), ("GET", "/erasures/e1")):
        answer = client.request(method, path)
        assert answer.status_code == 503
        assert "DATABASE_URL" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) >= 1
    assert client.post("/events", json=CLICK).status_code == 201


def test_it_starts_without_postgres(start_stack: Callable[..., Any], home: Settings) -> None:
    stack = start_stack(home, "kafka", "ingest")
    with client_of(stack.settings) as client:
        wait_for(client, "/ready", 200)
        refused(client)
        assert messages(stack.settings, stack.settings.topic_events, "emil") == []


def test_while_postgres_is_away_only_erasures_wait(stack: Stack, client: httpx.Client) -> None:
    stack.kill("postgres")
    refused(client)
    stack.restart("postgres")
    assert client.delete("/users/emil").status_code == 202


def test_what_the_log_does_not_acknowledge_leaves_no_receipt(start_stack: Callable[..., Any], home: Settings) -> None:
    stack = start_stack(home.model_copy(update={"broker_timeout_s": 1.0}), "kafka", "postgres", "ingest")
    with client_of(stack.settings) as client, closing(Erasures(stack.settings.database_url)) as erasures:
        wait_for(client, "/ready", 200)
        accepted = client.delete("/users/dora").json()["erasure_id"]
        stack.kill("kafka")
        for user in ("anna", "dora"):
            answer = client.delete(f"/users/{user}")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert [p.erasure.user_id for p in erasures.pending()] == ["dora"], "what was accepted before stays"
        assert client.get(f"/erasures/{accepted}").json()["status"] == "pending"
