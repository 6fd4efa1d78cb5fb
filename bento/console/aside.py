"""Blocking work beside the event loop: few threads, and nobody waits long for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeVar

Found = TypeVar("Found")


class Busy(Exception):
    """The work did not end in time, or could not begin because earlier work has not ended."""


class Aside:
    """Does one kind of work in threads.

    A thread cannot be stopped, so what takes too long is left to itself; while as many as may run are held up, new work
    is refused at once. The threads are daemons: the process ends without waiting for a server that hangs, or for an
    import of seconds.

    Args:
        name: of the threads.
        most: how many pieces of work run at once.
    """

    def __init__(self, name: str, most: int = 1) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def call(self, work: Callable[[], Found], within_s: float) -> Found:
        """The result of the work; what it raises is raised here.

        Args:
            within_s: the longest wait, for a free thread and for the work.

        Raises:
            Busy: it did not come in time.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        try:
            await asyncio.wait_for(self._free.acquire(), within_s)
        except TimeoutError:
            raise Busy(f"an earlier call has not come back within {within_s:g} s") from None
        done: asyncio.Future[Found] = loop.create_future()
        done.add_done_callback(self._ended)
        try:
            Thread(target=_run, args=(loop, done, work), name=self._name, daemon=True).start()
        except RuntimeError:  # no thread can be had
            done.cancel()
            raise
        await asyncio.wait({done}, timeout=until - loop.time())
        if not done.done():
            raise Busy(f"no answer within {within_s:g} s")
        return done.result()

    def _ended(self, done: asyncio.Future[Found]) -> None:
        self._free.release()
        if not done.cancelled():
            done.exception()  # what came too late is nobody's error


def _run(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Found], work: Callable[[], Found]) -> None:
    tell: Callable[[], None]
    try:
        tell = partial(done.set_result, work())
    except BaseException as error:  # whatever it is, who waits must hear it, or the place is never free again
        tell = partial(done.set_exception, error if isinstance(error, Exception) else RuntimeError(repr(error)))
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(tell)
