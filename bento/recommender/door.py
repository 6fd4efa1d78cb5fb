"""The outermost layer: refuses bodies that are too large or no JSON, and counts and times every request."""

from __future__ import annotations

from time import perf_counter

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from bento.errors import CODES, error_response
from bento.recommender.metrics import Metrics
from bento.recommender.runtime import Runtime

JSON = b"application/json"


class Door:
    """An ASGI application around the FastAPI one.

    BentoML mounts it and not the FastAPI application itself, which it would search for the route a second time
    and whose own 404 it would replace by a plain one.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        runtime: Runtime = self.app.state.runtime
        try:
            body = _LimitedBody(scope, receive, runtime.settings.max_body_bytes)
            if body.declared_too_large:
                await error_response(413, CODES[413], body.refusal)(scope, receive, watched)
            elif scope["method"] == "POST" and not _is_json(kind := _header(scope, b"content-type", JSON)):
                refusal = f"content-type: {kind.decode('latin-1')!r} is not taken; send {JSON.decode()}"
                await error_response(415, CODES[415], refusal)(scope, receive, watched)
            else:
                await self.app(scope, body.receive, watched)
        finally:
            _count(runtime.metrics, scope, status, perf_counter() - started)


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


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == JSON or kind.endswith(b"+json")


def _count(metrics: Metrics, scope: Scope, status: int, seconds: float) -> None:
    # Without a route of ours the scope still holds BentoML's mount, whose path is empty.
    name = getattr(scope.get("route"), "path", "") or "none"
    metrics.requests.labels(name, status).inc()
    metrics.latency.labels(name).observe(seconds)
