"""The console's origin: the page, its own API, and the two services' behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from bento import errors
from bento.asgi import Observed
from bento.console import api, operation
from bento.console.headers import Secured
from bento.console.operation import Outside
from bento.console.runtime import Console
from bento.console.static import Page
from infra.pages import DIST
from infra.settings import Settings

API = "/api/console"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURS = frozenset({b"same-origin", b"none"})


def build_api() -> FastAPI:
    """The console's own API; ``state`` must hold an Outside and a Console before the first request."""
    app = FastAPI(
        title="Freshet console",
        version="1",
        summary="what the page shows beside the services' own answers",
        root_path=API,
        root_path_in_servers=False,
        servers=[{"url": API}],
        docs_url=None,
        redoc_url=None,
        responses=errors.documented(404, 405, 500),
        lifespan=_open,
    )
    errors.install(app)
    app.include_router(operation.router)
    app.include_router(api.router, dependencies=[Depends(operation.may_read)], responses=errors.documented(401, 403))
    return app


@asynccontextmanager
async def _open(app: FastAPI) -> AsyncIterator[None]:
    outside: Outside = app.state.outside
    console: Console = app.state.console
    await outside.gateway.start()
    await console.start()
    try:
        yield
    finally:
        await console.close()
        await outside.gateway.close()


def create_app(settings: Settings, page: Path = DIST) -> ASGIApp:
    """The whole origin as an ASGI application.

    Args:
        settings: where the services are, and who may.
        page: folder of the built page.
    """
    api_app = build_api()
    api_app.state.outside = Outside(settings)
    api_app.state.console = Console(settings)
    origin = _Origin(api_app, api_app.state.outside, Page(page))
    return Observed(Secured(origin), api_app.state.outside.metrics.count)


class _Route:
    """What is counted of a request that no route of FastAPI answers."""

    def __init__(self, path: str) -> None:
        self.path = path


class _Origin:
    """Brings a request to the page, to our own API, or to the service behind its path."""

    def __init__(self, api_app: FastAPI, outside: Outside, page: Page) -> None:
        self._api = api_app
        self._gateway = outside.gateway
        self._page = page
        self._prefixes = {f"/api/{name}/".encode(): name for name in outside.gateway.services}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if path != b"/api" and not path.startswith(b"/api/"):
            scope["route"] = _Route("page")
            await self._page(scope, receive, send)
        elif _is_foreign(scope):
            message = "another site's page sent this; only this one may change anything"
            await errors.error_response(403, "cross_site", message)(scope, receive, send)
        elif path.startswith(API.encode() + b"/"):
            await self._api(scope, receive, send)
        else:
            await self._pass_on(path, scope, receive, send)

    async def _pass_on(self, path: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        for prefix, service in self._prefixes.items():
            if path.startswith(prefix):
                scope["route"] = _Route(f"/api/{service}")
                await self._gateway.pass_on(service, path[len(prefix) - 1 :], scope, receive, send)
                return
        message = "no such route; there are /api/console, /api/ingest and /api/recommender"
        await errors.error_response(404, errors.CODES[404], message)(scope, receive, send)


def _is_foreign(scope: Scope) -> bool:
    """Whether a browser says that another site wants to change something: a form there needs nobody's leave."""
    if scope["method"] in SAFE:
        return False
    return any(name == b"sec-fetch-site" and value not in OURS for name, value in scope["headers"])
