"""One supervised child process: its log, its health, its end. And the ports it wants."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import psutil

from infra.settings import ROOT

GUARD = Path(__file__).with_name("guard.py")
LARGEST_LOG = 16 * 2**20


Run = Callable[[Sequence[str]], None]
"""Runs a command to its end under the part's name and log; raises StackError when it fails."""


class StackError(RuntimeError):
    """A part of the stack cannot run; the message names the part, why, and what to do."""


class Process:
    """A command under ``infra/guard.py``, with its output in a log file.

    Stopped with ``stop_signal``, killed ``grace_s`` seconds later; gone with this process, however that ends.
    ``log=None`` lets the command write to this process's own output.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path | None,
        *,
        stop_signal: int = signal.SIGTERM,
        grace_s: float = 10.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.grace_s = grace_s
        self.started = time.time()
        with _open_log(log) as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(int(stop_signal)), str(grace_s), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=ROOT,
                start_new_session=True,
            )

    @property
    def guard_pid(self) -> int:
        """Pid of the guard, the direct child."""
        return self._guard.pid

    @property
    def pid(self) -> int | None:
        """Pid of the command itself; None when it has ended."""
        children = _tree(self._guard.pid)
        return children[0].pid if children else None

    def children(self) -> list[psutil.Process]:
        """What the command itself has started, and lives."""
        try:
            return [child for child in psutil.Process(self.pid or 0).children() if is_alive(child)]
        except psutil.NoSuchProcess:
            return []

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + n when signal n ended it."""
        code = self._guard.poll()
        return 128 - code if code is not None and code < 0 else code

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end; return the exit code. Raises subprocess.TimeoutExpired."""
        self._guard.wait(timeout_s)
        return self.exit_code or 0

    def stop(self) -> None:
        """Ask it to end, wait, and kill what is left. Does nothing when it has ended."""
        if self._guard.poll() is None:
            self._guard.terminate()
            try:
                self._guard.wait(self.grace_s + 5)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()

    def kill(self) -> None:
        """SIGKILL the command and everything below it, as a crash would."""
        for process in _tree(self._guard.pid):
            _kill(process)
        try:
            self._guard.wait(5)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._close()

    def _close(self) -> None:
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def last_line(self) -> str:
        """The last line of the log that says something."""
        if not self.log:
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 8192))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def how_it_ended(self) -> str:
        """One clause: the exit code, the last log line and the log's path."""
        code = self.exit_code
        how = f"was killed by {signal.Signals(code - 128).name}" if code and code > 128 else f"ended with code {code}"
        return f"{how}{_quoted(self.last_line())}" + (f" (log: {self.log})" if self.log else "")

    def wait_until(self, healthy: Callable[[], bool], within_s: float, cancelled: Callable[[], bool], fix: str) -> None:
        """Poll ``healthy`` until it is true. Raises StackError when the process ends, or the time does."""
        deadline = time.monotonic() + within_s
        pause = 0.02
        while not healthy():
            if self.exit_code is not None:
                raise StackError(f"{self.name} {self.how_it_ended()}; {fix}")
            if cancelled():
                raise StackError(f"{self.name}: start cancelled")
            if time.monotonic() > deadline:
                what = f"{self.name} is not healthy after {within_s:.0f} s{_quoted(self.last_line())}"
                raise StackError(f"{what} (log: {self.log}); {fix}")
            time.sleep(pause)
            pause = min(0.25, pause * 1.5)


def _quoted(line: str) -> str:
    return f": {line[:300]}" if line else ""


def _open_log(log: Path | None) -> BinaryIO:
    if log is None:
        return os.fdopen(os.dup(1), "wb")
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))
    return log.open("ab")


def _tree(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs, and is not merely waiting for its parent to notice its end."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def is_running(pid: int, started: float) -> bool:
    """Whether the process with this pid still is the one that was started at that time (seconds, +-2)."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 2 and is_alive(process)
    except psutil.NoSuchProcess:
        return False


def end_tree(pid: int, grace_s: float = 10.0) -> None:
    """End a process that is not a child of this one, and everything below it."""
    tree = _tree(pid)
    try:
        guard = psutil.Process(pid)
        guard.terminate()
    except psutil.NoSuchProcess:
        return
    psutil.wait_procs([guard, *tree], timeout=grace_s + 2)
    for process in [guard, *tree]:
        _kill(process)


def free_ports(host: str, count: int) -> list[int]:
    """Distinct ports that nobody listens on, below the range that the kernel gives to outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 12_000):
        if len(found) == count:
            return found
        if is_free(host, port):
            found.append(port)
    raise StackError(f"no {count} free ports on {host} between 20000 and 32000")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def who_listens(port: int) -> str:
    """``name (pid n)`` of the listener, or ``another process``."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    return "another process"


def script(name: str) -> str:
    """Path of a console script of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def package(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"package {name} is not installed; run `make setup`")
    return Path(spec.submodule_search_locations[0])
