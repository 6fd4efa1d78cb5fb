"""What the gateway says when a service does not answer, and what it passes to none."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.console import gateway
from infra.processes import free_ports
from infra.settings import any_ports, load_settings
from tests.bento.console_echo import Echo
from tests.bento.console_server import served

pytest_plugins = ["tests.bento.console_fixtures"]

OTHER_SITE = {"sec-fetch-site": "cross-site"}


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
