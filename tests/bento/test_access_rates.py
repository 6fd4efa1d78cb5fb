"""Rates: counted in a real Redis for all processes together, in the process while Redis is away, not at all without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis_servers
from prometheus_client import CollectorRegistry, Counter

from bento.access import rates
from bento.access.audit import Audit
from bento.access.gate import Gate
from bento.access.rates import Rates, address
from bento.access.tokens import issue
from bento.recommender.needs import needs
from infra.settings import Settings
from tests.bento.access_services import key_file

Asked = list[tuple[str, str]]


def let_in(counting: Rates, asked: Asked) -> list[bool]:
    """Of each request, by rate and sender, one after the other, whether it was let in."""

    async def ask() -> list[bool]:
        return [await counting.wait_s(rate, who) == 0 for rate, who in asked]

    return asyncio.run(ask())


def commands(client: Any) -> int:
    """How many commands Redis has been given, without this one's own."""
    return int(client.info("stats")["total_commands_processed"])


def test_each_sender_has_a_rate_of_his_own(settings: Settings) -> None:
    turns = [("3/hour", "ann"), ("3/hour", "bo"), ("1/hour", "carl")] * 4
    admitted = let_in(Rates(settings), turns)
    assert admitted == [True, True, True, True, True, False, True, True, False, False, False, False]


def test_all_processes_count_together_and_what_they_keep_is_forgotten(settings: Settings, redis_client: Any) -> None:
    first, second = Rates(settings), Rates(settings)
    assert let_in(first, [("4/minute", "ann")] * 2) == [True, True]
    assert let_in(second, [("4/minute", "ann")] * 3) == [True, True, False]
    kept = redis_client.keys("freshet-rate*")
    assert kept and all(0 < redis_client.ttl(key) <= 120 for key in kept)


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_a_cluster_and_sentinels_count_as_one_server_does(settings: Settings, tmp_path: Path, kind: str) -> None:
    with getattr(redis_servers, kind)(settings, tmp_path) as served:
        own = settings.model_copy(update={"redis_url": served.url})
        asked = [("2/hour", who) for who in ("ann", "bo", "carl") for _ in range(2)]
        assert all(let_in(Rates(own), asked))
        assert not any(let_in(Rates(own), asked)), "by what another process has counted"


def test_who_asks_too_often_is_told_when_to_come_back_and_costs_redis_nothing(
    settings: Settings, redis_client: Any
) -> None:
    counting = Rates(settings)

    async def ask() -> tuple[float, int]:
        assert await counting.wait_s("2/hour", "ann") == await counting.wait_s("2/hour", "ann") == 0
        wait_s = await counting.wait_s("2/hour", "ann")
        before = commands(redis_client)
        assert all([await counting.wait_s("2/hour", "ann") > 0 for _ in range(100)])
        return wait_s, commands(redis_client) - before

    wait_s, cost = asyncio.run(ask())
    assert 0 < wait_s <= 3_600
    assert cost <= 10, "a hundred refusals"


def test_without_a_rate_redis_is_not_even_connected_to(settings: Settings, redis_client: Any) -> None:
    counter = Counter("acts", "acts", ["act", "outcome"], registry=CollectorRegistry())
    production = settings.model_copy(update={"mode": "production", "anonymous_roles": "read"})
    gate = Gate(production, needs, Audit(counter))
    asked = {"type": "http", "method": "GET", "path": "/popular", "headers": [], "client": ("10.0.0.1", 5)}
    before = commands(redis_client)
    assert gate.active and asyncio.run(gate.refusal(asked, b"", b"")) is None
    assert commands(redis_client) == before + 1, "no command but the one that looks"


