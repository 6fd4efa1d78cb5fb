"""The routes of the console's own API, below /api/console: decode, delegate, encode; nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator

from bento import errors
from bento.asgi import JSON
from bento.console import schemas
from bento.console.runtime import Console
from feature_repo.events import EventType, Id, as_utc

MAX_ITEMS = 200
"""Most items of one request."""

UserId = Annotated[Id, Path(description="a user")]
ItemId = Annotated[Id, Path(description="an item")]
Moment = Annotated[datetime, AfterValidator(as_utc)]

public = APIRouter()
"""Of which a visitor's page cannot do without: no key is asked for."""
router = APIRouter()
"""Of people, and of how the system is: in production mode the admin's."""


def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


@router.get("/users", response_model=schemas.UsersAnswer, responses=errors.documented(422, 503))
async def users(
    request: Request, count: Annotated[int, Query(ge=1, le=200, description="how many, at most")] = 24
) -> schemas.UsersAnswer:
    """Real users to look through the eyes of: busy ones and quiet ones, without those whom the page made up."""
    return schemas.UsersAnswer(users=await _console(request).people.users(count))


@public.get("/items", response_model=schemas.ItemsAnswer, responses=errors.documented(422, 503))
async def items(
    request: Request,
    ids: Annotated[str, Query(description=f"item ids, comma separated; at most {MAX_ITEMS}", examples=["1,2,3"])],
) -> schemas.ItemsAnswer:
    """What a card shows of each item: no more than the catalogue and how much it is liked. Needs no key."""
    return schemas.ItemsAnswer(items=await _console(request).people.items(_split(ids)))


@public.get(
    "/users/{user_id}/written", response_model=schemas.WrittenAnswer, responses=errors.documented(422, 429, 503)
)
async def written(
    request: Request,
    *,
    user_id: UserId,
    item_id: Annotated[Id, Query(description="the event's item")],
    event_type: Annotated[EventType, Query(description="the event's type")],
    timestamp: Annotated[Moment, Query(description="the event's time, as it was sent; compared to the millisecond")],
    wait_ms: Annotated[int, Query(ge=0, le=10_000, description="longest wait")] = 3_000,
) -> schemas.WrittenAnswer:
    """Wait until an event has become part of the user's features: answers the moment it has, or when time is over.

    Needs no key: who cannot name an event to the millisecond learns nothing, neither of it nor of the user. 429 when
    very many wait already.
    """
    return await _console(request).arrivals.written(user_id, item_id, event_type, timestamp, wait_ms / 1_000)


@router.get(
    "/inspect/users/{user_id}", response_model=schemas.InspectAnswer, responses=errors.documented(404, 422, 503)
)
async def inspect_user(request: Request, user_id: UserId) -> schemas.InspectAnswer:
    """A user's rows: as Freshet decodes them, and as Feast's SDK reads them."""
    return await _console(request).inspector.user(user_id)


@router.get(
    "/inspect/items/{item_id}", response_model=schemas.InspectAnswer, responses=errors.documented(404, 422, 503)
)
async def inspect_item(request: Request, item_id: ItemId) -> schemas.InspectAnswer:
    """An item's rows: as Freshet decodes them, and as Feast's SDK reads them."""
    return await _console(request).inspector.item(item_id)


@router.get("/vitals", response_model=schemas.VitalsAnswer)
async def vitals(request: Request) -> Response:
    """How the system is and was, from the metrics of its services. Always an answer: what is away leaves gaps."""
    return Response(_console(request).vitals.answer(), media_type=JSON)


@router.get("/models", response_model=schemas.ModelsAnswer, responses=errors.documented(422))
async def models(
    request: Request, count: Annotated[int, Query(ge=1, le=100, description="how many, at most")] = 20
) -> schemas.ModelsAnswer:
    """The versions of the model and what became of each. Always an answer: `trouble` tells when MLflow gives none."""
    return await _console(request).lifecycle.models(count)


@router.get("/drift", response_model=schemas.DriftAnswer, responses=errors.documented(422, 503))
async def drift(
    request: Request, count: Annotated[int, Query(ge=1, le=100, description="how many, at most")] = 10
) -> schemas.DriftAnswer:
    """The newest looks for drift between training and what is served."""
    return schemas.DriftAnswer(reports=await _console(request).lifecycle.drift(count))


def _split(ids: str) -> list[str]:
    found = list(dict.fromkeys(part for part in ids.split(",") if part))
    if not found:
        raise _invalid_ids("give at least one item id")
    if len(found) > MAX_ITEMS:
        raise _invalid_ids(f"{len(found)} items; at most {MAX_ITEMS} at once")
    return found


def _invalid_ids(message: str) -> errors.Invalid:
    return errors.Invalid(f"ids: {message}", [{"field": "ids", "message": message}])
