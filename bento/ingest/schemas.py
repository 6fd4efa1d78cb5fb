"""What ingest takes and gives, for its OpenAPI document; the messages themselves are feature_repo.events."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, create_model
from pydantic.json_schema import models_json_schema

from feature_repo.events import Event, Item, Message, UserProfile

TIMING_HEADER = "Server-Timing"
TIMED: dict[int | str, dict[str, Any]] = {
    201: {
        "headers": {
            TIMING_HEADER: {
                "description": "milliseconds of each part, as W3C Server Timing writes them: `check`, the validation; "
                "`log`, from sending to the broker's acknowledgement",
                "schema": {"type": "string", "examples": ["check;dur=0.21, log;dur=1.93"]},
            }
        }
    }
}
"""``responses=`` of a route whose success says how long it took."""


class Accepted(BaseModel):
    """One event is in the log."""

    status: Literal["accepted"] = "accepted"
    event_id: str


class Rejected(BaseModel):
    """An event of an array that was not taken, by its place in the array."""

    index: int
    error: str


class BatchAccepted(BaseModel):
    """The valid events of an array are in the log."""

    accepted: int
    event_ids: list[str]
    rejected: list[Rejected]


class Upserted(BaseModel):
    """The catalogue entry or profile is in the log."""

    status: Literal["accepted"] = "accepted"
    id: str


class ErasureAccepted(BaseModel):
    """The user will be forgotten; GET /erasures/{erasure_id} tells how far it has come."""

    status: Literal["accepted"] = "accepted"
    erasure_id: str


class Health(BaseModel):
    """Whether the service lives or is ready."""

    status: str


def _without_id(model: type[Message], name: str, id_field: str) -> type[BaseModel]:
    fields: Any = {n: (f.annotation, f) for n, f in model.model_fields.items() if n != id_field}
    return create_model(name, __doc__=model.__doc__, **fields)


ItemFields = _without_id(Item, "ItemFields", "item_id")
UserFields = _without_id(UserProfile, "UserFields", "user_id")
BODIES: tuple[type[BaseModel], ...] = (Event, ItemFields, UserFields)


def body_of(*models: type[BaseModel], array_of: type[BaseModel] | None = None, max_items: int = 0) -> dict[str, Any]:
    """``openapi_extra`` of a route that reads its body itself."""
    schemas: list[dict[str, Any]] = [_reference(model) for model in models]
    if array_of is not None:
        schemas.append({"type": "array", "items": _reference(array_of), "minItems": 1, "maxItems": max_items})
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the app, with the schemas of the bodies that the routes read themselves."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, definitions = models_json_schema(
            [(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}"
        )
        found["components"]["schemas"].update(definitions["$defs"])
        app.openapi_schema = found
    return app.openapi_schema


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
