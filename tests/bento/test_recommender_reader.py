"""The reads of the request path: many at once over one connection, and nobody waits for a Redis that is away."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis

from benchmarks.serving.proxy import Proxy
from bento.recommender.breaker import FAILURES, Breaker
from bento.recommender.connection import StoreAway
from bento.recommender.metrics import Metrics
from bento.recommender.reader import Reader
from infra.servers import PARTS
from infra.settings import Settings

TIMEOUT_S = 2.0
"""Long, so that a busy machine is not taken for a fault: the short patience is a fifth, the breaker's a half."""


def get(key: str) -> bytes:
    return bytes(hiredis.pack_command(("GET", key)))


async def when(check: Callable[[], Any], within_s: float = 10) -> None:
    until = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < until, f"not within {within_s} s"
        await asyncio.sleep(0.01)


def read(url: str, story: Callable[[Reader, dict[bytes, Any]], Awaitable[None]]) -> None:
    """Run a story with a reader of its own; the second argument takes the replies that came late."""
    late: dict[bytes, Any] = {}

    async def main() -> None:
        reader = Reader(url, TIMEOUT_S, get("trial"), Breaker("redis", Metrics()), late.__setitem__)
        try:
            await story(reader, late)
        finally:
            await reader.close()

    asyncio.run(main())


@pytest.fixture
def proxy(settings: Settings, redis_client: Any) -> Iterator[Proxy]:
    """A way to the test's Redis that can be hurt; Redis holds a, b and c."""
    redis_client.mset({"a": "1", "b": "2", "c": "3"})
    with Proxy(settings.host, int(settings.redis_url.rpartition(":")[2].partition("/")[0])) as proxy:
        yield proxy


def test_many_reads_at_once_each_get_their_own_reply(settings: Settings, redis_client: Any) -> None:
    redis_client.mset({f"key-{n}": "x" * n for n in range(500)})

    async def story(reader: Reader, _: Any) -> None:
        found = await asyncio.gather(*(reader.read(b"", get(f"key-{n}")) for n in range(500)))
        assert [len(value) for value in found] == list(range(500))

    read(settings.redis_url, story)


def test_a_reader_that_goes_away_leaves_the_others_their_replies(settings: Settings, redis_client: Any) -> None:
    redis_client.mset({"a": "1", "b": "2"})

    async def story(reader: Reader, _: Any) -> None:
        await reader.read(b"", get("a"))
        tasks = [asyncio.create_task(reader.read(b"", get(key))) for key in ("a", "b")]
        await asyncio.sleep(0)
        tasks[0].cancel()
        assert await tasks[1] == b"2"

    read(settings.redis_url, story)


def test_a_hiccup_sends_on_who_can_answer_otherwise_and_opens_nothing(proxy: Proxy) -> None:
    async def story(reader: Reader, late: dict[bytes, Any]) -> None:
        assert await reader.read(b"a", get("a"), hurried=True) == b"1"
        proxy.deaf = True
        patient = asyncio.create_task(reader.read(b"b", get("b")))
        with pytest.raises(StoreAway, match="in time"):
            await reader.read(b"a", get("a"), hurried=True)
        started = time.monotonic()
        with pytest.raises(StoreAway, match="silent"):
            await reader.read(b"c", get("c"), hurried=True)
        assert time.monotonic() - started < TIMEOUT_S / 10, "who comes later does not wait at all"
        proxy.deaf = False
        assert await patient == b"2"
        assert reader.breaker.is_closed
        assert late == {b"a": b"1"}, "what came too late is news all the same"
        assert await reader.read(b"a", get("a"), hurried=True) == b"1"

    read(f"redis://127.0.0.1:{proxy.port}/0", story)


def test_a_redis_that_stays_silent_is_not_asked_until_it_answers_as_usual(proxy: Proxy) -> None:
    async def story(reader: Reader, _: Any) -> None:
        await reader.read(b"a", get("a"))
        proxy.delay_s = 0.9 * TIMEOUT_S
        with pytest.raises(StoreAway, match="no reply for"):
            await reader.read(b"a", get("a"))
        assert not reader.breaker.is_closed
        started = time.monotonic()
        for _ in range(100):
            with pytest.raises(StoreAway, match="lately"):
                await reader.read(b"a", get("a"))
        assert time.monotonic() - started < 1
        await asyncio.sleep(1)
        assert not reader.breaker.is_closed
        proxy.delay_s = 0.0
        await when(lambda: reader.breaker.is_closed)
        assert await reader.read(b"a", get("a")) == b"1"

    read(f"redis://127.0.0.1:{proxy.port}/0", story)


