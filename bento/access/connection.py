"""Bounds on a connection that uvicorn leaves open: how large a request's head may be, and how slow its client.

uvicorn on httptools keeps a connection for as long as its client sends anything, however little, and reads a head of
any size into memory (its ``h11_max_incomplete_event_size`` is of h11 only). There is no hook for either but the
protocol itself, which uvicorn lets be named by its option ``http``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bento.errors import CODES, error_response
from infra.settings import Settings

GRACE_S = 1.0
"""A body that does not come is answered by the application, in time; only then the connection is closed."""
DRIP_S = 0.05
"""Between two looks at what is left of a body that was refused: its client hears so, and pours in no more than that."""

NONSENSE = ("Invalid HTTP request received.", "Unsupported upgrade request.")

Stage = Literal["idle", "head", "body"]


class Bounded(HttpToolsProtocol):
    """HTTP/1.1 for clients that come to the point.

    A head must be whole ``patience_s`` after its first byte, or after the connection was made, a body ``patience_s``
    after its head; an answer must be taken at the same pace. Of a client that is slower the connection is closed.
    """

    max_head_bytes = 16_384
    patience_s = 10.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stage: Stage = "idle"
        self._head_bytes = self._chunk_bytes = self._messages = 0
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._drips: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        for timer in (self._timer, self._unread, self._drips):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and see to it that the rest will."""
        stage, messages, self._chunk_bytes = self._stage, self._messages, len(data)
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # a WebSocket now
            return
        if self._stage == "head":
            # Of a head that began behind another request in this piece, this piece does not count.
            if self._messages - messages == (stage == "idle"):
                self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._end(431, self._too_large())
                return
        elif self._stage == "idle" and self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()  # the whole request is here: it is the application's turn
            return
        if self._timer is None:
            self._watch()

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        self._messages += 1
        self._stage, self._head_bytes = "head", 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole: its request goes to the application, or is refused where it is too large."""
        self._stage = "body"
        self._unwatch()
        if self._head_bytes + self._chunk_bytes <= self.max_head_bytes or self._size() <= self.max_head_bytes:
            super().on_headers_complete()
            return
        app, self.app = self.app, error_response(431, CODES[431], self._too_large())
        try:
            super().on_headers_complete()
        finally:
            self.app = app

    def on_body(self, body: bytes) -> None:
        """A piece of a body; of one that nobody wants any more, pieces are taken in at a slow pace."""
        super().on_body(body)
        if self._drips is None and self.cycle.response_complete:
            self.flow.pause_reading()
            self._drips = self.loop.call_later(DRIP_S, self._drip)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._stage = "idle"
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's from now on."""
        self._unwatch()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        self._end(400, msg)

    def pause_writing(self) -> None:
        """The client does not take its answer as fast as it is written."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _watch(self) -> None:
        patience_s = self.patience_s + (GRACE_S if self._stage == "body" else 0.0)
        self._timer = self.loop.call_later(patience_s, self._late)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused and self._drips is None:
            self._watch()  # it is we who do not read: an earlier request of this connection is not answered yet
        elif self._stage == "head":
            self._end(408, f"the head did not come within {self.patience_s:g} s")
        else:
            self.transport.close()

    def _drip(self) -> None:
        self._drips = None
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _end(self, status: int, message: str) -> None:
        """Answer what no application has heard of, and close."""
        self._unwatch()
        response = error_response(status, CODES[status], message, headers={"connection": "close"})
        head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
        self.transport.write(b"".join((STATUS_LINE[status], head, b"\r\n", bytes(response.body))))
        self.transport.close()

    def _size(self) -> int:
        """Bytes of the head that is whole now, its line and separators about."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> str:
        return f"the head is longer than {self.max_head_bytes} bytes (FRESHET_MAX_HEADER_BYTES); send less"


def _is_ours_to_know(record: logging.LogRecord) -> bool:
    # A line for each piece of nonsense that anybody sends would fill the disk for him.
    return record.msg not in NONSENSE


def bounded(settings: Settings) -> type[Bounded]:
    """The protocol with the bounds of the settings: uvicorn's option ``http``."""
    logging.getLogger("uvicorn.error").addFilter(_is_ours_to_know)
    bounds = {"max_head_bytes": settings.max_header_bytes, "patience_s": settings.slow_client_s}
    return type("BoundedBySettings", (Bounded,), bounds)
