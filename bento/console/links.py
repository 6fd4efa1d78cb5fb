"""Where the pages of MLflow, Prefect, Feast and Grafana are, and whether they answer."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, Field

from infra.settings import Settings

WITHIN_S = 1.0
KEPT_S = 10.0


class Link(BaseModel):
    """A page of another program, and whether it answers."""

    name: str
    url: str | None = Field(description="null: there is none")
    up: bool = Field(description="whether it answered a GET within a second, some ten seconds ago at most")
    hint: str = Field(description="how to get it when it is not up")


class Place(NamedTuple):
    """A page: its address, None where there is none, and what to do when it does not answer."""

    name: str
    url: str | None
    hint: str


def places(settings: Settings) -> list[Place]:
    """The pages that these settings speak of; addresses without what lets somebody in."""
    return [place._replace(url=bare(place.url)) for place in _places(settings)]


def _places(settings: Settings) -> list[Place]:
    ours = "make up serves it a while after its start, unless FRESHET_UIS=false"
    return [
        Place("MLflow", _mlflow(settings), f"{ours}; elsewhere set FRESHET_MLFLOW_UI_URL"),
        Place(
            "Prefect",
            settings.prefect_ui_url or settings.prefect_api_url.rstrip("/").removesuffix("/api"),
            "make up starts its server; elsewhere set FRESHET_PREFECT_UI_URL",
        ),
        Place(
            "Feast",
            settings.feast_ui_url or _embedded(settings, settings.feast_ui_port),
            f"{ours}; by hand: feast -c feature_repo ui; elsewhere set FRESHET_FEAST_UI_URL",
        ),
        Place("Grafana", settings.grafana_url or None, "set FRESHET_GRAFANA_URL to where it runs"),
    ]


def bare(url: str | None) -> str | None:
    """A URL without a user's name and password, which a tracking server's may hold."""
    if not url or "@" not in url:
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _mlflow(settings: Settings) -> str | None:
    if settings.mlflow_ui_url or settings.mlflow_tracking_uri.startswith("http"):
        return settings.mlflow_ui_url or settings.mlflow_tracking_uri
    return _embedded(settings, settings.mlflow_port) if settings.is_embedded("mlflow_tracking_uri") else None


def _embedded(settings: Settings, port: int) -> str | None:
    return f"http://{settings.host}:{port}" if settings.mode == "local" and settings.uis else None


class Links:
    """The pages with whether they answer, each asked at most every KEPT_S."""

    def __init__(self, settings: Settings) -> None:
        self._places = places(settings)
        self._asking = asyncio.Lock()
        self._found: list[Link] = []
        self._until = 0.0

    async def all(self) -> list[Link]:
        """Every page. Asks within WITHIN_S; raises nothing: a page that does not answer is not up."""
        async with self._asking:
            if monotonic() >= self._until:
                timeout = aiohttp.ClientTimeout(total=WITHIN_S)
                async with aiohttp.ClientSession(timeout=timeout) as session:
                    up = await asyncio.gather(*(_answers(session, place.url) for place in self._places))
                self._found = [
                    Link(name=place.name, url=place.url, up=each, hint=place.hint)
                    for place, each in zip(self._places, up, strict=True)
                ]
                self._until = monotonic() + KEPT_S
            return self._found


async def _answers(session: aiohttp.ClientSession, url: str | None) -> bool:
    if not url:
        return False
    try:
        async with session.get(url) as answer:
            return answer.status < 400
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False
