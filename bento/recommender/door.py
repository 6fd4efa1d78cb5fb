"""The outermost layer: who is let in, the shortest way to the route, and what is counted, timed and traced.

A request passes here, and only here, before its route: BentoML's own application and FastAPI's, each of them a dozen
calls deep, see only what has no direct route here (see ``direct.py``).
"""

from __future__ import annotations

from time import perf_counter

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.access.cors import across
from bento.access.visit import WITH_BODY, Visit
from bento.asgi import route_of
from bento.errors import TooManyRequests, answer_to
from bento.recommender.direct import Direct, DirectRoute, direct_answer
from bento.recommender.runtime import Runtime

NEVER_REFUSED = frozenset({"/health", "/ready", "/metrics", "/model/rollback", "/model/promote"})
"""A model that is too slow must not keep out whoever rolls it back."""
OVERLOADED = "more requests are under way than are answered in time; come back after Retry-After"


def observed(app: FastAPI) -> Door:
    """The application behind its door; ``bind`` it before the first request."""
    return Door(app)


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
        self._across: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        runtime: Runtime = self._app.state.runtime
        if runtime.settings.cors_origins:
            self._across = self._across or across(self._visit, runtime.settings)
        await (self._across or self._visit)(scope, receive, send)

    async def _visit(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        runtime: Runtime = self._app.state.runtime
        visit = Visit(scope, receive, send, runtime.settings, closing=runtime.drain.begun)
        trace = runtime.tracer.begin(visit.traceparent)
        try:
            await self._admit(visit, runtime)
        finally:
            route = self._route(scope)
            runtime.metrics.count(route, visit.status, perf_counter() - started)
            if trace is not None:
                runtime.tracer.end(trace, scope["method"], route, visit.status)

    async def _admit(self, visit: Visit, runtime: Runtime) -> None:
        if runtime.gate.active:
            refusal = await runtime.gate.refusal(visit.scope, visit.key, visit.authorization)
            if refusal is not None:
                await visit.respond(refusal)
                return
        if (unfit := await _unfit(visit)) is not None:
            await visit.respond(unfit)
        elif visit.path in NEVER_REFUSED:
            await self._answer(visit)
        elif await runtime.load.enter():
            try:
                await self._answer(visit)
            finally:
                runtime.load.leave()
        else:
            await visit.respond(answer_to(TooManyRequests(OVERLOADED), visit.path))

    async def _answer(self, visit: Visit) -> None:
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
        return route_of(scope)


async def _unfit(visit: Visit) -> Response | None:
    """The answer to a body that is not taken. A place among those under way is only for who has sent all of his."""
    if (refusal := visit.refusal()) is not None or visit.scope["method"] not in WITH_BODY:
        return refusal
    try:
        await visit.take()
    except HTTPException as error:
        return answer_to(error, visit.path)
    return None
