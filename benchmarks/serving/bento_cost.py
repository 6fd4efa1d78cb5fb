"""What BentoML costs, and what happens to more requests than can be answered.

``python -m benchmarks.serving.bento_cost [--rounds N] [--seconds S] [--only cost|around|overload]``

The first table: a trivial GET, from wrk on another core: a bare uvicorn, BentoML out of the box with the same
application mounted, and the recommender's ``/health`` with its metrics and sampled traces; all servers stand on one
core and are asked in turns; medians of the rounds. The second: CPU time of a GET /recommend outside the pipeline, in
this process, from the server's call to the pipeline's and from its return to the answer's last byte. The third: the
recommender asked once, twice and four times what it can answer, open loop.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.serving.home import ServingHome, add_arguments, chosen, opened, write_json
from benchmarks.serving.overload import Outcome, Sender, poisson
from flows.dataset import DatasetError
from infra.processes import free_ports
from infra.servers import script
from infra.settings import Settings, SettingsError
from infra.stack import Stack, StackError

SERVER_CORE, CLIENT_CORE = 0, max(os.cpu_count() or 1, 2) - 1
CONNECTIONS = 8
CLOSED = 4
"""Connections that saturate the recommender."""
LOADS = (1, 2, 4)
AROUND = 2_000

console = Console()


class Figures(NamedTuple):
    """One subject in one round."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


@dataclass(frozen=True)
class Subject:
    """A server to ask."""

    name: str
    url: str
    worker: psutil.Process


def bentoml_command(target: str, port: int) -> list[str]:
    """``bentoml serve``."""
    return [script("bentoml"), "serve", target, "--host", "127.0.0.1", "--port", str(port)]


def bare_command(port: int) -> list[str]:
    """uvicorn with what BentoML gives it: uvloop, httptools, no access log."""
    options = ["--port", str(port), "--no-access-log", "--log-level", "warning", "--lifespan", "off"]
    return [sys.executable, "-m", "uvicorn", "benchmarks.serving.bento_plain:hello", *options]


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, path: str, environment: Mapping[str, str]
) -> Iterator[Subject]:
    """A server on the servers' core until the context ends. Raises StackError when it does not come up."""
    pinned = ["taskset", "-c", str(SERVER_CORE), *command]
    url = f"http://127.0.0.1:{port}{path}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(pinned, env={**environment}, stdout=log, stderr=log)
        try:
            _wait(url, process)
            yield Subject(name, url, _worker(process.pid))
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes], within_s: float = 120.0) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise StackError(f"{url} does not answer")


def _worker(pid: int) -> psutil.Process:
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return next((p for p in processes if "_bentoml_impl.worker.service" in p.cmdline()), processes[0])


def ask(subject: Subject, connections: int, seconds: float) -> Figures:
    """One run of wrk against one subject."""
    pinned = ["taskset", "-c", str(CLIENT_CORE), "wrk"]
    command = [*pinned, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", *subject.url.split()]
    before = _answering_s(subject)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu_s = _answering_s(subject) - before
    (requests,) = re.findall(r"(\d+) requests in", said)
    (per_s,) = re.findall(r"Requests/sec:\s+([\d.]+)", said)
    # wrk's rate counts refusals, too.
    answered = 1 - int((re.findall(r"Non-2xx or 3xx responses: (\d+)", said) or [0])[0]) / int(requests)
    return Figures(float(per_s) * answered, _percentile(said, 50), _percentile(said, 99), cpu_s * 1e6 / int(requests))


def _answering_s(subject: Subject) -> float:
    """CPU time of the thread that answers: what others do in the background does not grow with requests."""
    return sum(each.user_time + each.system_time for each in subject.worker.threads() if each.id == subject.worker.pid)


def _percentile(said: str, percent: int) -> float:
    ((number, unit),) = re.findall(rf"{percent}%\s+([\d.]+)(us|ms|s)\s", said)
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1_000.0}[unit]


