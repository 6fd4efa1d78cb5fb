"""Ingest as it is served: ``bentoml serve`` before a real broker; every bad input has its defined answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka.partitioner.default import murmur2

from feature_repo.events import Event, Item, UserProfile
from infra.local import Stack
from infra.settings import Settings, any_ports, load_settings

CLICK = {"user_id": "u1", "item_id": "i1", "event_type": "click"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("ingest")
    with Stack(load_settings(home=home, max_batch_events=100, **any_ports()), ("kafka", "ingest")) as running:
        wait_ready(client_of(running.settings))
        yield running


def client_of(settings: Settings) -> httpx.Client:
    url = f"http://{settings.host}:{settings.ingest_port}"
    return httpx.Client(base_url=url, trust_env=False, timeout=20)


def wait_ready(client: httpx.Client, status: int = 200, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while client.get("/ready").status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with client_of(stack.settings) as client:
        yield client


def messages(settings: Settings, topic: str) -> list[Any]:
    """Everything in a topic."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "t", "fetch.wait.max.ms": 20}
    )
    consumer.assign([TopicPartition(topic, p, 0) for p in range(settings.topic_partitions)])
    found: list[Any] = []
    while batch := consumer.consume(1_000, 1.0):
        found += batch
    consumer.close()
    return found


def error_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    return dict(body["error"])


def test_a_201_is_in_the_log_keyed_by_user(stack: Stack, client: httpx.Client) -> None:
    before = datetime.now(UTC)
    answer = client.post("/events", json=CLICK | {"value": 2, "properties": {"a": [1]}})
    assert answer.status_code == 201
    body = answer.json()
    assert (set(body), body["status"]) == ({"status", "event_id"}, "accepted")
    (message,) = [
        m for m in messages(stack.settings, stack.settings.topic_events) if body["event_id"].encode() in m.value()
    ]
    event = Event.model_validate_json(message.value())
    assert (event.user_id, event.item_id, event.value, event.properties) == ("u1", "i1", 2.0, {"a": [1]})
    assert before <= event.timestamp <= datetime.now(UTC), "an absent timestamp is now"
    assert message.key() == b"u1"
    # the partition that Java's clients and librdkafka's murmur2 choose too
    assert message.partition() == (murmur2(b"u1") & 0x7FFFFFFF) % stack.settings.topic_partitions


def timing_of(answer: httpx.Response) -> dict[str, float]:
    """Server-Timing: name -> milliseconds."""
    return {
        part.split(";dur=")[0]: float(part.split(";dur=")[1]) for part in answer.headers["server-timing"].split(", ")
    }


def test_a_201_says_how_long_check_and_log_took(client: httpx.Client) -> None:
    for body in (CLICK, [CLICK, CLICK]):
        began = time.perf_counter()
        answer = client.post("/events", json=body)
        took_ms = (time.perf_counter() - began) * 1_000
        timing = timing_of(answer)
        assert set(timing) == {"check", "log"} and min(timing.values()) > 0 and sum(timing.values()) <= took_ms
    assert "server-timing" not in client.post("/events", json={}).headers
    created = client.get("/openapi.json").json()["paths"]["/events"]["post"]["responses"]["201"]
    assert "log" in created["headers"]["Server-Timing"]["description"]


def test_a_given_event_id_and_timestamp_are_kept(stack: Stack, client: httpx.Client) -> None:
    answer = client.post("/events", json=CLICK | {"event_id": "mine-1", "timestamp": "2024-05-06T07:08:09+02:00"})
    assert answer.json() == {"status": "accepted", "event_id": "mine-1"}
    (message,) = [m for m in messages(stack.settings, stack.settings.topic_events) if b"mine-1" in m.value()]
    assert json.loads(message.value())["timestamp"] == "2024-05-06T05:08:09Z"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event_type": "stare"}, "event_type"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a b"}, "user_id"),
        ({"item_id": None}, "item_id"),
        ({"colour": "red"}, "colour"),
        ({"value": "much"}, "value"),
        ({"value": 1e300}, "value"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-12:00"}, "timestamp"),
        ({"timestamp": 1}, "timestamp"),
        ({"properties": []}, "properties"),
    ],
)
def test_a_wrong_field_is_named(client: httpx.Client, change: dict[str, Any], field: str) -> None:
    answer = client.post("/events", json=CLICK | change)
    assert answer.status_code == 422
    error = error_of(answer)
    assert error["code"] == "invalid"
    assert field in error["message"]
    assert [detail["field"] for detail in error["details"]] == [field]


