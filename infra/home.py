"""The folder of one stack: held by one process at a time, with notes for those who come from other shells.

``stack.lock`` is locked while a stack runs there; ``stack.json`` names its processes; ``env`` is for ``source``.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import time
from collections.abc import Mapping
from typing import IO, Any

from infra.processes import StackError, end_tree, is_running
from infra.settings import Settings


class AlreadyRuns(StackError):
    """Another process runs a stack in the same folder."""


def take(settings: Settings) -> IO[str]:
    """Hold the folder for this process alone, and end what a killed predecessor may have left. Raises AlreadyRuns."""
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = (settings.home / "stack.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        pid = (read_state(settings) or {}).get("pid", "unknown")
        raise AlreadyRuns(f"the stack in {settings.home} already runs (pid {pid})") from None
    end_leftovers(settings)
    return lock


def leave(settings: Settings, lock: IO[str]) -> None:
    """Give the folder free for another process."""
    for name in ("env", "stack.json"):
        (settings.home / name).unlink(missing_ok=True)
    lock.close()


def is_held(settings: Settings) -> bool:
    """Whether a live process holds the folder."""
    try:
        with (settings.home / "stack.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read_state(settings: Settings) -> dict[str, Any] | None:
    """What the last stack of this folder wrote: ``pid``, ``written`` and ``parts``; None when there is nothing."""
    try:
        return dict(json.loads((settings.home / "stack.json").read_text()))
    except FileNotFoundError:
        return None


def write_state(settings: Settings, parts: Mapping[str, Mapping[str, object]]) -> None:
    """Note this process and its parts (name -> ``pid``, ``started``, ``port``), at once or not at all."""
    new = settings.home / "stack.json.new"
    new.write_text(json.dumps({"pid": os.getpid(), "written": time.time(), "parts": parts}, indent=2))
    new.replace(settings.home / "stack.json")


def write_exports(settings: Settings, variables: Mapping[str, str]) -> None:
    """Write ``env``: one ``export NAME=value`` a line, for this user's eyes only: there may be keys among them."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
    file = settings.home / "env"
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text("".join(lines))


def end_leftovers(settings: Settings) -> int:
    """End the parts that stack.json names and that still run; return their number."""
    parts = (read_state(settings) or {"parts": {}})["parts"].values()
    left = [part["pid"] for part in parts if is_running(part["pid"], part["started"])]
    for pid in left:
        end_tree(pid)
    return len(left)
