"""Redis as a cluster of three nodes, and Redis with a replica behind a sentinel: Valkey itself, without its disk."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis

from infra.processes import free_ports
from infra.servers import PARTS
from infra.settings import Settings

SLOTS = 16_384
SERVICE = "features"


class Served(NamedTuple):
    """Servers that run."""

    url: str
    ports: Sequence[int]
    processes: Sequence[subprocess.Popen[bytes]]


@contextmanager
def cluster(settings: Settings, folder: Path, nodes: int = 3) -> Iterator[Served]:
    """A cluster whose slots are dealt out among its nodes."""
    ports = free_ports("127.0.0.1", 2 * nodes)
    ports, buses = ports[:nodes], ports[nodes:]
    with ExitStack() as stack:
        started = []
        for number, (port, bus) in enumerate(zip(ports, buses, strict=True)):
            own = ("--cluster-port", str(bus), "--cluster-config-file", f"{number}.conf")
            started.append(stack.enter_context(_server(settings, folder, port, "--cluster-enabled", "yes", *own)))
        clients = [redis.Redis(port=port) for port in ports]
        for number, client in enumerate(clients):
            first, end = (SLOTS * n // nodes for n in (number, number + 1))
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0], buses[0])
        eventually(lambda: all(_is_whole(client, nodes) for client in clients))
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports[:2])
        yield Served(f"redis+cluster://{hosts}", ports, started)


@contextmanager
def sentinel(settings: Settings, folder: Path) -> Iterator[Served]:
    """A master, its replica, and a sentinel that promotes it within seconds; ports in this order."""
    master, replica, watcher = ports = free_ports("127.0.0.1", 3)
    config = folder / "sentinel.conf"
    config.write_text(
        f"port {watcher}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {SERVICE} 127.0.0.1 {master} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} 500\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    with ExitStack() as stack:
        servers = [
            stack.enter_context(_server(settings, folder, master)),
            stack.enter_context(_server(settings, folder, replica, "--replicaof", "127.0.0.1", str(master))),
            stack.enter_context(_running([_binary(settings), str(config), "--sentinel"])),
        ]
        watching = redis.Redis(port=watcher)
        eventually(lambda: _answers(watching) and watching.sentinel_master(SERVICE)["num-slaves"] == 1)
        eventually(lambda: redis.Redis(port=replica).info("replication")["master_link_status"] == "up")
        yield Served(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{watcher}/{SERVICE}/0", ports, servers)


def eventually(check: Any, within_s: float = 30.0) -> None:
    until = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.02)


def _binary(settings: Settings) -> str:
    return str(PARTS["redis"].command(settings)[0])


@contextmanager
def _server(settings: Settings, folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    plain = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no")
    with _running([_binary(settings), *plain, *options, "--repl-diskless-sync-delay", "0"]) as process:
        eventually(lambda: _answers(redis.Redis(port=port)))
        yield process


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _is_whole(client: Any, nodes: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == nodes
