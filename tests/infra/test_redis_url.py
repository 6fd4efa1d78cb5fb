"""URLs of Redis: their parts, and Feast's spelling of them."""

from __future__ import annotations

import pytest

from infra.redis_url import parse
from infra.settings import load_settings


def test_one_server() -> None:
    found = parse("rediss://ann:k%2Cy@a:7/3?ssl_ca_certs=/ca")
    assert (found.kind, found.nodes, found.server) == (
        "redis",
        (("a", 7),),
        "rediss://ann:k%2Cy@a:7/3?ssl_ca_certs=/ca",
    )
    assert found.feast() == "a:7,db=3,username=ann,password=k,y,ssl=true,ssl_ca_certs=/ca"


def test_a_cluster() -> None:
    found = parse("rediss+cluster://:key@a,b:7?ssl_cert_reqs=none")
    assert (found.kind, found.nodes) == ("redis_cluster", (("a", 6379), ("b", 7)))
    assert parse("redis+cluster://[::1]:7").nodes == (("::1", 7),)
    assert found.server == "rediss://:key@a:6379?ssl_cert_reqs=none"
    assert found.feast() == "a:6379,b:7,password=key,ssl=true,ssl_cert_reqs=none"


def test_sentinels() -> None:
    found = parse("redis+sentinel://ann:key@a,b:1/features/2")
    assert (found.kind, found.nodes, found.service) == ("redis_sentinel", (("a", 26379), ("b", 1)), "features")
    assert found.server == "redis://ann:key@a:26379/2"
    assert found.feast() == "a:26379,b:1,db=2,username=ann,password=key"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://a", "no URL of Redis"),
        ("redis+ring://a", "no URL of Redis"),
        ("redis+cluster://a/3", "one database"),
        ("redis+sentinel://a", "needs the service's name"),
    ],
)
def test_others_are_refused_with_the_reason(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(url)


def test_another_process_and_feast_are_told_the_kind() -> None:
    told = load_settings(redis_url="redis+sentinel://a,b/features").environment()
    assert told["FEAST_REDIS"] == "a:26379,b:26379,db=0"
    assert (told["FEAST_REDIS_TYPE"], told["FEAST_REDIS_SERVICE"]) == ("redis_sentinel", "features")
    assert told["REDIS_URL"] == "redis+sentinel://a,b/features"
