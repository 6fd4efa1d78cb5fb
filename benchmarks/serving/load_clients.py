"""Servers on a core of their own, and clients on another that put load on them and say what it cost the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from infra.processes import Process, StackError, free_ports
from infra.servers import answers
from infra.settings import ROOT, Settings
from infra.stack import Stack

CORES = sorted(os.sched_getaffinity(0))
SERVER, CLIENT = CORES[:1], CORES[1:] or CORES
"""Cores of the servers that are measured, and of all else: clients, Redis, Kafka."""

WITHIN_S = 180.0
WARM_S = 2.0
PATIENCE_S = 60
LOOK_EVERY_S, IDLE, IDLE_WITHIN_S = 0.5, 0.15, 30.0
"""A server that uses less than this share of a core for so long has nothing left to do."""

WRK = ROOT / "benchmarks" / "serving" / "wrk.lua"


class NoClient(RuntimeError):
    """The load generator is missing or failed; the message says what to do."""


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Processes that are started meanwhile run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        name: what tables call it; host, port: where it listens.
        process: its guard; what is below it is the server.
    """

    name: str
    host: str
    port: int
    process: Process

    def cpu_s(self) -> float:
        """CPU time of all its processes so far."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(each.user + each.system for each in times)

    def memory(self) -> dict[str, float]:
        """MiB of its largest process, a worker: resident, and what it shares with nobody; and how many run."""
        found = [process.memory_full_info() for process in self._processes()]
        worker = max(found, key=lambda each: each.rss)
        return {"rss_mib": worker.rss / 2**20, "own_mib": worker.uss / 2**20, "processes": len(found)}

    def settle(self) -> None:
        """Wait until it has done what nobody waits for any more, IDLE_WITHIN_S at most."""
        until = time.monotonic() + IDLE_WITHIN_S
        before_s = self.cpu_s()
        while time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
            now_s = self.cpu_s()
            if now_s - before_s < IDLE * LOOK_EVERY_S:
                return
            before_s = now_s

    def _processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.guard_pid).children(recursive=True)


@contextmanager
def serving(stack: Stack, name: str, command: Callable[[Settings], Sequence[str]], ready: str) -> Iterator[Server]:
    """A server on its core until the context ends. Raises StackError.

    Args:
        stack: what it needs, running.
        command: of the settings, in which ``recommender_port`` is where it should listen.
        ready: path that answers 200 once it serves.
    """
    (port,) = free_ports(stack.settings.host, 1)
    settings = stack.settings.with_ports(recommender_port=port)
    log = settings.home / "logs" / f"{name.lower().replace(' ', '-').replace('/', '')}.log"
    ours = stack.environment() | settings.environment() | {"OMP_NUM_THREADS": "1"}
    with on_cores(SERVER):
        process = Process(name, command(settings), ours, log)
    try:
        url = f"http://{settings.host}:{port}{ready}"
        process.wait_until(lambda: answers(url), WITHIN_S, lambda: False, "see the log")
        yield Server(name, settings.host, port, process)
    finally:
        process.stop()


@dataclass(frozen=True)
class Figures:
    """What a load gave; latencies in milliseconds.

    Attributes:
        per_s: answers a second; per_core: answers a second of the server's CPU time.
        cpu_ms: the server's CPU time an answer.
        refused: answers of another status than 2xx; failed: requests without an answer.
    """

    requests: int
    per_s: float
    p50: float
    p99: float
    p999: float
    cpu_ms: float
    refused: int
    failed: int

    @property
    def per_core(self) -> float:
        return 1e3 / self.cpu_ms if self.cpu_ms else float("nan")


def middle(runs: Sequence[Figures]) -> Figures:
    """The median of every figure over some runs; requests, refused and failed are sums."""
    names = ("per_s", "p50", "p99", "p999", "cpu_ms")
    sums = {name: sum(getattr(run, name) for run in runs) for name in ("requests", "refused", "failed")}
    return Figures(**sums, **{name: median(getattr(run, name) for run in runs) for name in names})


def closed_loop(server: Server, lines: Sequence[str], connections: int, seconds: float) -> Figures:
    """wrk with some connections, each of which asks again as soon as it is answered.

    Args:
        lines: requests, ``METHOD PATH [BODY]``, sent in random order.

    Raises:
        NoClient: wrk is missing or fails.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise NoClient("wrk is not installed; install it (Debian: `apt-get install wrk`) and try again")
    url = f"http://{server.host}:{server.port}"
    load = [wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", f"--timeout={PATIENCE_S}s", f"--script={WRK}", url]
    return _measured(server, lines, lambda file: [*load, str(file)])


def open_loop(server: Server, lines: Sequence[str], rate: float, seconds: float) -> Figures:
    """``benchmarks.serving.scheduled_client`` at a rate. Raises NoClient."""
    load = [sys.executable, "-m", "benchmarks.serving.scheduled_client", server.host, str(server.port)]
    return _measured(server, lines, lambda file: [*load, str(file), f"--rate={rate}", f"--seconds={seconds}"])


def _measured(server: Server, lines: Sequence[str], command: Callable[[Path], Sequence[str]]) -> Figures:
    with tempfile.TemporaryDirectory(prefix="freshet-load-") as folder:
        file = Path(folder) / "requests.txt"
        file.write_text("\n".join(lines) + "\n")
        before_s = server.cpu_s()
        with on_cores(CLIENT):
            done = subprocess.run(command(file), cwd=ROOT, capture_output=True, text=True, check=False)
        cpu_s = server.cpu_s() - before_s
    server.settle()  # the next one that is measured has the core for itself
    if done.returncode:
        raise NoClient(f"{server.name}: the load generator failed: {done.stderr.strip() or done.stdout.strip()}")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    requests = int(told["requests"])
    return Figures(
        requests=requests,
        per_s=requests / told["seconds"],
        p50=told["p50"],
        p99=told["p99"],
        p999=told["p999"],
        cpu_ms=1e3 * cpu_s / max(1, requests),
        refused=int(told["refused"]),
        failed=int(told["failed"]),
    )


def warm(server: Server, lines: Sequence[str]) -> None:
    """Let a server answer for a while before it is measured. Raises NoClient, StackError when it does not."""
    until = time.monotonic() + WARM_S
    while True:
        found = closed_loop(server, lines, 1, 1)
        if found.refused:
            raise StackError(f"{server.name} refuses {found.refused} of {found.requests} requests; see its log")
        if time.monotonic() > until:
            return
