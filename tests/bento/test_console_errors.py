"""Every answer of the origin tells the browser what to refuse, errors have the one shape, and all are documented."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.console.arrivals import Arrivals
from bento.console.headers import SECURITY_HEADERS
from infra.servers import script
from infra.settings import Settings
from tests.bento.conftest import Shop

pytest_plugins = ["tests.bento.console_fixtures"]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 503),
        ("POST", "/", 405),
        ("GET", "/api/console/health", 200),
        ("GET", "/api/console/metrics", 200),
        ("GET", "/api/console/openapi.json", 200),
        ("GET", "/api/console/", 404),
        ("GET", "/api/console/nothing", 404),
        ("POST", "/api/console/config", 405),
        ("GET", "/api/console/users?count=0", 422),
        ("GET", "/api/console/inspect/users/nobody", 404),
        ("GET", "/api/ingest/events", 503),
        ("GET", "/api/nothing", 404),
    ],
)
def test_every_answer_is_secured(console: httpx.Client, method: str, path: str, status: int) -> None:
    answer = console.request(method, path)
    assert answer.status_code == status, answer.text
    assert {name: answer.headers.get_list(name) for name in SECURITY_HEADERS} == {
        name: [value] for name, value in SECURITY_HEADERS.items()
    }
    if path.startswith("/api/console"):
        assert answer.headers["cache-control"] == "no-store"
    if path.startswith("/api") and status >= 400:
        assert set(answer.json()["error"]) == {"code", "message", "details"}


def test_what_nobody_foresaw_is_told_like_every_error(
    settings: Settings, serve_console: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve_console(settings)

    async def breaks(*_: Any) -> None:
        raise LookupError("a mistake of ours, with a secret")

    monkeypatch.setattr(client.console.people, "items", breaks)  # type: ignore[attr-defined]
    monkeypatch.setattr(client.outside.gateway, "pass_on", breaks)  # type: ignore[attr-defined]
    for path in ("/api/console/items?ids=1", "/api/recommender/model"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
        assert "secret" not in answer.text
        assert answer.headers["content-security-policy"] == SECURITY_HEADERS["content-security-policy"]


def test_requests_are_counted_by_route_and_never_by_id(console: httpx.Client, rows: Shop) -> None:
    for path in ("/inspect/users/ann", "/api/console/inspect/users/ann", "/api/ingest/users/ann", "/api/nothing/ann"):
        console.get(path)
    told = console.get("/api/console/metrics").text
    for route in ("page", "/inspect/users/{user_id}", "/api/ingest", "none"):
        assert f'freshet_console_requests_total{{method="GET",route="{route}"' in told
    assert "ann" not in told
    assert 'freshet_console_unreachable_total{service="ingest"}' in told


def test_no_request_gets_an_answer_that_the_document_does_not_name(
    console: httpx.Client, rows: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Arrivals.written
    monkeypatch.setattr(Arrivals, "written", lambda *asked: whole(*asked[:-1], min(asked[-1], 0.01)))  # nobody acts
    rows.click("ann", "50")
    ran = subprocess.run(
        [
            script("st"),
            *("run", f"{console.base_url}/api/console/openapi.json", "--checks", CHECKS),
            *("--exclude-path", "/ready"),  # says 503, as it should: there is nothing behind this console
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "7", "--no-color"),
            *("--generation-database", "none", "--suppress-health-check", "all", "--continue-on-failure"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
