"""Redis as REDIS_URL names it: one server, a cluster, or whichever server its sentinels call the master.

    redis[s]://[user:password@]host:port/db                                one server
    redis[s]+cluster://[user:password@]host:port,host:port                 some nodes of a Redis Cluster
    redis[s]+sentinel://[user:password@]host:port,host:port/service/db     the sentinels of a service

User, password, TLS and options (``?name=value``) are redis-py's, and hold for the servers with the data. Sentinels are
asked in plain text and without a password, as Feast asks them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

Kind = Literal["redis", "redis_cluster", "redis_sentinel"]
"""As Feast's ``redis_type`` spells it."""

SENTINEL_TIMEOUT_S = 1.0
"""Longest wait for one sentinel; then the next is asked."""


class RedisUrl(NamedTuple):
    """A URL's parts.

    Attributes:
        nodes: host and port of the server, of some of the cluster's nodes, or of the sentinels.
        server: the same as a URL of one server, the first node's; redis-py takes it.
        service: what the sentinels call the master; empty without them.
    """

    kind: Kind
    nodes: tuple[tuple[str, int], ...]
    server: str
    service: str

    def feast(self) -> str:
        """Feast's connection string: host:port,...,db=0,password=...,ssl=true."""
        url = urlsplit(self.server)
        parts = [f"{host}:{port}" for host, port in self.nodes]
        if self.kind != "redis_cluster":
            parts.append(f"db={url.path.strip('/') or 0}")
        if url.username:
            parts.append(f"username={unquote(url.username)}")
        if url.password:
            parts.append(f"password={unquote(url.password)}")
        if url.scheme == "rediss":
            parts.append("ssl=true")
        parts += [f"{name}={value}" for name, value in parse_qsl(url.query) if name.startswith("ssl_")]
        return ",".join(parts)


def parse(url: str) -> RedisUrl:
    """The parts of a URL of Redis. Raises ValueError for one that is none."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if kind not in ("", "cluster", "sentinel") or scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            f"{parts.scheme}:// is no URL of Redis; redis[s]://, redis[s]+cluster://, redis[s]+sentinel://"
        )
    if not kind:
        return RedisUrl("redis", ((parts.hostname or "localhost", parts.port or 6379),), url, "")
    user, at, hosts = parts.netloc.rpartition("@")
    usual = 26379 if kind == "sentinel" else 6379
    nodes = tuple(_node(host, usual) for host in hosts.split(","))
    service, _, db = parts.path.strip("/").partition("/")
    if kind == "cluster" and service not in ("", "0"):
        raise ValueError("redis+cluster://: a cluster has one database, 0")
    if kind == "sentinel" and not service:
        raise ValueError("redis+sentinel:// needs the service's name: redis+sentinel://host:port,host:port/service/db")
    host, port = nodes[0]
    query = f"?{parts.query}" if parts.query else ""
    path = f"/{db}" if db else ""
    server = f"{scheme}://{user}{at}{f'[{host}]' if ':' in host else host}:{port}{path}{query}"
    if kind == "cluster":
        return RedisUrl("redis_cluster", nodes, server, "")
    return RedisUrl("redis_sentinel", nodes, server, service)


def _node(text: str, usual: int) -> tuple[str, int]:
    one = urlsplit(f"//{text}")
    return one.hostname or "localhost", one.port or usual


def connect(url: str, **options: Any) -> Any:
    """A client of redis-py; like ``redis.Redis.from_url`` it connects with the first command.

    Args:
        options: of a connection: time limits, ``retry`` (a cluster has its own: once, over the next map of its slots).
    """
    import redis
    import redis.retry

    parts = parse(url)
    if parts.kind == "redis":
        return redis.Redis.from_url(parts.server, **options)
    if parts.kind == "redis_cluster":
        return Cluster(parts, options)
    return _master(parts, redis, options)


def connect_async(url: str, max_connections: int, timeout_s: float, **options: Any) -> Any:
    """A client of redis-py's asyncio.

    Args:
        max_connections: of the client; to each node of a cluster. More requests wait for one, ``timeout_s``; with a
            cluster or sentinels they fail.
    """
    import redis.asyncio
    import redis.asyncio.retry

    parts = parse(url)
    if parts.kind == "redis":
        pool: Any = redis.asyncio.BlockingConnectionPool.from_url(
            parts.server, max_connections=max_connections, timeout=timeout_s, **options
        )
        return redis.asyncio.Redis.from_pool(pool)
    options["max_connections"] = max_connections
    if parts.kind == "redis_cluster":
        nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in parts.nodes[1:]]
        options.pop("retry", None)
        return redis.asyncio.RedisCluster.from_url(parts.server, startup_nodes=nodes, **options)
    return _master(parts, redis.asyncio, options)


def _master(parts: RedisUrl, module: Any, options: dict[str, Any]) -> Any:
    # Before each new connection the sentinels are asked who the master is.
    return sentinels(parts, module).master_for(parts.service, **_server_options(parts), **options)


def sentinels(parts: RedisUrl, module: Any) -> Any:
    """The ``Sentinel`` of a module: redis or redis.asyncio."""
    from redis.backoff import NoBackoff

    patience = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}
    return module.Sentinel(list(parts.nodes), sentinel_kwargs={**patience, "retry": module.retry.Retry(NoBackoff(), 0)})


def _server_options(parts: RedisUrl) -> dict[str, Any]:
    from redis.connection import parse_url

    options: dict[str, Any] = dict(parse_url(parts.server))
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    return options | ({"ssl": True} if parts.server.startswith("rediss:") else {})


class Cluster:
    """redis-py's ``RedisCluster``, made with the first command, so that a cluster may be away when a process starts.

    What redis-py raises beside its own RedisError is turned into its ConnectionError: callers know that one.
    """

    is_cluster = True

    def __init__(self, parts: RedisUrl, options: dict[str, Any]) -> None:
        self._parts, self._options = parts, options
        self._lock = threading.Lock()

    @cached_property
    def _made(self) -> Any:
        from redis.backoff import NoBackoff
        from redis.cluster import ClusterNode, RedisCluster
        from redis.retry import Retry

        nodes = [ClusterNode(host, port) for host, port in self._parts.nodes[1:]]
        options = {**self._options, "retry": Retry(NoBackoff(), 1)}
        return RedisCluster.from_url(self._parts.server, startup_nodes=nodes, **options)

    def __getattr__(self, name: str) -> Any:
        with self._lock, _translated():
            found = getattr(self._made, name)
        return _guarded(found) if callable(found) else found

    def pipeline(self, transaction: bool = False) -> Any:
        """A pipeline whose commands go to the nodes of their keys."""
        with self._lock, _translated():
            pipe = self._made.pipeline(transaction=transaction)
        pipe.execute = _guarded(pipe.execute)
        return pipe

    def close(self) -> None:
        """Close the connections, if there are any."""
        if "_made" in self.__dict__:
            self._made.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _guarded(call: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with _translated():
            return call(*args, **kwargs)

    return guarded


@contextmanager
def _translated() -> Iterator[None]:
    from redis.exceptions import ConnectionError, RedisClusterException

    try:
        yield
    except RedisClusterException as error:
        raise ConnectionError(str(error)) from error
