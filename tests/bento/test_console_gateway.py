"""What passes through the console to the services and back: bytes, headers, bodies as they stream."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.bento.console_echo import ETAG, Echo

pytest_plugins = ["tests.bento.console_fixtures"]

LIMIT = 10_000


def raw(client: httpx.Client, sent: bytes, closing: bool = False) -> bytes:
    """What comes back for bytes on the wire; closing: the client is gone after them."""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), 10) as connection:
        connection.sendall(sent)
        return b"" if closing else b"".join(iter(lambda: connection.recv(65_536), b""))


def told_raw(client: httpx.Client, line: str) -> dict[str, Any]:
    """What Echo says of a request line that httpx would tidy up."""
    answer = raw(client, f"{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    told: dict[str, Any] = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    return told


def counted(client: httpx.Client, name: str, **labels: str) -> float:
    """One of the console's own metrics."""
    found = client.outside.metrics.registry.get_sample_value(f"freshet_console_{name}", labels)  # type: ignore[attr-defined]
    return found or 0.0


# On the way there


@pytest.mark.parametrize("service", ["ingest", "recommender"])
@pytest.mark.parametrize(
    "target",
    [
        "/items/a%2Fb%20%C3%A9%25/similar?k=3&exclude=a%2Cb,c&x=%2B+&x=",
        "/",
        "//twice",
        "/a/../b/./c",
        "/%2e%2e/%61;p=1?a=b?c=d",
        "/q?",
        "/kept-as-is?at=2026-01-01T00:00:00Z&e={}|^",
    ],
)
def test_path_and_query_pass_as_they_were_sent(front: httpx.Client, service: str, target: str) -> None:
    told = told_raw(front, f"GET /api/{service}{target}")
    path, _, query = target.partition("?")
    assert (told["service"], told["path"], told["query"]) == (service, path, query)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_passes(front: httpx.Client, method: str) -> None:
    assert front.request(method, "/api/ingest/echo").json()["method"] == method


def test_only_the_headers_that_mean_something_to_a_service_pass(front: httpx.Client) -> None:
    passes = {
        "accept": "application/json",
        "accept-encoding": "gzip",
        "authorization": "Bearer of.a.user",
        "content-type": "application/json",
        "if-none-match": '"x"',
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "a=b",
        "user-agent": "a browser",
        "x-api-key": "the key",
    }
    stays = {
        "cookie": "session=of-another-program",
        "forwarded": "for=1.2.3.4",
        "origin": str(front.base_url),
        "referer": "http://elsewhere/",
        "te": "trailers",
        "x-forwarded-for": "1.2.3.4",
        "x-made-up": "1",
    }
    told = front.post("/api/ingest/echo", headers=passes | stays, content=b"{}").json()
    arrived = {name: value for name, value in told["headers"] if name not in ("host", "content-length", "connection")}
    assert arrived == passes | {"x-forwarded-for": "127.0.0.1"}, "whom it came from, not what it says of that"
    found = {name for name, _ in told_raw(front, "GET /api/ingest/echo")["headers"]}
    assert found == {"host", "x-forwarded-for"}, "no other is made up"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_passes_whole(front: httpx.Client, chunked: bool) -> None:
    body = bytes(range(256)) * 20
    sent: Any = iter([body[:1_000], body[1_000:]]) if chunked else body
    assert front.post("/api/ingest/echo", content=sent).json()["body"].encode("latin-1") == body


def test_an_upload_passes_on_while_it_is_sent(
    front: httpx.Client, services: dict[str, Echo], eventually: Callable[..., Any]
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"first "
        eventually(lambda: services["ingest"].chunks == [b"first "], 5)
        yield b"second"

    answer = front.post("/api/ingest/upload", content=parts())
    assert (answer.status_code, answer.content) == (201, b"first second")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_refused(front: httpx.Client, services: dict[str, Echo], chunked: bool) -> None:
    assert front.post("/api/ingest/upload", content=b"x" * LIMIT).status_code == 201
    sent: Any = (b"x" * 1_000 for _ in range(LIMIT // 1_000 + 1)) if chunked else b"x" * (LIMIT + 1)
    answer = front.post("/api/ingest/upload", content=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert "content-security-policy" in answer.headers
    assert chunked or len(services["ingest"].seen) == 1, "the service hears nothing of what is declared too long"
    assert front.get("/api/ingest/echo").status_code == 200


def test_who_leaves_half_way_leaves_nothing_behind(
    front: httpx.Client, services: dict[str, Echo], eventually: Callable[..., Any]
) -> None:
    labels = {"method": "POST", "route": "/api/ingest", "status": "400"}
    before, away = counted(front, "requests_total", **labels), counted(front, "unreachable_total", service="ingest")
    raw(front, b"POST /api/ingest/upload HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nten bytes.", closing=True)
    eventually(lambda: counted(front, "requests_total", **labels) == before + 1, 5)
    assert counted(front, "unreachable_total", service="ingest") == away
    assert front.get("/api/ingest/echo").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"content-length: +5\r\n\r\nabcde",
        b"content-length: -1\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
def test_a_body_of_doubtful_length_reaches_no_service(
    front: httpx.Client, services: dict[str, Echo], sent: bytes
) -> None:
    answer = raw(front, b"POST /api/ingest/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + sent)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"body": "' not in answer


# On the way back


def test_an_answer_passes_while_it_is_made(front: httpx.Client, services: dict[str, Echo]) -> None:
    with front.stream("GET", "/api/recommender/drip") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first "
        services["recommender"].go_on = True
        assert b"".join(parts) == b"second"


def test_headers_of_one_hop_stay_there_and_others_come_back(front: httpx.Client) -> None:
    answer = front.get("/api/recommender/headers")
    assert answer.status_code == 429
    assert not {"x-private", "keep-alive", "trailer", "server"} & set(answer.headers)
    assert answer.headers.get_list("date") != ["never"] and len(answer.headers.get_list("date")) == 1
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert (answer.headers["retry-after"], answer.headers["x-own"]) == ("7", "yes")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    theirs, ours = answer.headers.get_list("server-timing")
    assert theirs == "check;dur=1"
    assert float(ours.removeprefix("gateway;dur=")) > 0


def test_what_is_kept_is_asked_about_by_its_etag(front: httpx.Client) -> None:
    whole = front.get("/api/recommender/kept")
    assert (whole.status_code, whole.content, whole.headers["etag"]) == (200, b"whole", ETAG.decode())
    again = front.get("/api/recommender/kept", headers={"if-none-match": whole.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", ETAG.decode())
    assert again.headers["cache-control"] == "no-cache"


def test_compression_is_left_as_it_is(front: httpx.Client) -> None:
    answer = front.get("/api/recommender/zipped", headers={"accept-encoding": "gzip"})
    assert (answer.headers["content-encoding"], answer.text) == ("gzip", "small")


def test_head_has_no_body_and_a_redirect_is_the_clients_to_follow(front: httpx.Client) -> None:
    head = front.head("/api/recommender/kept")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", ETAG.decode())
    moved = front.get("/api/recommender/moved")
    assert (moved.status_code, moved.headers["location"]) == (307, "/echo")


def test_half_an_answer_does_not_pass_for_a_whole_one(front: httpx.Client) -> None:
    before = counted(front, "unreachable_total", service="recommender")
    with pytest.raises(httpx.RemoteProtocolError):
        front.get("/api/recommender/broken")
    assert counted(front, "unreachable_total", service="recommender") == before + 1
    assert front.get("/api/recommender/echo").status_code == 200
