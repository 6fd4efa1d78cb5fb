"""Errors as the contract words them: ``{"error": {"code", "message", "details"}}``, whatever went wrong.

ApiError
├── BadRequest       400  the body is no JSON
├── Unauthorized     401  the key or token is missing or wrong
├── Forbidden        403  allowed only in another mode, or to others
├── NotFound         404  no such user, item or route
├── Conflict         409  nothing to do it to as things stand
├── TooLarge         413  the body is longer than is taken
├── WrongMediaType   415  the body claims to be something else than JSON
├── Invalid          422  well-formed, but a field is not acceptable; names it
├── TooManyRequests  429  more than this process can answer in time; says when to come back
└── Unavailable      503  something this call cannot do without is away; says when to come back
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)

RETRY_AFTER_S = 1
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    431: "head_too_large",
    500: "internal",
    503: "unavailable",
}


class ErrorDetail(BaseModel):
    """What went wrong: a stable word, a sentence, and whatever helps to mend it."""

    code: str
    message: str
    details: Any = None


class ErrorAnswer(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


class ApiError(Exception):
    """An error with a defined answer."""

    status = 500

    def __init__(self, message: str, details: Any = None, code: str | None = None) -> None:
        super().__init__(message)
        self.details = details
        self.code = code or CODES[self.status]


class BadRequest(ApiError):
    status = 400


class Unauthorized(ApiError):
    status = 401


class Forbidden(ApiError):
    status = 403


class NotFound(ApiError):
    status = 404


class Conflict(ApiError):
    status = 409


class TooLarge(ApiError):
    status = 413


class WrongMediaType(ApiError):
    status = 415


class Invalid(ApiError):
    status = 422


class TooManyRequests(ApiError):
    status = 429


class Unavailable(ApiError):
    status = 503


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route or an app: these statuses answer with an ErrorAnswer."""
    return {status: {"model": ErrorAnswer, "description": CODES[status]} for status in statuses}


def error_response(
    status: int, code: str, message: str, details: Any = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The one shape that every error has."""
    body = orjson.dumps({"error": {"code": code, "message": message, "details": details}}, default=str)
    return Response(body, status, dict(headers or {}), "application/json")


def install(app: FastAPI) -> None:
    """Give every exception that can leave a route its answer."""
    for kind in (ApiError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handler)


def answer_to(error: Exception, path: str) -> Response:
    """The answer that an exception stands for; one that nobody foresaw is logged, with the path, and is 500."""
    if isinstance(error, ApiError):
        headers = {"retry-after": str(RETRY_AFTER_S)} if error.status in (429, 503) else None
        return error_response(error.status, error.code, str(error), error.details, headers)
    if isinstance(error, RequestValidationError):
        return _validation_error(error)
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "error")
        return error_response(error.status_code, code, str(error.detail), headers=error.headers)
    log.error("unexpected error", exc_info=error, extra={"path": path})
    return error_response(500, CODES[500], "an unexpected error; the log has it")


async def _handler(request: Request, error: Exception) -> Response:
    return answer_to(error, request.url.path)


def _validation_error(error: RequestValidationError) -> Response:
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        return error_response(400, CODES[400], f"the body is no JSON: {found[0].get('ctx', {}).get('error', '')}")
    details = [{"field": _field(e["loc"]), "message": e["msg"].removeprefix("Value error, ")} for e in found]
    return error_response(422, CODES[422], "; ".join(f"{d['field']}: {d['message']}" for d in details), details)


def _field(location: tuple[int | str, ...]) -> str:
    # FastAPI puts where the field came from (query, path, body) first.
    return ".".join(map(str, location[1:])) or str(location[0])
