"""Who may do what, by mode, key, role and token: the gate of both services, each request a scope of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from prometheus_client import CollectorRegistry, Counter

from bento.access.audit import Audit
from bento.access.gate import Gate
from bento.access.tokens import issue
from bento.ingest import door
from bento.recommender import needs
from infra.settings import Settings, SettingsError
from tests.bento.access_services import key_file

ADMIN_KEY = "the key that everything begins with"
SECRET = "signs the tokens of all the users of this shop"
RULES = {"ingest": door.needs, "recommender": needs.needs}

INGEST = (("POST", "/events"), ("PUT", "/items/i1"), ("PUT", "/users/ann"))
READ = (
    *(("GET", "/recommend"), ("POST", "/recommend"), ("GET", "/popular"), ("GET", "/model"), ("GET", "/experiments")),
    *(("GET", "/items/i1/similar"), ("GET", "/items/i1/features"), ("GET", "/users/ann/features"), ("GET", "/nowhere")),
)
ADMIN = {
    "ingest": (("DELETE", "/users/ann"), ("GET", "/erasures/x")),
    "recommender": (("POST", "/model/rollback"), ("POST", "/model/promote"), ("POST", "/model/")),
}
OPEN = ("/health", "/ready", "/metrics", "/openapi.json", "/docs")
EVERYTHING = [
    *(("ingest", *each, "ingest") for each in INGEST),
    *(("recommender", *each, "read") for each in READ),
    *((service, *each, "admin") for service, acts in ADMIN.items() for each in acts),
]


class Asked:
    """The gates of both services with some settings."""

    def __init__(self, home: Settings, **how: Any) -> None:
        self.acts = Counter("acts", "acts", ["act", "outcome"], registry=CollectorRegistry())
        settings = home.model_copy(update=how)
        self.gates = {service: Gate(settings, rule, Audit(self.acts)) for service, rule in RULES.items()}

    def __call__(
        self, service: str, method: str, path: str, key: str = "", token: str = "", **scope: Any
    ) -> tuple[int, str]:
        """The refusal's status and message; 200 when there is none."""
        asked = {"type": "http", "method": method, "path": path, "headers": [], "client": ("10.0.0.1", 5), **scope}
        gate = self.gates[service]
        if not gate.active:
            return 200, ""
        refusal = asyncio.run(gate.refusal(asked, key.encode(), f"Bearer {token}".encode() if token else b""))
        return (200, "") if refusal is None else (refusal.status_code, orjson.loads(refusal.body)["error"]["message"])


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    return key_file(tmp_path / "keys", {"shop": "ingest", "site": "read", "both": "ingest,read", "ops": "admin"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_local_system_without_keys_asks_nobody_for_anything(home: Settings) -> None:
    ask = Asked(home)
    assert not any(gate.active for gate in ask.gates.values()), "and requests need not even come to the gate"


@pytest.mark.parametrize(("service", "method", "path", "role"), EVERYTHING)
def test_a_local_system_with_an_admin_key_asks_for_it_only_where_an_admin_acts(
    home: Settings, service: str, method: str, path: str, role: str
) -> None:
    ask = Asked(home, admin_key=ADMIN_KEY)
    for key, status in (("", 401), ("wrong", 401), (ADMIN_KEY, 200)):
        assert ask(service, method, path, key)[0] == (status if role == "admin" else 200)


@pytest.mark.parametrize("mode", ["local", "production"])
@pytest.mark.parametrize(("service", "method", "route", "role"), EVERYTHING)
def test_with_a_file_of_keys_each_does_what_its_roles_say(
    *, home: Settings, path: Path, keys: dict[str, str], mode: str, service: str, method: str, route: str, role: str
) -> None:
    ask = Asked(home, mode=mode, api_keys_file=path, admin_key=ADMIN_KEY)
    roles = {"shop": {"ingest"}, "site": {"read"}, "both": {"ingest", "read"}, "ops": {"admin"}}
    for name, key in keys.items():
        status, told = ask(service, method, route, key)
        assert status == (200 if role in roles[name] else 403)
        assert status == 200 or told == f"X-Api-Key: {name} has no role {role}, which this needs"
    assert ask(service, method, route, ADMIN_KEY)[0] == 200
    assert ask(service, method, route) == (401, f"X-Api-Key is missing: this needs a key of role {role}")
    assert ask(service, method, route, "x") == (
        401,
        f"X-Api-Key is no key that is known: this needs a key of role {role}",
    )


@pytest.mark.parametrize("roles", ["", "read", "ingest", "ingest, read"])
@pytest.mark.parametrize(("service", "method", "path", "role"), EVERYTHING)
def test_production_lets_do_without_a_key_what_the_setting_says_but_shows_nobody_what_is_known_of_a_user(
    *, home: Settings, service: str, method: str, path: str, role: str, roles: str
) -> None:
    ask = Asked(home, mode="production", admin_key=ADMIN_KEY, anonymous_roles=roles)
    may = role in roles and path != "/users/ann/features"
    assert ask(service, method, path)[0] == ask(service, method, path, "wrong")[0] == (200 if may else 401)


def test_without_any_key_nobody_administers_production(home: Settings) -> None:
    ask = Asked(home, mode="production", anonymous_roles="ingest,read")
    status, told = ask("recommender", "POST", "/model/rollback")
    assert status == 403 and "FRESHET_ADMIN_KEY is not set" in told


@pytest.mark.parametrize("service", RULES)
@pytest.mark.parametrize("path", OPEN)
def test_probes_metrics_and_documents_are_open(home: Settings, service: str, path: str) -> None:
    assert Asked(home, mode="production")(service, "GET", path)[0] == 200


@pytest.mark.parametrize("roles", ["admin", "read,write"])
def test_roles_that_nobody_should_have_are_refused_at_the_start(home: Settings, roles: str) -> None:
    with pytest.raises(SettingsError, match="FRESHET_ANONYMOUS_ROLES"):
        Asked(home, mode="production", anonymous_roles=roles)


def test_a_rate_that_is_none_is_refused_at_the_start(home: Settings) -> None:
    with pytest.raises(SettingsError, match="FRESHET_RATE_LIMIT"):
        Asked(home, rate_limit="many")


# Users' tokens

ANNS = [
    ("ingest", "POST", "/events"),
    ("recommender", "GET", "/recommend"),
    ("recommender", "POST", "/recommend"),
    ("recommender", "GET", "/popular"),
    ("recommender", "GET", "/items/i1/similar"),
    ("recommender", "GET", "/items/i1/features"),
    ("recommender", "GET", "/users/ann/features"),
]


@pytest.mark.parametrize("mode", ["local", "production"])
@pytest.mark.parametrize(
    ("service", "method", "path"),
    sorted(
        {each[:3] for each in EVERYTHING} | {("recommender", "GET", f"/users/{who}/features") for who in ("bo", "anna")}
    ),
)
def test_a_token_opens_what_is_its_users_and_nothing_else(
    home: Settings, mode: str, service: str, method: str, path: str
) -> None:
    ask = Asked(home, mode=mode, user_token_secret=SECRET)
    status, told = ask(service, method, path, token=issue("ann", SECRET, 60))
    assert status == (200 if (service, method, path) in ANNS else 403), told


def made(**claims: Any) -> dict[str, Any]:
    return {"sub": "ann", "exp": int(time.time()) + 60, **claims}


NO_TOKENS: dict[str, Callable[[], str]] = {
    "too old": lambda: issue("ann", SECRET, -1),
    "of another secret": lambda: issue("ann", SECRET + "!", 60),
    "nobody's": lambda: issue("", SECRET, 60),
    "unsigned": lambda: jwt.encode(made(), "", algorithm="none"),
    "signed otherwise": lambda: jwt.encode(made(), SECRET, algorithm="HS512"),
    "for ever": lambda: jwt.encode({"sub": "ann"}, SECRET, algorithm="HS256"),
    "without a user": lambda: jwt.encode({"exp": made()["exp"]}, SECRET, algorithm="HS256"),
    "cut short": lambda: issue("ann", SECRET, 60)[:-2],
    "with a fourth part": lambda: issue("ann", SECRET, 60) + ".x",
    "no token at all": lambda: "nonsense",
}
"""Made when they are shown: one made at collection would be too old by then, whatever else is wrong with it."""


@pytest.mark.parametrize("kind", NO_TOKENS)
def test_a_token_that_is_none_is_refused_also_where_nobody_needs_one(home: Settings, kind: str) -> None:
    token = NO_TOKENS[kind]()
    status, told = Asked(home, user_token_secret=SECRET)("recommender", "GET", "/popular", token=token)
    assert status == 401 and told.startswith("Authorization: ") and SECRET not in told


def test_without_a_secret_there_are_no_tokens(home: Settings) -> None:
    ask = Asked(home, mode="production")
    assert ask("recommender", "GET", "/users/ann/features", token=issue("ann", SECRET, 60))[0] == 401


# What the audit log keeps of those who tried

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("key", "who", "why"),
    [("", "anonymous", "unauthorized"), ("wrong", "anonymous", "unauthorized"), ("site", "site", "forbidden")],
)
def test_a_refused_act_is_one_line_of_the_audit_log(
    *, home: Settings, path: Path, keys: dict[str, str], key: str, who: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask = Asked(home, api_keys_file=path, log_level="ERROR")
    headers = [(b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())]
    for service, acts in ADMIN.items():
        for method, route in acts:
            caplog.clear()
            ask(service, method, route, keys.get(key, key), headers=headers)
            (line,) = [record for record in caplog.records if record.name == "freshet.audit"]
            assert (line.outcome, line.who, line.details) == ("refused", who, {"why": why})
            assert (line.client, line.trace_id, line.levelno) == ("10.0.0.1", TRACE, logging.INFO)
            assert ask.acts.labels(line.act, "refused")._value.get() == 1
    ask("recommender", "GET", "/popular")
    assert len([record for record in caplog.records if record.name == "freshet.audit"]) == 1, "no admin's act"
