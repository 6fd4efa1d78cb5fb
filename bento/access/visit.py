"""One request on its way through the outermost layer: what its headers say, how much of its body came and how fast."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from bento.asgi import JSON, is_json
from bento.errors import CODES, error_response
from infra.settings import Settings

CLOSE = (b"connection", b"close")
WITH_BODY = frozenset({"POST", "PUT"})
LATE = 408


class Visit:
    """A request with its bounds.

    Args:
        settings: max_body_bytes, slow_client_s.
        closing: whether the connection ends with the answer.

    Attributes:
        status: of the answer, once it has begun.
        refused: why its body was not taken: too_large, media_type, late; empty: it was.
    """

    __slots__ = (
        *("_closing", "_deadline", "_kept", "_limit", "_patience_s", "_receive", "_send", "_taken", "_type", "_whole"),
        *("authorization", "key", "path", "refused", "scope", "status", "traceparent"),
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: Settings, closing: bool = False) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.status = 500
        self.refused = ""
        self.traceparent: bytes | None = None
        self.key = self.authorization = b""
        self._receive = receive
        self._send = send
        self._closing = closing
        self._limit = settings.max_body_bytes
        self._patience_s = settings.slow_client_s
        self._deadline: float | None = None
        self._whole = False
        self._kept: Message | None = None
        self._taken = 0
        self._type = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                self._type = value
            elif name == b"content-length" and value.isdigit():
                self._taken = int(value)
            elif name == b"traceparent":
                self.traceparent = value
            elif name == b"x-api-key":
                self.key = value
            elif name == b"authorization":
                self.authorization = value

    def refusal(self) -> Response | None:
        """The answer to a body that is not read at all."""
        if self._taken > self._limit:
            self.refused = "too_large"
            return error_response(413, CODES[413], self._too_large())
        self._taken = 0
        if self._type and self.scope["method"] in WITH_BODY:
            kind = self._type.decode("latin-1")
            if not is_json(kind):
                self.refused = "media_type"
                return error_response(415, CODES[415], f"content-type: {kind!r} is not taken; send {JSON}")
        return None

    async def receive(self) -> Message:
        """The next part of the body. Raises HTTPException 413 once it is too large, 408 when it is not there in time.

        The time is that of the whole body: who sends a byte now and then must not keep the place of others.
        """
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        if self._whole:
            return await self._receive()
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._patience_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.refused = "late"
            raise HTTPException(LATE, f"the body did not come within {self._patience_s:g} s") from None
        self._whole = not message.get("more_body", False)
        self._taken += len(message.get("body", b""))
        if self._taken > self._limit:
            self.refused = "too_large"
            raise HTTPException(413, self._too_large())
        return message

    async def take(self) -> None:
        """Wait for the whole body, which ``receive`` then gives at once. Raises as ``receive`` does."""
        parts: list[bytes] = []
        while not self._whole:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self._kept = message
                return
            parts.append(message.get("body", b""))
        self._kept = {"type": "http.request", "body": b"".join(parts), "more_body": False}

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._closing or self.status == LATE:
                message["headers"] = [*message.get("headers", ()), CLOSE]
        await self._send(message)

    async def respond(self, response: Response) -> None:
        """Answer."""
        await response(self.scope, self._receive, self.send)

    def _too_large(self) -> str:
        return f"the body is longer than {self._limit} bytes (FRESHET_MAX_BODY_BYTES); send less"
