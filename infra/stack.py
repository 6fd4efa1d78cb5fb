"""The embedded stack: starts its parts in the order of their needs, watches them, stops them in reverse."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import IO, Self

import psutil

from infra import home
from infra.processes import Process, StackError, free_ports, is_alive, is_free, who_listens
from infra.servers import ALL, PARTS, SYSTEM, Part, outcomes_recovery_folder, recovery_folder
from infra.settings import PREFIX, Settings, variable
from infra.telemetry import THIRD_PARTIES_OFF
from infra.topics import ensure_topics

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.25, 30.0
STEADY_S = 2.0
"""A part that was healthy for so long before it died is started again at once; any other, ever later."""
FOLLOW_THE_LOG = ("ingest", "stream", "outcomes")
"""Parts that start anew after a new, empty broker."""


class Stack:
    """The parts of the embedded stack as child processes, as a context manager.

    ``settings`` are those the stack really has: a port 0 is replaced by a free one, and the URLs follow.
    A part whose URL points to another server is not started. ``later`` are parts that ``start_later`` starts.
    ``after_broker_start`` is called each time
    an empty broker has come up with its topics, before the dataflow starts.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Sequence[str] = SYSTEM,
        after_broker_start: Callable[[Stack], None] | None = None,
        say: Callable[[str], None] = lambda line: None,
        later: Sequence[str] = (),
    ) -> None:
        if unknown := [name for name in (*parts, *later) if name not in PARTS]:
            raise StackError(f"unknown part {unknown[0]}; there are {', '.join(ALL)}")
        self.settings = _with_free_ports(settings)
        self.after_broker_start = after_broker_start
        self.say = say
        self.parts = [part for part in PARTS.values() if part.name in parts and self._is_ours(part)]
        self._later = [PARTS[name] for name in later if self._is_ours(PARTS[name])]
        self._processes: dict[str, Process] = {}
        self._healthy_since: dict[str, float] = {}
        self._workers: dict[str, list[psutil.Process]] = {}
        self._due: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._cancelled = threading.Event()
        self._state_lock = threading.Lock()
        self._home_lock: IO[str] | None = None

    def _is_ours(self, part: Part) -> bool:
        return part.url is None or self.settings.is_embedded(part.url)

    # Life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every part; parts that do not need each other start side by side. Raises StackError."""
        self._home_lock = home.take(self.settings)
        self.say(f"starting {', '.join(part.name for part in self.parts)} in {self.settings.home}")
        try:
            for part in (*self.parts, *self._later):
                self._refuse_taken_port(part)
            self._write_environment()
            self._in_order(self._start_part, lambda part: part.needs)
        except BaseException:
            self.stop()
            raise

    def start_later(self) -> None:
        """Start what the system is whole without; a part that does not start is said, and ``watch`` tries it again."""
        while self._later:
            self.parts.append(part := self._later.pop(0))
            try:
                self._start_part(part)
            except StackError as error:
                self.say(str(error))

    def stop(self) -> None:
        """Stop every part, each before those it needs."""
        if self._home_lock is None:
            return
        self._cancelled.set()
        users = {part.name: tuple(p.name for p in self.parts if part.name in p.needs) for part in self.parts}
        self._in_order(self._stop_part, lambda part: users[part.name])
        home.leave(self.settings, self._home_lock)
        self._home_lock = None

    def _in_order(self, do: Callable[[Part], None], after: Callable[[Part], Sequence[str]]) -> None:
        """Run ``do`` for every part, each once those in ``after`` are done; raises the first failure."""
        futures: dict[str, Future[None]] = {}
        ready = threading.Event()

        def one(part: Part) -> None:
            ready.wait()
            for name in after(part):
                if name in futures:
                    futures[name].result()
            do(part)

        with ThreadPoolExecutor(max_workers=max(1, len(self.parts))) as pool:
            futures.update({part.name: pool.submit(one, part) for part in self.parts})
            ready.set()
            try:
                wait(futures.values(), return_when="FIRST_EXCEPTION")
                for future in futures.values():
                    if future.done():
                        future.result()
            except BaseException:
                self._cancelled.set()
                raise

    # One part

    def process(self, name: str) -> Process:
        """The process of a part. Raises KeyError when it is not part of this stack."""
        return self._processes[name]

    def kill(self, name: str) -> None:
        """SIGKILL a part and all below it, as a crash would."""
        self.process(name).kill()

    def restart(self, name: str) -> None:
        """Stop a part and start it again; with the broker all that depends on its log. Raises StackError."""
        others = [part.name for part in self.parts if part.name in FOLLOW_THE_LOG] if name == "kafka" else []
        for part in (*reversed(others), name):
            self._stop_part(PARTS[part])
        for part in (name, *others):
            self._start_part(PARTS[part])

    def run(self, name: str, command: Sequence[str], quiet: bool = True) -> Process:
        """Start a command in the stack's environment, logged to ``<name>.log``; not quiet: to our own output."""
        log = self.settings.home / "logs" / f"{name}.log" if quiet else None
        return Process(name, command, self.environment(), log)

    def _start_part(self, part: Part) -> None:
        if not part.wanted(self.settings):
            return
        self._refuse_taken_port(part)
        part.prepare(self.settings, lambda command: self._run_to_end(part, command))
        if self._cancelled.is_set():
            raise StackError(f"{part.name}: start cancelled")
        began = time.monotonic()
        self._healthy_since.pop(part.name, None)
        self._workers.pop(part.name, None)
        log = self.settings.home / "logs" / f"{part.name}.log"
        process = Process(
            part.name,
            part.command(self.settings),
            self.environment() | part.environment(self.settings),
            log,
            stop_signal=part.stop_signal,
            grace_s=part.grace_s,
        )
        self._processes[part.name] = process
        self._write_state()
        if not part.awaited:
            self.say(f"{part.name} starts")
            return
        fix = f"set {variable(part.port)} to use another port" if part.port else "see the log"
        process.wait_until(lambda: self._is_healthy(part), part.within_s, self._cancelled.is_set, fix)
        self._healthy_since[part.name] = time.monotonic()
        if part.lone_worker(self.settings):
            self._workers[part.name] = process.children()
        if part.name == "kafka":
            self._new_broker()
        self.say(f"{part.name} is {'done' if part.once else 'up'} ({time.monotonic() - began:.1f} s)")

    def _is_healthy(self, part: Part) -> bool:
        if part.once:
            return self._processes[part.name].exit_code == 0
        return self._processes[part.name].exit_code is None and part.healthy(self.settings)

    def _run_to_end(self, part: Part, command: Sequence[str]) -> None:
        process = self._processes[part.name] = self.run(part.name, command)
        process.wait_until(lambda: process.exit_code == 0, part.within_s, self._cancelled.is_set, "see the log")

    def _stop_part(self, part: Part) -> None:
        if part.name in self._processes:
            self._processes[part.name].stop()

    def _refuse_taken_port(self, part: Part) -> None:
        if part.port and not is_free(self.settings.host, port := getattr(self.settings, part.port)):
            raise StackError(
                f"{part.name}: port {port} on {self.settings.host} is taken by {who_listens(port)}; "
                f"stop it, or set {variable(part.port)} to another port (0: any free one)"
            )

    def _new_broker(self) -> None:
        """The broker's log lives in memory: what dataflows remember of a former log would skip messages of this."""
        for folder in (recovery_folder(self.settings), outcomes_recovery_folder(self.settings)):
            shutil.rmtree(folder, ignore_errors=True)
        ensure_topics(self.settings)
        if self.after_broker_start:
            self.after_broker_start(self)

    # Watch

    def watch(self) -> None:
        """Look at every part once: report those that have died, restart those that are due. Call it repeatedly."""
        for part in self.parts:
            process = self._processes.get(part.name)
            if part.once or process is None or self._is_alive(part, process):
                continue
            if part.name not in self._due:
                self._schedule(part, process)
            elif time.monotonic() >= self._due[part.name]:
                self._revive(part)

    def _is_alive(self, part: Part, process: Process) -> bool:
        if process.exit_code is None and not all(map(is_alive, self._workers.get(part.name, ()))):
            process.kill()
        return process.exit_code is None

    def _schedule(self, part: Part, process: Process) -> None:
        steady = time.monotonic() - self._healthy_since.get(part.name, math.inf) > STEADY_S
        delay = FIRST_BACKOFF_S if steady else min(LONGEST_BACKOFF_S, 2 * self._delays.get(part.name, FIRST_BACKOFF_S))
        self._delays[part.name] = delay
        self._due[part.name] = time.monotonic() + delay
        self.say(f"{part.name} {process.how_it_ended()}; restarting it in {delay:g} s")

    def _revive(self, part: Part) -> None:
        del self._due[part.name]
        try:
            self.restart(part.name)
        except StackError as error:
            self.say(str(error))
            self._processes[part.name].stop()

    # What others read

    def environment(self) -> dict[str, str]:
        """Environment of the children: ours, with these settings and without third parties' telemetry."""
        ours = {k: v for k, v in os.environ.items() if k not in Settings.variables() and not k.startswith(PREFIX)}
        local = ",".join(filter(None, (os.environ.get("no_proxy", ""), self.settings.host, "localhost")))
        return ours | self._exports() | {"no_proxy": local, "NO_PROXY": local, "PYTHONUNBUFFERED": "1"}

    def _exports(self) -> dict[str, str]:
        # Prefect's database is its server's alone: it may have a password.
        for_all = self.settings.model_copy(update={"prefect_database_url": ""}).environment()
        homes = {f"{tool.upper()}_HOME": str(self.settings.home / tool) for tool in ("bentoml", "prefect")}
        return for_all | THIRD_PARTIES_OFF | homes

    def _write_environment(self) -> None:
        for folder in ("logs", "mlflow", "feast", "bentoml", "prefect"):
            (self.settings.home / folder).mkdir(parents=True, exist_ok=True)
        home.write_exports(self.settings, self._exports())

    def _write_state(self) -> None:
        with self._state_lock:
            home.write_state(
                self.settings,
                {
                    name: {
                        "pid": process.guard_pid,
                        "started": process.started,
                        "port": getattr(self.settings, port) if (port := PARTS[name].port) else None,
                    }
                    for name, process in list(self._processes.items())
                    if not PARTS[name].once
                },
            )


def _with_free_ports(settings: Settings) -> Settings:
    fields = [part.port for part in PARTS.values() if part.port and getattr(settings, part.port) == 0]
    return settings.with_ports(**dict(zip(fields, free_ports(settings.host, len(fields)), strict=True)))
