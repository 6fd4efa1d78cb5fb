"""What passes through the console to the services and back, and what is said when a service does not answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.console import gateway
from infra.processes import free_ports
from infra.settings import any_ports, load_settings
from tests.bento.console_echo import ETAG, Echo
from tests.bento.console_server import served, served_console

pytest_plugins = ["tests.bento.console_fixtures"]

LIMIT = 10_000
OTHER_SITE = {"sec-fetch-site": "cross-site"}


@pytest.fixture(scope="module")
def services() -> dict[str, Echo]:
    """What stands behind the console."""
    return {name: Echo(name) for name in ("ingest", "recommender")}


@pytest.fixture(scope="module")
def front(services: dict[str, Echo], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The console before both."""
    home = tmp_path_factory.mktemp("front")
    with served(services["ingest"]) as ingest, served(services["recommender"]) as recommender:
        ports = any_ports() | {"ingest_port": ingest, "recommender_port": recommender}
        settings = load_settings(home=home, max_body_bytes=LIMIT, uis=False, **ports)
        with served_console(settings, home / "no-page") as client:
            yield client


@pytest.fixture(autouse=True)
def all_go_on(services: dict[str, Echo]) -> Iterator[None]:
    for service in services.values():
        service.go_on, service.seen = False, []
    yield
    for service in services.values():
        service.go_on = True


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
        "content-type": "application/json",
        "if-none-match": '"x"',
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "a=b",
        "user-agent": "a browser",
        "x-api-key": "the key",
    }
    stays = {
        "authorization": "Basic c2VjcmV0",
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
    assert arrived == passes
    assert {name for name, _ in told_raw(front, "GET /api/ingest/echo")["headers"]} == {"host"}, "none is made up"


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


# Away


def unreachable(answer: httpx.Response, service: str) -> str:
    """The message of a 503 that says that a service is not there."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]) == (503, "unreachable", {"service": service})
    assert int(answer.headers["retry-after"]) > 0
    assert "content-security-policy" in answer.headers
    message: str = error["message"]
    return message


def test_a_service_that_is_away_is_named_and_one_that_is_back_answers(
    serve_console: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    ports = dict(zip(("ingest_port", "recommender_port"), free_ports("127.0.0.1", 2), strict=True))
    client = serve_console(load_settings(home=tmp_path, uis=False, **any_ports() | ports))
    assert "nothing was sent" in unreachable(client.post("/api/ingest/events", content=b"{}"), "ingest")
    not_ready = client.get("/api/console/ready")
    assert (not_ready.status_code, not_ready.json()["error"]["details"]) == (503, ["ingest", "recommender"])
    assert client.get("/api/console/health").json() == {"status": "ok"}
    for _ in range(2):  # it comes, goes and comes again
        with served(Echo("ingest"), port=ports["ingest_port"]):
            assert client.post("/api/ingest/events", content=b"{}").status_code == 200
            assert client.get("/api/console/ready").json()["error"]["details"] == ["recommender"]
        unreachable(client.get("/api/ingest/echo"), "ingest")
    with served(Echo("ingest"), port=ports["ingest_port"]), served(Echo("r"), port=ports["recommender_port"]):
        assert client.get("/api/console/ready").json() == {"status": "ready"}


def test_a_service_that_hangs_holds_up_neither_the_asker_nor_the_other(
    serve_console: Callable[..., httpx.Client],
    serve_app: Callable[[Any], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"READ_S": 0.5, "CONNECT_S": 0.2, "CONNECTIONS": 2}.items():
        monkeypatch.setattr(gateway, name, value)
    ports = {"ingest_port": serve_app(hangs := Echo("ingest")), "recommender_port": serve_app(Echo("recommender"))}
    client = serve_console(load_settings(home=tmp_path, uis=False, **any_ports() | ports))
    with httpx.Client(base_url=client.base_url, trust_env=False) as other:
        connections = [socket.create_connection(("127.0.0.1", client.base_url.port or 0)) for _ in range(2)]
        for connection in connections:
            connection.sendall(b"GET /api/ingest/hang HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        while len(hangs.seen) < 2:
            assert other.get("/api/recommender/echo").status_code == 200
        assert "cannot be reached" in unreachable(other.get("/api/ingest/echo"), "ingest")
        for connection in connections:
            answer = b"".join(iter(lambda c=connection: c.recv(65_536), b""))
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"whether it took the request is not known" in answer
            connection.close()
        assert client.get("/api/ingest/echo").status_code == 200
    hangs.go_on = True


# Refused


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/unknown", "/api/unknown/x", "/api/ingest", "/api/ingestx/a"])
def test_what_is_behind_no_prefix_is_404(front: httpx.Client, path: str) -> None:
    answer = front.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin", "origin": "http://elsewhere"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://shop"}, True),
        ({"origin": "http://shop"}, False),
        ({"origin": "http://shop:8080"}, False),
        ({"origin": "https://door", "x-forwarded-host": "door"}, False),
        ({"origin": "http://elsewhere"}, True),
        ({"origin": "http://shop.elsewhere"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://["}, True),
    ],
)
def test_another_sites_page_may_change_nothing(
    front: httpx.Client, services: dict[str, Echo], headers: dict[str, str], refused: bool
) -> None:
    headers = {"host": "shop"} | headers
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = front.request(method, "/api/recommender/echo", headers=headers)
        assert answer.status_code == (403 if refused else 200)
        assert not refused or answer.json()["error"]["code"] == "cross_site"
    assert (services["recommender"].seen == []) is refused
    assert front.get("/api/recommender/echo", headers=headers).status_code == 200, "who only looks may come"


def test_the_consoles_own_routes_are_refused_to_other_sites_too(front: httpx.Client) -> None:
    assert front.post("/api/console/health", headers=OTHER_SITE).status_code == 403
    assert front.post("/api/console/health").status_code == 405
