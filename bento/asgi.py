"""What both services wrap round their FastAPI application, and what they ask of a body."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON = "application/json"

Count = Callable[[str, str, int, float], None]
"""Told of every request: method, route, status, seconds."""


class Observed:
    """An ASGI application that counts and times the requests of another.

    BentoML mounts it and not the FastAPI application itself, which it would search for the route a second time
    and whose own 404 it would replace by a plain one.
    """

    def __init__(self, app: ASGIApp, count: Count) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._count(scope["method"], route_of(scope), status, perf_counter() - started)


def route_of(scope: Scope) -> str:
    """The path, with its parameters' names, of the route that answered; "none" without one."""
    # Without a route of ours the scope may still hold BentoML's mount, whose path is empty.
    return getattr(scope.get("route"), "path", "") or "none"


def is_json(content_type: str) -> bool:
    """Whether a content-type header says JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON or kind.endswith("+json")
