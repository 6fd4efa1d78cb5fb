"""Who may see and do what through the page's origin: on a local system, and in front of the public."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from infra.settings import any_ports, load_settings
from tests.bento.console_echo import Echo
from tests.bento.console_server import served, served_console

KEY = "a-key-that-nobody-guesses"
LOCKS = {
    "open": {"mode": "local"},
    "needed": {"mode": "local", "admin_key": KEY},
    "public": {"mode": "production", "admin_key": KEY},
    "closed": {"mode": "production"},
}
FREE = ("config", "health", "ready", "metrics")
VISITORS = ("items?ids=1", "users/ann/written?item_id=1&event_type=click&timestamp=2026-01-01T00:00:00Z&wait_ms=0")
ADMINS = ("users", "inspect/users/ann", "inspect/items/1", "vitals", "models", "drift")

PASSES = [
    ("POST", "ingest/events"),
    ("GET", "ingest/health"),
    ("GET", "ingest/ready"),
    ("GET", "recommender/recommend?user_id=ann"),
    ("POST", "recommender/recommend"),
    ("GET", "recommender/popular?k=3"),
    ("GET", "recommender/items/a%2Fb/similar"),
    ("GET", "recommender/items/50/features"),
    ("GET", "recommender/model"),
]
ASKS = [
    ("PUT", "ingest/items/50"),
    ("PUT", "ingest/users/ann"),
    ("DELETE", "ingest/users/ann"),
    ("GET", "ingest/erasures/x"),
    ("GET", "ingest/metrics"),
    ("GET", "ingest/openapi.json"),
    ("GET", "ingest/events"),
    ("GET", "recommender/users/ann/features"),
    ("GET", "recommender/%75sers/ann/features"),
    ("GET", "recommender//users/ann/features"),
    ("GET", "recommender/items/../users/ann/features"),
    ("GET", "recommender/items/50/similar/x"),
    ("POST", "recommender/model/promote"),
    ("POST", "recommender/model/rollback"),
    ("GET", "recommender/experiments"),
    ("GET", "recommender/metrics"),
    ("POST", "recommender/popular"),
    ("GET", "recommender/"),
]


@pytest.fixture(scope="module")
def services() -> dict[str, Echo]:
    """What stands behind every console."""
    return {name: Echo(name) for name in ("ingest", "recommender")}


@pytest.fixture(scope="module")
def consoles(
    servers: Any, services: dict[str, Echo], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, httpx.Client]]:
    """One of each kind."""
    urls = {name: getattr(servers.settings, name) for name in ("kafka_bootstrap_servers", "redis_url", "database_url")}
    with ExitStack() as running:
        ports = any_ports() | {f"{name}_port": running.enter_context(served(app)) for name, app in services.items()}
        made = {}
        for lock, how in LOCKS.items():
            home = tmp_path_factory.mktemp(lock)
            local = load_settings(home=home, uis=False, grafana_url="http://127.0.0.1:1/", **urls, **ports)
            made[lock] = running.enter_context(served_console(local.model_copy(update=how), home))
        yield made


def ask(client: httpx.Client, method: str, path: str, key: str | None) -> httpx.Response:
    """What is answered to exactly this path."""
    url = httpx.URL(client.base_url, raw_path=f"/api/{path}".encode())
    return client.request(method, url, headers={} if key is None else {"x-api-key": key})


def is_let_in(answer: httpx.Response) -> bool:
    """Whether somebody came in, whatever he found there. A refusal is told as every error is."""
    if answer.status_code not in (401, 403):
        return True
    assert answer.json()["error"]["code"] in ("unauthorized", "forbidden")
    assert KEY not in answer.text
    assert "content-security-policy" in answer.headers
    return False


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("route", FREE + VISITORS)
def test_what_a_visitor_needs_asks_for_no_key(consoles: dict[str, httpx.Client], lock: str, route: str) -> None:
    for key in (None, "wrong"):
        answer = ask(consoles[lock], "GET", f"console/{route}", key)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("route", ADMINS)
def test_the_rest_is_open_on_a_local_system_and_the_admins_in_production(
    consoles: dict[str, httpx.Client], route: str
) -> None:
    def lets_in(lock: str, key: str | None) -> bool:
        return is_let_in(ask(consoles[lock], "GET", f"console/{route}", key))

    assert lets_in("open", None) and lets_in("needed", None)
    assert lets_in("public", KEY)
    assert not lets_in("public", None) and not lets_in("public", "wrong") and not lets_in("public", "")
    assert not lets_in("closed", None) and not lets_in("closed", KEY) and not lets_in("closed", "")


@pytest.mark.parametrize(("method", "path"), PASSES + ASKS)
def test_in_production_only_a_visitors_requests_pass_without_the_key(
    consoles: dict[str, httpx.Client], services: dict[str, Echo], method: str, path: str
) -> None:
    seen = services[path.partition("/")[0]].seen
    for lock, key, passes in [
        ("open", None, True),
        ("needed", None, True),
        ("public", KEY, True),
        ("public", None, (method, path) in PASSES),
        ("public", "wrong", (method, path) in PASSES),
        ("closed", None, (method, path) in PASSES),
        ("closed", KEY, (method, path) in PASSES),
    ]:
        seen.clear()
        assert is_let_in(ask(consoles[lock], method, path, key)) is passes, (lock, key)
        assert len(seen) == (1 if passes else 0), (lock, key)


@pytest.mark.parametrize(
    ("lock", "key", "told", "may_administer"),
    [
        ("open", None, "open", True),
        ("needed", None, "needed", False),
        ("needed", "wrong", "needed", False),
        ("needed", KEY, "needed", True),
        ("public", None, "needed", False),
        ("public", "wrong", "needed", False),
        ("public", KEY, "needed", True),
        ("closed", None, "closed", False),
        ("closed", KEY, "closed", False),
    ],
)
def test_the_config_says_who_may_and_shows_the_public_no_addresses(
    consoles: dict[str, httpx.Client], lock: str, key: str | None, *, told: str, may_administer: bool
) -> None:
    answer = ask(consoles[lock], "GET", "console/config", key)
    config = answer.json()
    assert (config["mode"], config["key"]) == (LOCKS[lock]["mode"], told)
    assert config["may_administer"] is may_administer
    linked = "Grafana" in [link["name"] for link in config["links"]]
    assert linked is (may_administer or config["mode"] == "local")
    assert answer.headers["cache-control"] == "no-store"
