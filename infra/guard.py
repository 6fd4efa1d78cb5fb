"""Runs one command so that nothing of it outlives its supervisor.

``python -I -S guard.py SIGNAL GRACE_S COMMAND...`` with a pipe from the supervisor as stdin.
The command gets SIGNAL, and whatever is left of it after GRACE_S seconds is killed, when

- the guard gets SIGTERM (an orderly stop), or
- the pipe closes (the supervisor is gone, even by SIGKILL).

When the command ends by itself, what it leaves behind (workers in sessions of their own) is killed too:
on Linux the guard adopts them (PR_SET_CHILD_SUBREAPER). The exit code is the command's, 128 + n
when signal n ended it. Stands alone and imports only the standard library: it starts in 10 ms.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SUPERVISOR = 0  # stdin


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _spawn(command: list[str]) -> int:
    """Start the command in a process group of its own; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
    os._exit(127)


def _reap(block: bool = False) -> dict[int, int]:
    """Exit codes of the children that have ended; with ``block`` waits for one if there is any child."""
    codes: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, 0 if block and not codes else os.WNOHANG)
        except ChildProcessError:
            return codes
        if not pid:
            return codes
        code = os.waitstatus_to_exitcode(status)
        codes[pid] = code if code >= 0 else 128 - code


def _children() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in children.read_text().split()] if children.exists() else []


def _kill_all(group: int) -> dict[int, int]:
    """SIGKILL the command's group and every process adopted from it; return the exit codes."""
    codes: dict[int, int] = {}
    while True:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:
            pass  # macOS answers so for a group of zombies
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        ended = _reap(block=True)
        codes |= ended
        if not ended:
            return codes


def guard(stop_signal: int, grace_s: float, command: list[str]) -> int:
    """Run the command to its end or to the supervisor's; return the exit code."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = _spawn(command)
    watched, deadline = [wake, _SUPERVISOR], None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = select.select(watched, [], [], left)[0]
        if wake in ready:
            os.read(wake, 4096)
        if child in (codes := _reap()):
            _kill_all(child)
            return codes[child]
        gone = _SUPERVISOR in ready and not os.read(_SUPERVISOR, 4096)
        if gone:
            watched = [wake]
        if (gone or asked) and deadline is None:
            deadline = time.monotonic() + grace_s
            os.kill(child, stop_signal)
        if deadline is not None and time.monotonic() >= deadline:
            return _kill_all(child).get(child, 128 + signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
