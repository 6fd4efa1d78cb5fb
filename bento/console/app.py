"""The console's own API, and the whole origin round it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from bento import errors
from bento.asgi import Observed
from bento.console import api, operation
from bento.console.headers import Secured
from bento.console.operation import Outside
from bento.console.origin import API, Origin
from bento.console.runtime import Console
from bento.console.static import Page
from infra.pages import DIST
from infra.settings import Settings


def build_api() -> FastAPI:
    """The console's own API; ``state`` must hold an Outside and a Console before the first request."""
    app = FastAPI(
        title="Freshet console",
        version="1",
        summary="what the page shows beside the services' own answers",
        servers=[{"url": API}],
        docs_url=None,
        redoc_url=None,
        responses=errors.documented(404, 405, 500),
        lifespan=_open,
    )
    errors.install(app)
    app.include_router(operation.router)
    app.include_router(api.public)
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
    bind(api_app, settings)
    return around(api_app, page)


def bind(api_app: FastAPI, settings: Settings) -> None:
    """Give the API what it answers from."""
    api_app.state.outside = Outside(settings)
    api_app.state.console = Console(settings, api_app.state.outside.metrics.life)


def around(api_app: FastAPI, page: Path = DIST) -> ASGIApp:
    """The origin round an API that has what it answers from."""
    outside: Outside = api_app.state.outside
    return Observed(Secured(Origin(api_app, outside, Page(page))), outside.metrics.count)