def cost(stack: Stack, rounds: int, seconds: float) -> dict[str, Figures]:
    """Medians of a trivial GET, by subject."""
    environment = stack.environment()
    ports = free_ports("127.0.0.1", 3)
    wanted = (
        ("bare uvicorn", bare_command(ports[0]), "/"),
        ("BentoML out of the box", bentoml_command("benchmarks.serving.bento_plain:Plain", ports[1]), "/"),
        ("recommender /health", bentoml_command("bento.recommender.service:Recommender", ports[2]), "/health"),
    )
    with ExitStack() as servers:
        subjects = [
            servers.enter_context(running(name, command, port, path, environment | {"BENTOML_HOME": home}))
            for (name, command, path), port in zip(wanted, ports, strict=True)
            for home in [servers.enter_context(tempfile.TemporaryDirectory(prefix="bentoml-"))]
        ]
        for subject in subjects:
            ask(subject, CONNECTIONS, 1)
        found = [[ask(subject, CONNECTIONS, seconds) for subject in subjects] for _ in range(rounds)]
    return {
        subject.name: Figures(*(median(values) for values in zip(*(turn[n] for turn in found), strict=True)))
        for n, subject in enumerate(subjects)
    }


def cost_table(figures: Mapping[str, Figures]) -> Table:
    """Every subject, and how many times the bare one's."""
    shown = Table(title=f"a trivial GET, {CONNECTIONS} connections, one core")
    for name in ("", "a second", "p50 ms", "p99 ms", "CPU us", "x bare"):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    bare = next(iter(figures.values()))
    for name, each in figures.items():
        values = f"{each.per_s:,.0f}", f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}", f"{each.cpu_us:.0f}"
        shown.add_row(name, *values, f"{each.cpu_us / bare.cpu_us:.2f}")
    return shown


class Around(NamedTuple):
    """CPU microseconds of GET /recommend outside the pipeline, medians."""

    before_us: float
    after_us: float


async def around(settings: Settings, paths: Sequence[str], count: int, warm: bool) -> Around:
    """Measure the way to the pipeline and back, in this process, without a socket.

    Args:
        warm: let the pipeline give its first answer again: then the processor's caches still hold the way's code.
    """
    from bento.recommender.app import bind, create_app
    from bento.recommender.door import observed
    from bento.recommender.runtime import Runtime

    runtime, app = Runtime(settings), create_app()
    runtime.start()
    bind(app, runtime)
    door, recommend = observed(app), runtime.pipeline.recommend
    inside: list[tuple[int, int]] = []
    found: list[tuple[int, int]] = []

    kept: list[Any] = []

    async def marked(asked: Any) -> Any:
        entered = time.thread_time_ns()
        if not (warm and kept):
            kept[:] = [await recommend(asked)]
        inside.append((entered, time.thread_time_ns()))
        return kept[0]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    setattr(runtime.pipeline, "recommend", marked)  # noqa: B010  a bound method's place, which mypy guards
    try:
        for n in range(count):
            scope = _scope(paths[n % len(paths)])
            began = time.thread_time_ns()
            await door(scope, receive, send)
            ended = time.thread_time_ns()
            entered, left = inside.pop()
            found.append((entered - began, ended - left))
    finally:
        await runtime.close()
    before, after = zip(*found, strict=True)
    return Around(median(before) / 1_000, median(after) / 1_000)


def _scope(path: str) -> dict[str, Any]:
    path, _, query = path.partition("?")
    headers = [(b"host", b"localhost"), (b"accept", b"*/*"), (b"user-agent", b"benchmark")]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "server": ("127.0.0.1", 1), "state": {},
        "client": ("127.0.0.1", 2), "scheme": "http", "root_path": "", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "headers": headers,
    }  # fmt: skip


