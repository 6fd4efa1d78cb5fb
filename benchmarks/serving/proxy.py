"""A TCP proxy that can be told to misbehave: to be slow, to say nothing, to cut off who asks for one thing.

It runs in a thread of its own; its faults are plain attributes, to be set at any time.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class Proxy:
    """Carries bytes between its own port and another, as a context manager.

    Args:
        host, port: where it carries them to.
        tls: spoken with clients; None: what they say is carried as it is.

    Attributes:
        port: where it listens.
        delay_s: how long what the client says is held back.
        deaf: take connections, and carry nothing.
        refused: connections on which a client says this are cut; None: none.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.delay_s = 0.0
        self.deaf = False
        self.refused: bytes | None = None
        self._target, self._tls = (host, port), tls
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, self._target[0], 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        up = asyncio.ensure_future(self._one_way(reader, back, checked=True))
        down = asyncio.ensure_future(self._one_way(there, writer, checked=False))
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        for end in (up, down):
            end.cancel()
        for side in (writer, back):
            side.close()

    async def _one_way(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, checked: bool) -> None:
        free_at = 0.0  # what comes later must not overtake
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                while self.deaf:
                    await asyncio.sleep(0.02)
                if not checked:
                    target.write(data)
                    continue
                if self.refused is not None and self.refused in data:
                    return
                free_at = max(free_at, self._loop.time() + self.delay_s)
                self._loop.call_at(free_at, _write, target, data)


def _write(target: asyncio.StreamWriter, data: bytes) -> None:
    if not target.is_closing():
        target.write(data)