def test_a_clock_that_is_a_little_ahead_is_taken(client: httpx.Client) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    assert client.post("/events", json=CLICK | {"timestamp": soon}).status_code == 201


@pytest.mark.parametrize("text", [b'{"user_id": "u1",', b"[1,", b"", b"\xff", b'{"a":NaN', b"{" * 300])
def test_broken_json_is_400(client: httpx.Client, text: bytes) -> None:
    answer = client.post("/events", content=text, headers={"content-type": "application/json"})
    assert (answer.status_code, error_of(answer)["code"]) == (400, "bad_request")


@pytest.mark.parametrize("text", [b'"text"', b"1", b"null", b"[]", b"[5]", b"[[]]"])
def test_json_without_a_valid_event_is_422(client: httpx.Client, text: bytes) -> None:
    answer = client.post("/events", content=text)
    assert (answer.status_code, error_of(answer)["code"]) == (422, "invalid")


def test_another_content_type_is_415(client: httpx.Client) -> None:
    answer = client.post("/events", data={"user_id": "u1"})
    assert (answer.status_code, error_of(answer)["code"]) == (415, "unsupported_media_type")
    assert "application/json" in answer.json()["error"]["message"]


def test_an_array_is_taken_without_its_bad_events(stack: Stack, client: httpx.Client) -> None:
    events = [CLICK | {"event_id": "b-0"}, CLICK | {"event_type": "stare"}, 5, CLICK | {"event_id": "b-3"}]
    answer = client.post("/events", json=events)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["accepted"], body["event_ids"]) == (2, ["b-0", "b-3"])
    assert [rejected["index"] for rejected in body["rejected"]] == [1, 2]
    assert "event_type" in body["rejected"][0]["error"]
    stored = [json.loads(m.value())["event_id"] for m in messages(stack.settings, stack.settings.topic_events)]
    assert [each for each in stored if each.startswith("b-")] == ["b-0", "b-3"]


def test_an_array_without_a_valid_event_says_why(client: httpx.Client) -> None:
    answer = client.post("/events", json=[{}, CLICK | {"user_id": ""}])
    assert answer.status_code == 422
    assert [detail["index"] for detail in error_of(answer)["details"]] == [0, 1]


def test_a_full_array_is_taken_and_a_longer_one_is_not(client: httpx.Client) -> None:
    assert client.post("/events", json=[CLICK] * 100).json()["accepted"] == 100
    answer = client.post("/events", json=[CLICK] * 101)
    assert answer.status_code == 422
    assert "101 events; at most 100" in error_of(answer)["message"]


@pytest.mark.parametrize("chunked", [False, True])
def test_two_megabytes_are_too_much(client: httpx.Client, chunked: bool) -> None:
    body = json.dumps(CLICK | {"properties": {"a": "x" * 2_000_000}}).encode()
    chunks = (body[n : n + 65_536] for n in range(0, len(body), 65_536))
    answer = client.post("/events", content=chunks if chunked else body)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")
    assert "FRESHET_MAX_BODY_BYTES" in answer.json()["error"]["message"]


def test_almost_one_megabyte_goes_through_the_log(stack: Stack, client: httpx.Client) -> None:
    event = CLICK | {"event_id": "large", "properties": {"a": "x" * 1_000_000}}
    assert client.post("/events", json=event).status_code == 201
    sizes = [len(m.value()) for m in messages(stack.settings, stack.settings.topic_events)]
    assert max(sizes) > 1_000_000


