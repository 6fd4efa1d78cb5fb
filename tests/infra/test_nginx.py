"""nginx in front of the services, held against the Python origin that it stands in for."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from deploy_nginx import Service, nginx, served, service
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from bento.console.app import create_app
from bento.console.gateway import ASKED, CONNECT_S, FORWARDED_FOR, READ_S
from bento.console.headers import SECURITY_HEADERS
from bento.console.public import is_public
from bento.console.static import IMMUTABLE
from bento.errors import CODES
from infra.processes import free_ports
from infra.settings import ROOT, Settings, load_settings

LIMIT = 4096
KEY = {"x-api-key": "the admin's, which nobody guesses"}
PAGE_PATHS = (
    "/",
    "/index.html",
    "/user/7",
    "/user/john.doe",
    "/control",
    "/mark.svg",
    "/assets/app-1a2b.js",
    "/assets/app-1a2b.css",
    "/assets/nothing-here.js",
    "/assets",
    "/favicon.ico",
    "/.env",
    "/../nginx.conf",
)
API_PATHS = ("/api", "/api/", "/api/else", "/api/ingest", "/api/elsewhere/x", "/api/may")
ROUTES = tuple(
    (service, method, path)
    for service, paths in {
        "ingest": (
            "/events",
            "/events/",
            "/events?x=1",
            "/users/1",
            "/items/1",
            "/health",
            "/ready",
            "/metrics",
            "/docs",
        ),
        "recommender": (
            "/recommend?user_id=1",
            "/recommender",
            "/popular",
            "/items/1/similar?k=3",
            "/items/a%2Fb/features",
            "/items/a/b/features",
            "/users/1/features",
            "/model",
            "/model/rollback",
            "/experiments",
            "//popular",
            "/x/../popular",
            "/%70opular",
        ),
    }.items()
    for path in paths
    for method in ("GET", "POST", "PUT", "DELETE")
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "assets").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>Freshet</title>" + "<p>some text</p>" * 100)
    (folder / "mark.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "assets" / "app-1a2b.js").write_text("console.log('Grüße');" * 100)
    (folder / "assets" / "app-1a2b.css").write_text("p{}")
    (folder / "secret").symlink_to("/etc/hostname")
    return folder


@pytest.fixture(scope="module")
def ours() -> Iterator[Service]:
    # as the console does, which says the security headers itself
    with service(dict(SECURITY_HEADERS) | {"x-own": "kept", "cache-control": "no-store"}) as running:
        yield running


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    port, closed = free_ports("127.0.0.1", 2)
    nowhere = f"127.0.0.1:{closed}"
    return load_settings(
        mode="production",
        admin_key=KEY["x-api-key"],
        home=tmp_path_factory.mktemp("home"),
        console_port=port,
        recommender_port=closed,
        max_body_bytes=LIMIT,
        kafka_bootstrap_servers=nowhere,
        redis_url=f"redis://{nowhere}/0",
        database_url=f"postgresql://nobody@{nowhere}/freshet",
        event_store_url=f"mongodb://{nowhere}/freshet",
        mlflow_tracking_uri=f"http://{nowhere}",
        prefect_api_url=f"http://{nowhere}/api",
        feast_registry=f"postgresql+psycopg://nobody@{nowhere}/freshet",
    )


@pytest.fixture(scope="module")
def app(page: Path, settings: Settings) -> ASGIApp:
    """The real console. Not opened: what is asked of it here needs none of its connections."""
    return create_app(settings, page)


@pytest.fixture(scope="module")
def python(app: ASGIApp) -> TestClient:
    """The origin without nginx."""
    return TestClient(app)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def door(folder: Path, page: Path, app: ASGIApp, ours: Service, settings: Settings) -> Iterator[httpx.Client]:
    with served(app) as console:
        variables = {
            "FRESHET_CONSOLE_PORT": str(settings.console_port),
            "FRESHET_MAX_BODY_BYTES": str(LIMIT),
            "PAGE_ROOT": str(page),
            "INGEST_URL": ours.url,
            "RECOMMENDER_URL": f"http://127.0.0.1:{settings.recommender_port}",  # nobody listens there
            "CONSOLE_URL": console,
        }
        with nginx(folder, variables) as url, httpx.Client(base_url=url, trust_env=False) as client:
            yield client


@pytest.mark.parametrize("path", PAGE_PATHS + API_PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_answers_what_the_python_origin_answers(door: httpx.Client, python: TestClient, method: str, path: str) -> None:
    ours, theirs = door.request(method, path), python.request(method, path)
    assert ours.status_code == theirs.status_code
    assert ours.content == theirs.content
    for name in ("cache-control", "allow", *SECURITY_HEADERS):
        assert ours.headers.get_list(name) == theirs.headers.get_list(name), name
    if theirs.is_success or path in API_PATHS:
        # which of the two names JavaScript has, depends on the version
        types = [answer.headers["content-type"].replace("application/j", "text/j") for answer in (ours, theirs)]
        assert types[0] == types[1]


def test_the_very_same_security_headers_on_every_kind_of_answer(door: httpx.Client) -> None:
    for path in ("/", "/nothing.js", "/api/console/health", "/api/ingest/status/503", "/api/recommender/health"):
        answer = door.get(path)
        assert {name: answer.headers.get_list(name) for name in SECURITY_HEADERS} == {
            name: [value] for name, value in SECURITY_HEADERS.items()
        }, path


def test_files_named_by_their_content_stay_others_are_asked_about(door: httpx.Client) -> None:
    asset, index = door.get("/assets/app-1a2b.js"), door.get("/")
    assert asset.headers["cache-control"] == IMMUTABLE
    assert index.headers["cache-control"] == "no-cache"
    assert asset.headers["content-encoding"] == "gzip"
    again = door.get("/", headers={"if-none-match": index.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]


def test_a_link_out_of_the_page_is_not_followed(door: httpx.Client) -> None:
    answer = door.get("/secret")
    assert answer.status_code == 403 or "<title>Freshet" in answer.text
    assert Path("/etc/hostname").read_text().strip() not in answer.text


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("/api/ingest/events", "/events"),
        ("/api/ingest/items/a%2Fb%20c?x=%26&y", "/items/a%2Fb%20c?x=%26&y"),
    ],
)
def test_a_services_path_arrives_byte_for_byte(door: httpx.Client, ours: Service, sent: str, arrives: str) -> None:
    answer = door.get(sent, headers=KEY)
    assert answer.json() == {"path": arrives}
    assert answer.headers["x-own"] == "kept"
    assert answer.headers.get_list("cache-control") == ["no-store"]


def test_only_the_headers_that_the_gateway_passes_on_go_on(door: httpx.Client, ours: Service) -> None:
    body = b'{"user_id": "u"}'
    sent = {name.decode(): "en" for name in ASKED if name not in (b"content-length", b"accept-encoding")}
    sent |= {"accept-encoding": "gzip", "cookie": "other=1", "x-forwarded-for": "10.0.0.1"}
    door.post("/api/ingest/events", headers=sent, content=body)
    request = ours.seen[-1]
    assert (request.method, request.body) == ("POST", body)
    arrived = {name.lower().encode() for name in request.headers}
    assert arrived - {b"host", FORWARDED_FOR.encode()} == ASKED
    assert request.headers["X-Forwarded-For"] == "127.0.0.1", "whom it came from, not what it says of that"
    assert {name: request.headers[name.title()] for name in sent if name.encode() in ASKED} == {
        name: value for name, value in sent.items() if name.encode() in ASKED
    }


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none", None])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_another_sites_page_may_change_nothing(
    door: httpx.Client, ours: Service, python: TestClient, method: str, site: str | None
) -> None:
    before = len(ours.seen)
    headers = KEY | ({"sec-fetch-site": site} if site else {})
    answer = door.request(method, "/api/ingest/users/1", headers=headers)
    if method == "GET" or site in ("same-origin", "none", None):
        assert (answer.status_code, len(ours.seen)) == (200, before + 1)
    else:
        refused = python.request(method, "/api/ingest/users/1", headers=headers)
        assert (answer.status_code, answer.json()) == (refused.status_code, refused.json())
        assert len(ours.seen) == before


@pytest.mark.parametrize(
    "origin",
    [
        "http://freshet.test",
        "https://freshet.test:8443",
        "http://freshet.test.evil",
        "http://evil",
        "null",
        "http://[::1]",
    ],
)
@pytest.mark.parametrize("host", ["freshet.test", "freshet.test:8080", "[::1]:8080"])
def test_where_the_browser_does_not_say_origin_tells(
    door: httpx.Client, python: TestClient, origin: str, host: str
) -> None:
    headers = {"origin": origin, "host": host, "x-api-key": "wrong"}
    ours = door.delete("/api/ingest/users/1", headers=headers)
    theirs = python.delete("/api/ingest/users/1", headers=headers)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())


@pytest.mark.parametrize(("service", "method", "path"), ROUTES)
def test_what_no_visitors_page_needs_asks_for_the_key(
    door: httpx.Client, python: TestClient, service: str, method: str, path: str
) -> None:
    # httpx would tidy the path up
    request = httpx.Request(method, door.base_url, extensions={"target": f"/api/{service}{path}".encode()})
    ours = door.send(request)
    if is_public(service, method, path.partition("?")[0].encode()):
        assert ours.status_code == {"ingest": 200, "recommender": 503}[service]
    else:
        theirs = python.request(method, f"/api/{service}/users/1/features", headers={"x-api-key": "wrong"})
        assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json()), "401"
        assert ours.status_code == 401


def test_with_the_key_all_passes(door: httpx.Client) -> None:
    assert door.delete("/api/ingest/users/1", headers=KEY).status_code == 200
    assert door.delete("/api/ingest/users/1", headers={"x-api-key": "wrong"}).status_code == 401


def test_a_service_that_is_away_is_said_in_the_contracts_words(door: httpx.Client) -> None:
    answer = door.get("/api/recommender/recommend?user_id=1")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert (error["code"], error["details"]) == ("unreachable", {"service": "recommender"})


def test_a_services_own_refusal_is_left_as_it_is(door: httpx.Client) -> None:
    for status in (401, 403, 404, 405, 413, 500, 502, 503):
        answer = door.get(f"/api/ingest/status/{status}", headers=KEY)
        assert (answer.status_code, answer.json()) == (status, {"path": f"/status/{status}"})
        assert "retry-after" not in answer.headers
        assert "allow" not in answer.headers


def test_a_body_that_is_too_long_never_reaches_a_service(door: httpx.Client, ours: Service) -> None:
    def unknown_length() -> Iterator[bytes]:
        yield b"x" * LIMIT
        yield b"x"

    before = len(ours.seen)
    assert door.post("/api/ingest/events", content=b"x" * LIMIT).status_code == 200
    message = f"the body is longer than {LIMIT} bytes (FRESHET_MAX_BODY_BYTES); send less"
    for content in (b"x" * (LIMIT + 1), unknown_length()):
        answer = door.post("/api/ingest/events", content=content)
        assert answer.status_code == 413
        assert answer.json() == {"error": {"code": CODES[413], "message": message, "details": None}}
    assert len(ours.seen) == before + 1


def test_half_a_body_keeps_no_service_waiting(door: httpx.Client, ours: Service, settings: Settings) -> None:
    before = len(ours.seen)
    with socket.create_connection(("127.0.0.1", settings.console_port)) as slow:
        slow.sendall(b"POST /api/ingest/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert door.get("/api/ingest/health").status_code == 200
    assert [request.path for request in ours.seen[before:]] == ["/health"]


def test_the_log_is_json_and_names_nobody(door: httpx.Client, folder: Path) -> None:
    door.get("/api/ingest/users/ann?key=hidden", headers=KEY | {"traceparent": 'a"b'})
    lines = (folder / "access.log").read_text().splitlines()
    last = json.loads(lines[-1])
    assert (last["route"], last["status"], last["traceparent"]) == ("/api/ingest", 200, 'a"b')
    assert "ann" not in lines[-1] and "hidden" not in lines[-1]
    logged = (folder / "stderr.log").read_text() + (folder / "error.log").read_text()
    assert "recommend?user_id" not in logged


def test_waits_as_long_as_the_gateway() -> None:
    text = (ROOT / "infra" / "nginx" / "page.conf.template").read_text().split()
    for name, seconds in (("proxy_connect_timeout", CONNECT_S), ("proxy_read_timeout", READ_S)):
        assert text[text.index(name) + 1] == f"{seconds:g}s;"