def test_a_wait_may_be_shorter_than_the_settings(proxy: Proxy) -> None:
    async def story(reader: Reader, _: Any) -> None:
        await reader.read(b"a", get("a"))
        proxy.deaf = True
        started = time.monotonic()
        with pytest.raises(StoreAway, match="in time"):
            await reader.read(b"a", get("a"), within_s=0.02)
        assert time.monotonic() - started < TIMEOUT_S / 5
        proxy.deaf = False

    read(f"redis://127.0.0.1:{proxy.port}/0", story)


def test_a_broken_connection_costs_the_read_under_way_nothing(settings: Settings, redis_client: Any) -> None:
    redis_client.set("a", "1")

    async def story(reader: Reader, _: Any) -> None:
        for _ in range(5):
            assert await reader.read(b"", get("a")) == b"1"
            redis_client.client_kill_filter(_type="normal", skipme=True)
            assert await reader.read(b"", get("a")) == b"1"
        assert reader.breaker.is_closed

    read(settings.redis_url, story)


def test_refusals_in_a_row_open_the_breaker_and_it_closes_by_itself(settings: Settings, redis_client: Any) -> None:
    redis_client.lpush("list", "x")

    async def story(reader: Reader, _: Any) -> None:
        for _ in range(FAILURES):
            with pytest.raises(StoreAway, match="WRONGTYPE"):
                await reader.read(b"", get("list"))
        assert not reader.breaker.is_closed
        await when(lambda: reader.breaker.is_closed)
        assert await reader.read(b"", get("nothing-there")) is None

    read(settings.redis_url, story)


def test_without_a_redis_nobody_waits(settings: Settings) -> None:
    async def story(reader: Reader, _: Any) -> None:
        started = time.monotonic()
        with pytest.raises(StoreAway):
            await reader.read(b"", get("a"))
        assert time.monotonic() - started < TIMEOUT_S / 2
        assert not reader.breaker.is_closed

    read("redis://127.0.0.1:1/0", story)


def test_who_is_no_redis_is_away(proxy: Proxy, settings: Settings) -> None:
    async def story(reader: Reader, _: Any) -> None:
        with pytest.raises(StoreAway):
            await reader.read(b"", get("a"))

    broker = settings.kafka_bootstrap_servers
    read(f"redis://{broker}/0", story)


@pytest.fixture
def guarded(tmp_path: Path, home: Settings) -> Iterator[Path]:
    """The Unix socket of a Redis with a password, a user, and a value in database 3 alone."""
    command = PARTS["redis"].command(home.model_copy(update={"home": tmp_path, "redis_port": 0}))
    socket = tmp_path / "redis.sock"
    with subprocess.Popen([*command, "--unixsocket", str(socket), "--requirepass", "secret"], env=os.environ) as server:
        until = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        with redis.Redis(unix_socket_path=str(socket), password="secret", db=3) as client:
            client.set("a", "three")
            client.acl_setuser("reader", enabled=True, passwords=["+word"], keys=["*"], commands=["+get"])
        yield socket
        server.kill()


@pytest.mark.parametrize("who", ["unix://:secret@{}?db=3", "unix://reader:word@{}?db=3"])
def test_sockets_passwords_users_and_databases_of_the_url_are_used(guarded: Path, who: str) -> None:
    async def story(reader: Reader, _: Any) -> None:
        assert await reader.read(b"", get("a")) == b"three"

    if "reader" in who:
        with redis.Redis(unix_socket_path=str(guarded), password="secret") as client:
            client.execute_command("ACL", "SETUSER", "reader", "+select")
    read(who.format(guarded), story)


@pytest.fixture
def over_tls(settings: Settings, redis_client: Any, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a TLS way to the test's Redis, and the certificate it shows."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, *["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    redis_client.set("a", "1")
    port = int(settings.redis_url.rpartition(":")[2].partition("/")[0])
    with Proxy(settings.host, port, context) as proxy:
        yield proxy.port, certificate


def test_tls_is_spoken_and_certificates_are_checked_as_the_url_says(over_tls: tuple[int, Path]) -> None:
    async def story(reader: Reader, _: Any) -> None:
        assert await reader.read(b"", get("a")) == b"1"

    async def refused(reader: Reader, _: Any) -> None:
        with pytest.raises(StoreAway):
            await reader.read(b"", get("a"))

    port, certificate = over_tls
    url = f"rediss://localhost:{port}/0"
    read(f"{url}?ssl_cert_reqs=none", story)
    read(f"{url}?ssl_ca_certs={certificate}", story)
    read(url, refused)


def test_a_wrong_password_leaves_it_away(guarded: Path) -> None:
    async def story(reader: Reader, _: Any) -> None:
        with pytest.raises(StoreAway):
            await reader.read(b"", get("a"))

    read(f"unix://:wrong@{guarded}", story)