def test_redis_that_goes_away_is_stood_in_for_by_the_process_and_taken_up_again(
    settings: Settings, start_stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "AWAY_S", 0.0)
    stack = start_stack(settings.model_copy(update={"redis_url": ""}).with_ports(redis_port=0), "redis")
    counting = Rates(stack.settings)

    async def ask(who: str, times: int) -> list[bool]:
        return [await counting.wait_s("2/hour", who) == 0 for _ in range(times)]

    async def main() -> None:
        assert await ask("ann", 2) == [True, True]
        stack.kill("redis")
        assert await ask("ann", 3) == [True, True, False], "counted anew, by this process alone"
        await asyncio.to_thread(stack.restart, "redis")
        assert await ask("bo", 1) == [True]
        with redis.Redis.from_url(stack.settings.redis_url) as client:
            assert client.keys("freshet-rate*bo*")

    asyncio.run(main())


def test_a_flood_of_addresses_does_not_fill_the_memory_while_redis_is_away(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "MOST", 50)
    counting = Rates(home.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    assert all(let_in(counting, [("5/hour", f"address:{n}") for n in range(500)]))
    assert len(counting._memory.storage) <= 51


@pytest.fixture
def gate_of(settings: Settings, tmp_path: Path) -> tuple[Gate, dict[str, str]]:
    keys = key_file(tmp_path / "keys", {"slow": "read 1/hour", "usual": "read", "ops": "admin 1/hour"})
    more = {"api_keys_file": tmp_path / "keys", "rate_limit": "2/hour", "user_token_secret": "s" * 32}
    counter = Counter("acts", "acts", ["act", "outcome"], registry=CollectorRegistry())
    running = settings.model_copy(update=more | {"anonymous_roles": "read"})
    return Gate(running, needs, Audit(counter)), keys


def test_a_keys_own_rate_goes_first_then_the_one_of_all_and_an_emergency_is_never_put_off(
    gate_of: tuple[Gate, dict[str, str]],
) -> None:
    gate, keys = gate_of

    async def statuses(times: int, key: str = "", token: str = "", host: str = "10.0.0.1", **how: str) -> list[int]:
        found = []
        for _ in range(times):
            asked = {"type": "http", "method": "GET", "path": "/popular", "headers": [], "client": (host, 5), **how}
            refusal = await gate.refusal(
                asked, keys.get(key, key).encode(), f"Bearer {token}".encode() if token else b""
            )
            found.append(200 if refusal is None else refusal.status_code)
            if refusal is not None and refusal.status_code == 429:
                assert 1 <= int(refusal.headers["retry-after"]) <= 3_600
                assert (
                    refusal.headers["ratelimit-policy"].startswith('"default";q=')
                    and "w=3600" in refusal.headers["ratelimit-policy"]
                )
        return found

    async def main() -> None:
        assert await statuses(2, "slow") == [200, 429]
        assert await statuses(3, "usual") == [200, 200, 429]
        assert await statuses(3) == [200, 200, 429]
        assert await statuses(1, "guessed") == [429], "a key that nobody has is its sender's address"
        assert await statuses(1, host="10.0.0.2") == [200]
        assert await statuses(3, token=issue("ann", "s" * 32, 60)) == [200, 200, 429]
        assert await statuses(1, token=issue("bo", "s" * 32, 60)) == [200]
        assert await statuses(3, token="forged", host="10.0.0.3") == [401, 401, 429]
        assert await statuses(4, "ops", method="POST", path="/model/rollback") == [200] * 4
        assert await statuses(3, "guessed", host="10.0.0.4", method="POST", path="/model/rollback") == [401, 401, 429]
        assert await statuses(9, host="10.0.0.1", path="/health") == [200] * 9

    asyncio.run(main())


@pytest.mark.parametrize(
    ("client", "counts_as"),
    [
        (("10.1.2.3", 80), "10.1.2.3"),
        (("2001:db8:1:2:3:4:5:6", 80), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 80), "fe80::/64"),
        (("not:an:address", 80), "not:an:address"),
        (None, ""),
    ],
)
def test_of_ipv6_a_subscribers_whole_network_is_one_sender(client: Any, counts_as: str) -> None:
    assert address(client) == counts_as
