"""The outermost layer: who is let in, the shortest way to the route, and what is counted, timed and traced.

A request passes here, and only here, before its route: BentoML's own application and FastAPI's, each of them a dozen
calls deep, see only what has no direct route here (see ``direct.py``).
"""

from __future__ import annotations

from time import perf_counter

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento.asgi import JSON, is_json
from bento.errors import CODES, TooManyRequests, answer_to, error_response
from bento.recommender.direct import Direct, DirectRoute, direct_answer
from bento.recommender.runtime import Runtime

NEVER_REFUSED = frozenset({"/health", "/ready", "/metrics", "/model/rollback", "/model/promote"})
"""A model that is too slow must not keep out whoever rolls it back."""
BENTOML = frozenset({"/livez", "/healthz", "/readyz", "/schema.json"})
"""Paths that BentoML answers itself."""
CLOSE = (b"connection", b"close")
OVERLOADED = "more requests are under way than are answered in time; come back after Retry-After"


def observed(app: FastAPI) -> Door:
    """The application behind its door; ``bind`` it before the first request."""
    return Door(app)


class Front:
    """The door, with BentoML's application behind it for what that answers itself, and for its start and end."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._bentoml = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"] not in BENTOML
        await (self._door if ours else self._bentoml)(scope, receive, send)


class Door:
    """Lets in what can be answered in time and may be read, and brings it to its route."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._direct: dict[tuple[str, str], Direct] = {
            (method, route.path): direct
            for route in app.routes
            if isinstance(route, DirectRoute) and (direct := direct_answer(route)) is not None
            for method in route.methods or ()
        }
        self._direct_paths = {path for _, path in self._direct}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        runtime: Runtime = self._app.state.runtime
        visit = _Visit(scope, receive, send, runtime)
        trace = runtime.tracer.begin(visit.traceparent)
        try:
            await self._admit(visit, runtime)
        finally:
            route = self._route(scope)
            runtime.metrics.count(route, visit.status, perf_counter() - started)
            if trace is not None:
                runtime.tracer.end(trace, scope["method"], route, visit.status)

    async def _admit(self, visit: _Visit, runtime: Runtime) -> None:
        if visit.path in NEVER_REFUSED:
            await self._answer(visit)
        elif await runtime.load.enter():
            try:
                await self._answer(visit)
            finally:
                runtime.load.leave()
        else:
            await visit.respond(answer_to(TooManyRequests(OVERLOADED), visit.path))

    async def _answer(self, visit: _Visit) -> None:
        if (refusal := visit.refusal()) is not None:
            await visit.respond(refusal)
            return
        direct = self._direct.get((visit.scope["method"], visit.path))
        if direct is None:
            await self._app(visit.scope, visit.receive, visit.send)
            return
        try:
            response = await direct(visit.scope, visit.receive)
        except Exception as error:
            response = answer_to(error, visit.path)
        await visit.respond(response)

    def _route(self, scope: Scope) -> str:
        if scope["path"] in self._direct_paths:
            return str(scope["path"])
        # Without a route the scope holds none, or BentoML's mount, whose path is empty.
        return getattr(scope.get("route"), "path", "") or "none"


class _Visit:
    """One request on its way: what its headers say, how much of its body was read, what it was answered."""

    __slots__ = ("_closing", "_limit", "_receive", "_send", "_taken", "_type", "path", "scope", "status", "traceparent")

    def __init__(self, scope: Scope, receive: Receive, send: Send, runtime: Runtime) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.status = 500
        self.traceparent: bytes | None = None
        self._receive = receive
        self._send = send
        self._closing = runtime.drain.begun
        self._limit = runtime.settings.max_body_bytes
        self._taken = 0
        self._type = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                self._type = value
            elif name == b"content-length" and value.isdigit():
                self._taken = int(value)
            elif name == b"traceparent":
                self.traceparent = value

    def refusal(self) -> Response | None:
        """The answer to a body that is not read at all."""
        if self._taken > self._limit:
            return error_response(413, CODES[413], self._too_large())
        self._taken = 0
        kind = self._type.decode("latin-1")
        if kind and self.scope["method"] == "POST" and not is_json(kind):
            return error_response(415, CODES[415], f"content-type: {kind!r} is not taken; send {JSON}")
        return None

    async def receive(self) -> Message:
        """The next part of the body, which ends in 413 as soon as it is too large, declared or not."""
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > self._limit:
            raise HTTPException(413, self._too_large())
        return message

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._closing:
                message["headers"] = [*message.get("headers", ()), CLOSE]
        await self._send(message)

    async def respond(self, response: Response) -> None:
        """Answer."""
        await response(self.scope, self._receive, self.send)

    def _too_large(self) -> str:
        return f"the body is larger than {self._limit} bytes; send less"