def test_items_and_users_are_put_into_their_topics(stack: Stack, client: httpx.Client) -> None:
    answer = client.put("/items/i%3A7", json={"title": "Brazil", "categories": ["Drama"], "price": 2})
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted", "id": "i:7"})
    assert client.put("/users/u7", json={"user_id": "u7", "segments": ["gender:F"]}).status_code == 200
    (item,) = messages(stack.settings, stack.settings.topic_catalog)
    (user,) = messages(stack.settings, stack.settings.topic_profiles)
    assert item.key() == b"i:7"
    assert Item.model_validate_json(item.value()) == Item.model_validate(
        {"item_id": "i:7", "title": "Brazil", "categories": ["Drama"], "price": 2}
    )
    assert UserProfile.model_validate_json(user.value()) == UserProfile(user_id="u7", segments=("gender:F",))


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/items/i1", {"item_id": "i2"}, "item_id"),
        ("/items/i1", {"price": -1}, "price"),
        ("/items/i1", {"title": "a\x00b"}, "title"),
        ("/items/a%20b", {}, "item_id"),
        ("/users/u1", {"segments": "gender:F"}, "segments"),
        ("/users/u1", {"age": 3}, "age"),
        ("/users/u1", [], "body"),
    ],
)
def test_wrong_entries_are_refused_by_field(client: httpx.Client, path: str, body: Any, field: str) -> None:
    answer = client.put(path, json=body)
    assert answer.status_code == 422
    assert [detail["field"] for detail in error_of(answer)["details"]] == [field]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("POST", "/docs.json", 404),
        ("GET", "/events", 405),
        ("DELETE", "/items/i1", 405),
    ],
)
def test_unknown_routes_answer_in_the_same_form(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    error_of(answer)


def test_liveness_metrics_and_documents_are_ours(client: httpx.Client) -> None:
    client.post("/events", json=CLICK)
    client.post("/events", json=CLICK | {"event_type": "stare"})
    assert client.get("/health").json() == {"status": "ok"}
    metrics = client.get("/metrics").text
    assert 'freshet_ingest_requests_total{method="POST",route="/events",status="201"}' in metrics
    assert 'freshet_ingest_events_total{event_type="click"}' in metrics
    assert 'freshet_ingest_rejected_total{reason="schema"}' in metrics
    assert "freshet_ingest_ack_seconds_bucket" in metrics
    assert client.get("/docs").status_code == 200
    document = client.get("/openapi.json").json()
    paths = {"/events", "/items/{item_id}", "/users/{user_id}", "/erasures/{erasure_id}", "/health", "/ready"}
    assert paths | {"/metrics"} <= set(document["paths"])
    erased = document["paths"]["/users/{user_id}"]["delete"]["responses"]
    assert {"202", "422", "503"} <= set(erased)
    assert erased["202"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErasureAccepted"}
    assert {"status", "stores"} <= set(document["components"]["schemas"]["Receipt"]["properties"])
    for status in ("400", "413", "415", "422", "503", "404", "405"):
        schema = document["paths"]["/events"]["post"]["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}
    assert "properties" in document["components"]["schemas"]["Event"]


def test_every_reference_of_the_document_exists(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    names = {part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]}
    assert names <= set(schemas)


def test_without_a_broker_it_lives_and_says_so_and_recovers(home: Settings, start_stack: Callable[..., Any]) -> None:
    settings = load_settings(**{"home": home.home, "broker_timeout_s": 1.0, **_free_ports(home)})
    # the service first: it must start without a broker
    ingest = start_stack(
        load_settings(**_values(settings) | {"KAFKA_BOOTSTRAP_SERVERS": _somewhere(settings)}), "ingest"
    )
    client = client_of(ingest.settings)
    assert client.get("/health").status_code == 200
    for path in ("/ready", "/events"):
        answer = client.post(path, json=CLICK) if path == "/events" else client.get(path)
        assert answer.status_code == 503
        assert error_of(answer)["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1

    broker = start_stack(load_settings(**_values(settings) | {"home": home.home.with_name("broker")}), "kafka")
    wait_ready(client)
    assert client.post("/events", json=CLICK).status_code == 201

    broker.kill("kafka")
    started = time.monotonic()
    answer = client.post("/events", json=CLICK | {"event_id": "again"})
    assert answer.status_code == 503
    assert error_of(answer)["details"] == {"event_ids": ["again"]}
    assert time.monotonic() - started < 5
    wait_ready(client, 503)

    broker.restart("kafka")
    wait_ready(client)
    assert client.post("/events", json=CLICK | {"event_id": "again"}).status_code == 201
    (message,) = messages(broker.settings, broker.settings.topic_events)
    assert json.loads(message.value())["event_id"] == "again"


def _free_ports(settings: Settings) -> dict[str, int]:
    from infra.processes import free_ports

    names = ("kafka_port", "ingest_port")
    return dict(zip(names, free_ports(settings.host, len(names)), strict=True))


def _somewhere(settings: Settings) -> str:
    # spelt otherwise than the embedded broker's address, so that the stack takes it for another's
    return f"localhost:{settings.kafka_port}"


def _values(settings: Settings) -> dict[str, Any]:
    embedded = settings.embedded_urls()
    return {
        str(info.validation_alias or field): getattr(settings, field)
        for field, info in Settings.model_fields.items()
        if field not in embedded
    }
