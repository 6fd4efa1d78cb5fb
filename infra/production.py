"""What production mode refuses to start with: plain text over the network, and secrets that are none."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from infra.lists import listed

if TYPE_CHECKING:
    from infra.settings import Settings

URLS = (
    "redis_url",
    "database_url",
    "event_store_url",
    "mlflow_tracking_uri",
    "prefect_api_url",
    "feast_registry",
    "ingest_url",
    "recommender_url",
    "otlp_endpoint",
)
FAMILIAR = frozenset(
    {"admin", "changeme", "default", "example", "freshet", "guest", "mongo", "mongodb", "pass", "passw0rd"}
    | {"password", "postgres", "redis", "root", "secret", "test"}
)
"""Passwords that anybody tries first."""

SHORTEST_PASSWORD, SHORTEST_KEY, SHORTEST_SECRET = 8, 20, 32
"""Characters. The last is HS256's own bound (RFC 7518, section 3.2)."""

GUESSABLE = f"one that anybody tries first, or shorter than {SHORTEST_PASSWORD} characters"


def refusals(settings: Settings, name: Callable[[str], str]) -> list[str]:
    """Why these settings are none for production: a sentence each, with the variable and the fix; empty: they are.

    Args:
        name: the environment variable of a field.
    """
    return [*_plain(settings, name), *_weak(settings, name), *_open(settings)]


def _plain(settings: Settings, name: Callable[[str], str]) -> Iterator[str]:
    for field in URLS:
        url: str = getattr(settings, field)
        if "://" in url and not _encrypted(url) and (host := _exposed(settings, _hosts(url))):
            yield f"{name(field)} goes to {host} without TLS; {_fix(url)}, or name the host in FRESHET_PLAIN_HOSTS"
    brokers = [broker.rpartition(":")[0] for broker in settings.kafka_bootstrap_servers.split(",")]
    if not settings.kafka_security_protocol.endswith("SSL") and (host := _exposed(settings, brokers)):
        yield (
            f"KAFKA_BOOTSTRAP_SERVERS goes to {host} without TLS; set FRESHET_KAFKA_SECURITY_PROTOCOL to SSL or "
            "SASL_SSL, or name the host in FRESHET_PLAIN_HOSTS"
        )


def _weak(settings: Settings, name: Callable[[str], str]) -> Iterator[str]:
    for field in URLS:
        parts = urlsplit(getattr(settings, field))
        if parts.password is not None and _guessable(unquote(parts.password), unquote(parts.username or "")):
            yield f"{name(field)}: its password is {GUESSABLE}"
    if settings.kafka_password and _guessable(settings.kafka_password, settings.kafka_username):
        yield f"FRESHET_KAFKA_PASSWORD is {GUESSABLE}"
    for field, shortest in (("admin_key", SHORTEST_KEY), ("user_token_secret", SHORTEST_SECRET)):
        secret: str = getattr(settings, field)
        if 0 < len(secret) < shortest:
            yield f"{name(field)} is shorter than {shortest} characters; openssl rand -hex 32 makes one"


def _open(settings: Settings) -> Iterator[str]:
    if "*" in settings.cors_origins:
        yield "FRESHET_CORS_ORIGINS lets every page of the web in; name the origins of your own pages"


def _guessable(password: str, user: str) -> bool:
    return len(password) < SHORTEST_PASSWORD or password.lower() in FAMILIAR or password == user


def _encrypted(url: str) -> bool:
    parts = urlsplit(url)
    said = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    scheme = parts.scheme.partition("+")[0]
    if scheme == "mongodb":
        tls = said.get("tls", said.get("ssl", "true" if parts.scheme == "mongodb+srv" else "false"))
        return tls == "true"
    if scheme in ("postgres", "postgresql"):
        return said.get("sslmode") in ("require", "verify-ca", "verify-full") or said.get("host", "")[:1] == "/"
    return scheme in ("https", "rediss", "file", "sqlite")


def _hosts(url: str) -> list[str]:
    """Every host of a URL; those of clusters, sentinels and replica sets have several, comma separated."""
    places = urlsplit(url).netloc.rpartition("@")[2].split(",")
    return [urlsplit(f"//{place}").hostname or "" for place in places]


def _fix(url: str) -> str:
    scheme, _, kind = urlsplit(url).scheme.partition("+")
    return {
        "http": "use https://",
        "redis": f"use rediss+{kind}://" if kind else "use rediss://",
        "mongodb": "add tls=true",
        "postgresql": "add sslmode=verify-full",
    }.get(scheme, "use TLS")


def _exposed(settings: Settings, hosts: list[str]) -> str | None:
    """The first of these hosts to which plain text is not meant to go."""
    allowed = listed(settings.plain_hosts)
    for host in hosts:
        named = any(host == name or (name.startswith(".") and host.endswith(name)) for name in allowed)
        if not named and not _is_this_machine(host):
            return host
    return None


def _is_this_machine(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
