"""Traces the requests of a FastAPI application that change something; the recommender's door does so by itself."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.tracing import TRACEPARENT, Tracer

CHANGING = frozenset({"POST", "PUT", "DELETE"})


class Traced:
    """An ASGI application in front of another.

    Args:
        app: what answers; it leaves its route in the scope.
        tracer: asked for at the first request, since tracers are made in the process that serves.
    """

    def __init__(self, app: ASGIApp, tracer: Callable[[], Tracer]) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in CHANGING:
            await self._app(scope, receive, send)
            return
        name = TRACEPARENT.encode()
        traceparent = next((value for header, value in scope["headers"] if header == name), None)
        trace = self._tracer().begin(traceparent)
        if trace is None:
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "") or "none"
            self._tracer().end(trace, scope["method"], route, status)
