"""The outermost layer: refuses bodies that are too large or no JSON, and counts and times every request."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from bento.asgi import JSON, Observed, is_json
from bento.errors import CODES, error_response
from bento.recommender.runtime import Runtime


def observed(app: FastAPI) -> Observed:
    """The application behind its door, as a service mounts it; ``bind`` it before the first request."""

    def count(method: str, route: str, status: int, seconds: float) -> None:
        metrics = app.state.runtime.metrics
        metrics.requests.labels(route, status).inc()
        metrics.latency.labels(route).observe(seconds)

    return Observed(Door(app), count)


class Door:
    """Lets through what may be read: bodies of JSON that are not too large."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        runtime: Runtime = self.app.state.runtime
        body = _LimitedBody(scope, receive, runtime.settings.max_body_bytes)
        kind = _header(scope, b"content-type", JSON.encode()).decode("latin-1")
        if body.declared_too_large:
            await error_response(413, CODES[413], body.refusal)(scope, receive, send)
        elif scope["method"] == "POST" and not is_json(kind):
            refusal = f"content-type: {kind!r} is not taken; send {JSON}"
            await error_response(415, CODES[415], refusal)(scope, receive, send)
        else:
            await self.app(scope, body.receive, send)


class _LimitedBody:
    """A request body that ends in 413 as soon as it is too large, declared or not."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._taken = 0
        self.refusal = f"the body is larger than {limit} bytes; send less"
        declared = _header(scope, b"content-length", b"0")
        self.declared_too_large = declared.isdigit() and int(declared) > limit

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > self._limit:
            raise HTTPException(413, self.refusal)
        return message


def _header(scope: Scope, wanted: bytes, absent: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), absent)