def overload(stack: Stack, paths: Sequence[str], seconds: float) -> tuple[float, dict[tuple[str, int], Outcome]]:
    """Requests a second at saturation, and what came back at LOADS times as many, by rule and load."""
    environment, found, saturated = stack.environment(), {}, 0.0
    off = {"FRESHET_MAX_IN_FLIGHT": "1000000", "FRESHET_MAX_QUEUE_MS": "1000000"}
    for rule, more in (("on", {}), ("off", off)):
        (port,) = free_ports("127.0.0.1", 1)
        command = bentoml_command("bento.recommender.service:Recommender", port)
        with running("recommender", command, port, "/ready", environment | more) as subject:
            saturated = saturated or saturation(subject, port, paths, seconds)
            for load in LOADS:
                os.sched_setaffinity(0, {CLIENT_CORE})
                moments = poisson(saturated * load, seconds)
                found[rule, load] = asyncio.run(Sender("127.0.0.1", port, paths).run(moments))
                time.sleep(1)
    return saturated, found


def saturation(subject: Subject, port: int, paths: Sequence[str], seconds: float) -> float:
    """Requests a second that are answered by a closed loop of CLOSED connections, each with another user."""
    listed = ", ".join(f'"{path}"' for path in paths)
    script_text = (
        f"local paths = {{{listed}}}\nlocal n = 0\n"
        'request = function()\n  n = n + 1\n  return wrk.format("GET", paths[n % #paths + 1])\nend\n'
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script_text)
        file.flush()
        url = f"http://127.0.0.1:{port}/ -s {file.name}"
        ask(Subject("warm", url, subject.worker), CLOSED, 1)
        return ask(Subject("saturated", url, subject.worker), CLOSED, seconds).per_s


def overload_table(saturated: float, found: Mapping[tuple[str, int], Outcome]) -> Table:
    """What was answered and how late, by rule and load."""
    shown = Table(title=f"GET /recommend asked more than it can answer ({saturated:,.0f}/s saturated), open loop")
    for name in ("rule", "asked", "200 p50 ms", "200 p99 ms", "429 p99 ms", "200", "429", "other"):
        shown.add_column(name, justify="right", no_wrap=True)
    for (rule, load), each in found.items():
        ms = (each.percentile_ms(200, 50), each.percentile_ms(200, 99), each.percentile_ms(429, 99))
        shares = (each.share(200), each.share(429), 1 - each.share(200) - each.share(429))
        shown.add_row(rule, f"{load}x", *(f"{v:.1f}" for v in ms), *(f"{v:.1%}" for v in shares))
    return shown


def run(home: ServingHome, options: argparse.Namespace) -> dict[str, Any]:
    """Every table that is wanted, printed and returned."""
    paths = [f"/recommend?user_id={user}&k=10" for user in home.user_ids(500)]
    figures: dict[str, Any] = {}
    with opened(home) as stack:
        if options.only in (None, "cost"):
            costs = cost(stack, options.rounds, options.seconds)
            console.print(cost_table(costs))
            figures["cost"] = {name: each._asdict() for name, each in costs.items()}
        if options.only in (None, "around"):
            for warm in (True, False):
                spent = asyncio.run(around(stack.settings, paths, AROUND, warm))
                how = "alone, caches warm" if warm else "with the pipeline between"
                before, after = f"{spent.before_us:.0f}", f"{spent.after_us:.0f}"
                console.print(f"GET /recommend outside the pipeline, {how}: {before} + {after} us CPU")
                figures[f"around, {how}"] = spent._asdict()
        if options.only in (None, "overload"):
            saturated, found = overload(stack, paths, options.seconds)
            console.print(overload_table(saturated, found))
            figures["overload"] = {
                f"rule {rule}, {load}x": {
                    "p99_ms": each.percentile_ms(200, 99), "answered": each.share(200), "refused": each.share(429)
                }
                for (rule, load), each in found.items()
            }  # fmt: skip
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.bento_cost", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=5, help="turns of the first table")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each run")
    parser.add_argument("--only", choices=("cost", "around", "overload"), help="one table alone")
    options = parser.parse_args(arguments)
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            print(f"error: {tool} is not installed; this benchmark needs it", file=sys.stderr)
            return 1
    options.dataset = options.dataset or (None if options.quick else ["ml-100k"])
    try:
        write_json(options.json, {home.source: run(home, options) for home in chosen(options)})
    except (DatasetError, SettingsError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
