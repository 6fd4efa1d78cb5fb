"""Ingest's outermost layer: who is let in, and with which bodies, before anything else is done; and the trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from bento.access.cors import across
from bento.access.gate import Needs
from bento.access.visit import Visit
from bento.asgi import route_of

if TYPE_CHECKING:
    from bento.ingest.app import Intake

ERASURES = "/erasures/"
CHANGING = frozenset({"POST", "PUT", "DELETE"})


def needs(method: str, path: str) -> Needs:
    """What a request must come with. A user sends his own acts; that they are his, their check finds out."""
    if method == "DELETE":
        return Needs("admin", "erase")
    if path.startswith(ERASURES):
        return Needs("admin", "receipt")
    return Needs("ingest", by_token=(method, path) == ("POST", "/events"))


class Door:
    """Lets in who may.

    Args:
        app: what answers.
        intake: asked for at the first request, since it is made in the process that serves.
    """

    def __init__(self, app: ASGIApp, intake: Callable[[], Intake]) -> None:
        self._app = app
        self._intake = intake
        self._across: ASGIApp | None = None
        self._bound = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._bound:
            self._across, self._bound = across(self._admit, self._intake().settings), True
        await (self._across or self._admit)(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        intake = self._intake()
        visit = Visit(scope, receive, send, intake.settings)
        refusal = None
        if intake.gate.active:
            refusal = await intake.gate.refusal(scope, visit.key, visit.authorization)
        if refusal is None:
            refusal = visit.refusal()
        if refusal is None:
            await self._answer(visit, intake)
        else:
            await visit.respond(refusal)
        if visit.refused:
            intake.metrics.rejected.labels(visit.refused).inc()

    async def _answer(self, visit: Visit, intake: Intake) -> None:
        """Have the application answer; what changes something is traced, probes and scrapes are not."""
        scope = visit.scope
        trace = intake.tracer.begin(visit.traceparent) if scope["method"] in CHANGING else None
        try:
            await self._app(scope, visit.receive, visit.send)
        finally:
            if trace is not None:
                intake.tracer.end(trace, scope["method"], route_of(scope), visit.status)
