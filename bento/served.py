"""How ``bentoml serve`` runs a service of ours: our own layer first, on connections with bounds."""

from __future__ import annotations

import logging
import os
from typing import Any

import bentoml
import psutil
import uvicorn.config
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.access.connection import bounded
from infra.settings import load_settings

log = logging.getLogger(__name__)

BENTOML = frozenset({"/livez", "/healthz", "/readyz", "/schema.json"})
"""Paths that BentoML answers itself."""


class Front:
    """The service's own layer, with BentoML's application behind it for what that answers itself, its start and end."""

    def __init__(self, app: ASGIApp, door: ASGIApp) -> None:
        self._bentoml = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"] not in BENTOML
        await (self._door if ours else self._bentoml)(scope, receive, send)


def behind(door: ASGIApp) -> type[bentoml.Service]:
    """The class of a service whose requests meet its own layer before anything of BentoML's: ``service_class=``.

    BentoML's own layers cost three times what a door does, and one of them, the time-out, keeps something of every
    request for a minute; nothing can switch them off. What BentoML answers itself goes on to them.
    """

    class BehindTheDoor(bentoml.Service):
        def to_asgi(self, is_main: bool = True) -> ASGIApp:
            """The application that ``bentoml serve`` runs."""
            # Its worker makes uvicorn's configuration right after this, without a word on the protocol, and nothing
            # of BentoML's reaches that option. So uvicorn's own table of names says what stands for "auto" here.
            protocols: dict[str, Any] = uvicorn.config.HTTP_PROTOCOLS
            protocols["auto"] = bounded(load_settings())
            return Front(super().to_asgi(is_main), door)

    return BehindTheDoor


def refuse_to_start(error: Exception, service: str) -> None:
    """End this worker, and the supervisor with it. Call it while the service is made."""
    log.critical("%s does not start: %s", service, error)
    # BentoML starts a worker that ends anew, for ever: end its supervisor too.
    parent = psutil.Process(os.getppid())
    if any("bentoml" in part for part in parent.cmdline()):
        parent.terminate()
    raise SystemExit(3)
