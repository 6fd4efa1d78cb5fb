"""Routes of the console that need no key: what the page must know first, and how the process is."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from fastapi.security import APIKeyHeader
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from bento import errors
from bento.console.gateway import Gateway
from bento.console.links import Link, Links
from bento.console.metrics import ConsoleMetrics
from bento.keys import Lock, check_key, lock
from feature_repo.events import EVENT_TYPES
from feature_repo.state import HALF_LIVES
from infra.settings import Settings

Key = Annotated[str | None, Security(APIKeyHeader(name="X-Api-Key", auto_error=False, description="FRESHET_ADMIN_KEY"))]

router = APIRouter()


class ConfigAnswer(BaseModel):
    """What the page must know before it asks for anything else."""

    mode: Literal["local", "production"]
    event_types: list[str] = Field(description="what a user can do to an item")
    half_lives_s: dict[str, float] = Field(description="name in features -> seconds after which a count has halved")
    max_k: int = Field(description="longest list of one request")
    key: Lock = Field(description="open: no key is asked for; needed: FRESHET_ADMIN_KEY; closed: nobody may, until set")
    may_administer: bool = Field(description="whether this request's X-Api-Key, or none, may promote and roll back")
    links: list[Link] = Field(
        description="pages of MLflow, Prefect, Feast and Grafana; in production mode none without the key"
    )


class Health(BaseModel):
    """How the process is."""

    status: str


class Outside:
    """What these routes answer from.

    Args:
        settings: of the page.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = ConsoleMetrics()
        self.gateway = Gateway(settings, self.metrics)
        self.links = Links(settings)


def _outside(request: Request) -> Outside:
    outside: Outside = request.app.state.outside
    return outside


def may_read(request: Request, key: Key) -> None:
    """Let pass who may see the console's data: anybody in local mode, in production the admin.

    Raises:
        Unauthorized: the key is not the setting's.
        Forbidden: there is no key.
    """
    settings = _outside(request).settings
    if settings.mode != "local":
        check_key(settings, key, "look at the console's data")


@router.get("/config", response_model=ConfigAnswer)
async def config(request: Request, key: Key) -> ConfigAnswer:
    """What the page must know before it asks for anything else."""
    outside = _outside(request)
    may_administer = _may_administer(outside.settings, key)
    return ConfigAnswer(
        mode=outside.settings.mode,
        event_types=list(EVENT_TYPES),
        half_lives_s=HALF_LIVES,
        max_k=outside.settings.max_k,
        key=lock(outside.settings),
        may_administer=may_administer,
        links=await outside.links.all() if may_administer or outside.settings.mode == "local" else [],
    )


def _may_administer(settings: Settings, key: str | None) -> bool:
    try:
        check_key(settings, key, "change the model")
    except errors.ApiError:
        return False
    return True


@router.get("/health", response_model=Health)
async def health() -> Health:
    """Whether the process lives."""
    return Health(status="ok")


@router.get("/ready", response_model=Health, responses=errors.documented(503))
async def ready(request: Request) -> Response | Health:
    """Whether both services can be reached."""
    gateway = _outside(request).gateway
    names = list(gateway.services)
    reached = await asyncio.gather(*(gateway.reaches(name) for name in names))
    away = [name for name, there in zip(names, reached, strict=True) if not there]
    if away:
        message = f"{' and '.join(away)} cannot be reached"
        return errors.error_response(503, "not_ready", message, away, {"retry-after": str(errors.RETRY_AFTER_S)})
    return Health(status="ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Prometheus metrics of the console itself."""
    return Response(generate_latest(_outside(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
