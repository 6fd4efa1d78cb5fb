"""The REST of ingest: decode, delegate to the log, encode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from bento import errors
from bento.access.audit import Audit
from bento.access.caller import CALLER, Caller
from bento.access.document import secured
from bento.access.gate import Gate
from bento.asgi import JSON, Observed
from bento.ingest.door import Door, needs
from bento.ingest.erasure import ErasureIntake
from bento.ingest.metrics import IngestMetrics
from bento.ingest.producer import EventLog, Headers, LogError, MessageTooLarge
from bento.ingest.producer import Message as LogMessage
from bento.ingest.schemas import (
    TIMED,
    TIMING_HEADER,
    Accepted,
    BatchAccepted,
    ErasureAccepted,
    Health,
    ItemFields,
    Upserted,
    UserFields,
    body_of,
    document,
)
from feature_repo.erasures import Erasures, Receipt
from feature_repo.events import BadEvent, Event, Id, Item, Message, UserProfile, check_clock, describe, pseudonym
from infra.settings import Settings
from infra.tracing import TRACEPARENT, Tracer, current


class Intake:
    """Takes events, catalogue entries, profiles and erasures into the log.

    Args:
        settings: topics and limits, and who may.
        log: where messages go.
        metrics: what is counted.
        erasures: the receipts of erasures.

    Raises:
        SettingsError: keys, roles or rates cannot be used.
    """

    def __init__(self, settings: Settings, log: EventLog, metrics: IngestMetrics, erasures: Erasures) -> None:
        self.settings = settings
        self.log = log
        self.metrics = metrics
        self.audit = Audit(metrics.admin_acts)
        self.gate = Gate(settings, needs, self.audit)
        self.erasures = ErasureIntake(settings, self._send, erasures)
        self.tracer = Tracer("ingest", settings)

    async def events(self, request: Request) -> Response:
        """Answer POST /events."""
        raw = await self._body(request)
        began = time.perf_counter()
        try:
            if raw.lstrip()[:1] == b"[":
                return await self._array(from_json(raw), began, request)
            event = valid(Event, raw)
        except ValueError as error:
            self._count_rejected(error)
            raise _refusal(error) from None
        self._check_own(request, [event])
        timing = await self._send_events([event], began)
        return _created({"status": "accepted", "event_id": event.event_id}, timing=timing)

    async def upsert(
        self, request: Request, kind: type[Message], id_field: str, entity_id: str, topic: str
    ) -> Response:
        """Answer PUT of an item or a user."""
        raw = await self._body(request)
        try:
            message = valid(kind, _with_id(from_json(raw), id_field, entity_id))
        except ValueError as error:
            self._count_rejected(error)
            raise _refusal(error) from None
        await self._send(topic, [(entity_id, message.encode())], None)
        return _created({"status": "accepted", "id": entity_id}, status=200)

    async def erase(self, request: Request, user_id: str) -> Response:
        """Answer DELETE of a user."""
        whose = pseudonym(user_id)  # the audit log outlives the user
        try:
            erasure = await self.erasures.erase(user_id)
        except errors.ApiError as error:
            self.audit.record(request.scope, "erase", "failed", whose, why=error.code)
            raise
        self.audit.record(request.scope, "erase", "done", whose, erasure_id=erasure.erasure_id)
        return _created({"status": "accepted", "erasure_id": erasure.erasure_id}, status=202)

    async def receipt(self, erasure_id: str) -> Response:
        """Answer GET of an erasure."""
        return _created((await self.erasures.receipt(erasure_id)).model_dump(), status=200)

    async def _array(self, values: list[Any], began: float, request: Request) -> Response:
        if len(values) > self.settings.max_batch_events:
            raise errors.Invalid(f"body: {len(values)} events; at most {self.settings.max_batch_events} at once")
        events, rejected = [], []
        for index, value in enumerate(values):
            try:
                events.append(valid(Event, value))
            except ValueError as error:
                self._count_rejected(error)
                rejected.append({"index": index, "error": _sentence(error)})
        if not events:
            raise errors.Invalid("body: no valid event", rejected)
        self._check_own(request, events)
        timing = await self._send_events(events, began)
        ids = [event.event_id for event in events]
        return _created({"accepted": len(ids), "event_ids": ids, "rejected": rejected}, timing=timing)

    async def _send_events(self, events: Sequence[Event], began: float) -> str:
        """Into the log. Returns what ``TIMING_HEADER`` says of it; ``began``: when their check did (perf_counter)."""
        messages = [(event.user_id, event.encode()) for event in events]
        ids = [event.event_id for event in events]
        checked = time.perf_counter()
        headers: Headers = ()
        if trace := current.get():
            headers = [(TRACEPARENT, trace.traceparent)]
            trace.attributes["event_id"] = ids
            trace.stage("check", checked - began)
        await self._send(self.settings.topic_events, messages, {"event_ids": ids}, headers)
        logged = time.perf_counter()
        if trace:
            trace.stage("log", logged - checked)
        for event in events:
            self.metrics.events.labels(event.event_type).inc()
        return f"check;dur={(checked - began) * 1_000:.2f}, log;dur={(logged - checked) * 1_000:.2f}"

    async def _send(self, topic: str, messages: Sequence[LogMessage], details: Any, headers: Headers = ()) -> None:
        started = time.perf_counter()
        try:
            await self.log.send(topic, messages, headers)
        except MessageTooLarge as error:
            self.metrics.rejected.labels("too_large").inc(len(messages))
            raise errors.TooLarge(f"the log does not take a message of this size: {error}") from None
        except LogError as error:
            self.metrics.rejected.labels("unavailable").inc(len(messages))
            again = "send it again" + (", with the same event_id" if details else "")
            raise errors.Unavailable(f"the log did not acknowledge ({error}); {again}", details) from None
        self.metrics.ack_seconds.observe(time.perf_counter() - started)

    async def _body(self, request: Request) -> bytes:
        try:
            return await request.body()
        except ClientDisconnect:
            self.metrics.rejected.labels("ended").inc()
            raise errors.BadRequest("the body ended before its end") from None

    def _check_own(self, request: Request, events: Sequence[Event]) -> None:
        """Raise errors.Forbidden when a user's token came with another user's events."""
        caller: Caller | None = request.scope.get(CALLER)
        if caller is not None and caller.user_id is not None:
            caller.check_own(event.user_id for event in events)

    def _count_rejected(self, error: ValueError) -> None:
        self.metrics.rejected.labels(_reason(error)).inc()


def valid(kind: type[Message], value: Any) -> Any:
    """A message from JSON text or from decoded JSON; events are checked against this server's clock.

    Raises ValueError: pydantic's ValidationError, or BadEvent.
    """
    message = kind.model_validate_json(value) if isinstance(value, bytes) else kind.model_validate(value)
    if isinstance(message, Event):
        check_clock(message, time.time_ns() // 1_000)
    return message


def _with_id(fields: Any, id_field: str, entity_id: str) -> Any:
    if not isinstance(fields, dict):
        raise BadEvent("schema", "body: must be an object")
    if str(fields.get(id_field, entity_id)) != entity_id:
        raise BadEvent("schema", f"{id_field}: differs from the one in the path")
    return {**fields, id_field: entity_id}


def _refusal(error: ValueError) -> errors.ApiError:
    if _reason(error) == "json":
        return errors.BadRequest(f"the body is no JSON: {_sentence(error)}")
    return errors.Invalid(_sentence(error), _fields(error))


def _fields(error: ValueError) -> list[dict[str, str]]:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False)
        return [{"field": ".".join(map(str, e["loc"])) or "body", "message": e["msg"]} for e in found]
    field, _, message = _sentence(error).partition(": ")
    return [{"field": field, "message": message}]


def _reason(error: ValueError) -> str:
    if isinstance(error, BadEvent):
        return error.reason
    if isinstance(error, ValidationError):
        return "json" if error.errors()[0]["type"] == "json_invalid" else "schema"
    return "json"


def _sentence(error: ValueError) -> str:
    if isinstance(error, BadEvent):
        return error.detail.replace("timestamp is", "timestamp:", 1)
    return describe(error) if isinstance(error, ValidationError) else str(error)


def _created(body: dict[str, Any], status: int = 201, timing: str | None = None) -> Response:
    headers = None if timing is None else {TIMING_HEADER: timing}
    return Response(orjson.dumps(body), status, headers, JSON)


def build_app() -> FastAPI:
    """The FastAPI app; its ``state.intake`` must hold an Intake before the first request."""
    app = FastAPI(
        title="Freshet ingest",
        version="1",
        description="Events, catalogue entries, profiles and erasures, into the log.",
        responses=errors.documented(404, 405, 431, 500),
    )
    errors.install(app)
    writing = errors.documented(400, 413, 415, 422, 503)

    @app.post("/events", status_code=201, responses=writing | TIMED, response_model=Accepted | BatchAccepted,
              openapi_extra=body_of(Event, array_of=Event, max_items=1000))  # fmt: skip
    async def post_events(request: Request) -> Response:
        """Take one event, or an array of up to 1,000. 201 means that the broker has acknowledged."""
        return await _intake(request).events(request)

    @app.put("/items/{item_id}", responses=writing, response_model=Upserted, openapi_extra=body_of(ItemFields))
    async def put_item(request: Request, item_id: str) -> Response:
        """Create or replace a catalogue entry."""
        intake = _intake(request)
        return await intake.upsert(request, Item, "item_id", item_id, intake.settings.topic_catalog)

    @app.put("/users/{user_id}", responses=writing, response_model=Upserted, openapi_extra=body_of(UserFields))
    async def put_user(request: Request, user_id: str) -> Response:
        """Create or replace a profile."""
        intake = _intake(request)
        return await intake.upsert(request, UserProfile, "user_id", user_id, intake.settings.topic_profiles)

    @app.delete("/users/{user_id}", status_code=202, responses=errors.documented(422, 503),
                response_model=ErasureAccepted)  # fmt: skip
    async def delete_user(request: Request, user_id: Annotated[Id, Path()]) -> Response:
        """Forget a user everywhere. 202 means that it is bound to happen; the receipt tells how far it has come."""
        return await _intake(request).erase(request, user_id)

    @app.get("/erasures/{erasure_id}", responses=errors.documented(404, 422, 503), response_model=Receipt)
    async def get_erasure(request: Request, erasure_id: Annotated[Id, Path()]) -> Response:
        """The receipt of an erasure: each store, and when it was seen to hold nothing of the user."""
        return await _intake(request).receipt(erasure_id)

    @app.get("/health", response_model=Health)
    async def health() -> Response:
        """Whether the process lives."""
        return _created({"status": "ok"}, status=200)

    @app.get("/ready", response_model=Health, responses=errors.documented(503))
    async def ready(request: Request) -> Response:
        """Whether events can be taken: the log is connected."""
        if not _intake(request).log.connected:
            raise errors.Unavailable("no connection to the log; see KAFKA_BOOTSTRAP_SERVERS")
        return _created({"status": "ready"}, status=200)

    @app.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus metrics of this worker."""
        return Response(generate_latest(_intake(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.openapi = lambda: secured(document(app), needs)  # type: ignore[method-assign]
    return app


def observed(app: FastAPI) -> Observed:
    """The app as it is mounted: every request counted."""

    def count(method: str, route: str, status: int, _seconds: float) -> None:
        app.state.intake.metrics.requests.labels(method, route, status).inc()

    return Observed(Door(app, lambda: app.state.intake), count)


def _intake(request: Request) -> Intake:
    intake: Intake = request.app.state.intake
    return intake
