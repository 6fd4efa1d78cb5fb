"""The whole of Freshet on this machine: ``python -m infra.local up [--only a,b,c] | down | status``.

``up`` keeps running, restarts what dies, and stops everything on Ctrl-C or SIGTERM. State lies in FRESHET_HOME.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

import psutil
from rich.console import Console
from rich.table import Table

from infra.firstrun import first_run
from infra.home import AlreadyRuns, end_leftovers, is_held, read_state
from infra.lists import listed
from infra.pages import is_built
from infra.processes import StackError, is_running
from infra.servers import ALL, PAGES, SYSTEM, UIS, address, scrape
from infra.settings import Settings, SettingsError, load_settings
from infra.stack import Stack

__all__ = ["ALL", "AlreadyRuns", "Stack", "StackError", "main"]

LOOK_EVERY_S = 0.25

console = Console(highlight=False, soft_wrap=True)


def up(settings: Settings, only: Sequence[str]) -> int:
    """Start the stack, fill it on its first start, and watch it until a signal comes."""
    _stop_on_signals()
    pages = [name for name in PAGES if settings.uis or name not in UIS]
    stack = Stack(settings, only or SYSTEM, say=console.print, later=[] if only else pages)
    try:
        with stack:
            _show_rebuild(stack)
            if not only:
                first_run(stack)
                stack.start_later()  # after all else: what they cost would make the system ready later
            console.print(_urls(stack))
            while True:
                stack.watch()
                time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        console.print("stopped")
        return 0
    except AlreadyRuns as error:
        console.print(str(error))
        return status(settings)


def _show_rebuild(stack: Stack) -> None:
    """A line of progress while a dataflow without states counts anew what is stored; the services answer meanwhile."""
    if all(part.name != "stream" for part in stack.parts):
        return
    url = f"http://{stack.settings.host}:{stack.settings.stream_metrics_port}/metrics"
    with console.status("") as line:
        while True:
            found, seconds = scrape(url), time.time() - stack.process("stream").started
            count = found.get("freshet_stream_history_messages_total", 0)
            told = f"{count:,.0f} stored messages in {seconds:.1f} s ({count / seconds:,.0f}/s)"
            if not found.get("freshet_stream_rebuilding"):
                break
            line.update(f"counting anew: {told}")
            stack.watch()
            time.sleep(LOOK_EVERY_S)
    if count:
        console.print(f"counted anew: {told}")


def _stop_on_signals() -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        console.print("stopping")
        raise KeyboardInterrupt

    for each in signals:
        signal.signal(each, stop)


def _urls(stack: Stack) -> Table:
    table = Table("part", "address", title="Freshet runs; Ctrl-C stops it", title_justify="left")
    names = [part.name for part in stack.parts if part.port]
    if "console" in names:
        names.remove("console")
        table.add_row("page", address(stack.settings, "console"), style="bold", end_section=True)
    for name in names:
        table.add_row(name, address(stack.settings, name))
    captions = [f"for a shell: source {stack.settings.home / 'env'}"]
    if not is_built():
        captions.insert(0, "the page is not built: `make frontend` builds it, then load it; nothing needs a restart")
    table.caption = "\n".join(captions)
    return table


def down(settings: Settings) -> int:
    """Stop the stack of this home from another shell."""
    state = read_state(settings)
    if not is_held(settings):
        left = end_leftovers(settings)
        (settings.home / "stack.json").unlink(missing_ok=True)
        console.print(f"no stack runs in {settings.home}" + (f"; ended {left} left-over processes" if left else ""))
        return 0
    if state is None:
        raise StackError(f"a stack in {settings.home} is just starting; try again")
    os.kill(state["pid"], signal.SIGTERM)
    if not _wait(lambda: not is_held(settings), 60.0):
        raise StackError(f"the stack in {settings.home} (pid {state['pid']}) does not stop")
    console.print("stopped")
    return 0


def _wait(done: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def status(settings: Settings) -> int:
    """Print the parts of the running stack as a table; 1 when there is none, or a part of it is dead."""
    state = read_state(settings)
    if state is None or not is_held(settings):
        console.print(f"no stack runs in {settings.home}")
        return 1
    table = Table("part", "state", "port", "pid", "up", "memory", title=f"stack of pid {state['pid']}")
    alive = True
    for name, part in state["parts"].items():
        runs = is_running(part["pid"], part["started"])
        alive &= runs
        age = f"{time.time() - part['started']:.0f} s" if runs else ""
        memory = f"{_memory(part['pid']) / 2**20:.0f} MiB" if runs else ""
        table.add_row(name, "up" if runs else "dead", str(part["port"] or ""), str(part["pid"]), age, memory)
    table.caption = f"logs: {settings.home / 'logs'}"
    console.print(table)
    return 0 if alive else 1


def _memory(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start the stack and keep it running until Ctrl-C")
    start.add_argument("--only", default="", metavar="A,B", help=f"only these parts of {','.join(ALL)}")
    commands.add_parser("down", help="stop it from another shell")
    commands.add_parser("status", help="its parts as a table")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        if options.command == "up":
            return up(settings, listed(options.only))
        return down(settings) if options.command == "down" else status(settings)
    except (SettingsError, StackError) as error:
        console.print(f"error: {error}", markup=False)
        return 1


if __name__ == "__main__":
    sys.exit(main())
