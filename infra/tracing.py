"""Sampled traces: a request with its stages, and an event on its way through the dataflow, as OpenTelemetry spans.

Spans go to an OpenTelemetry collector (FRESHET_OTLP_ENDPOINT) or, each with those below it, to this process's log as
one line. What is traced is chosen before anything of OpenTelemetry is touched, so that all the rest costs next to
nothing: a ``traceparent``'s flag decides where there is one (https://www.w3.org/TR/trace-context), chance where there
is none. Between processes a trace travels as that text: in the header of a request, and of a message of the log.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from infra.settings import Settings
from infra.telemetry import trace_id

log = logging.getLogger(__name__)

TRACEPARENT = "traceparent"
"""Header of requests and of messages of the log."""

Attributes = Mapping[str, str | int | Sequence[str]]

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SERVER_ERROR = 500
_ROOTS = (SpanKind.SERVER, SpanKind.CONSUMER)


class Trace:
    """One traced request, while it is answered."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.attributes: dict[str, str | int | Sequence[str]] = {}
        self.stages: list[tuple[str, int, int]] = []

    def stage(self, name: str, seconds: float) -> None:
        """A stage ended now, having taken this long."""
        ended_ns = time.time_ns()
        self.stages.append((name, ended_ns - int(seconds * 1e9), ended_ns))

    @property
    def traceparent(self) -> bytes:
        """What goes with a message that this request causes."""
        context = self.span.get_span_context()
        return b"00-%032x-%016x-01" % (context.trace_id, context.span_id)


current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the request that is being answered; None where it has none."""


class Tracer:
    """Chooses what is traced and makes spans of it.

    Args:
        service: the resource's ``service.name``.
        settings: trace_share, otlp_endpoint.
    """

    def __init__(self, service: str, settings: Settings) -> None:
        self._share = settings.trace_share
        provider = TracerProvider(ALWAYS_ON, Resource.create({"service.name": service}), shutdown_on_exit=False)
        self._processor = _processor(settings)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer(__name__)

    def begin(self, traceparent: bytes | None) -> Trace | None:
        """A request's trace, when it is to be traced; ``current`` holds it from now on."""
        parent = None
        if traceparent is None:
            if random.random() >= self._share:
                return None
        elif (parent := sampled(traceparent)) is None:
            return None
        trace = Trace(self._tracer.start_span("request", _below(parent), SpanKind.SERVER))
        current.set(trace)
        trace_id.set(f"{trace.span.get_span_context().trace_id:032x}")
        return trace

    def end(self, trace: Trace, method: str, route: str, status: int) -> None:
        """The request is answered: its spans are sent on."""
        root = trace.span
        root.update_name(f"{method} {route}")
        root.set_attributes(trace.attributes)
        root.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        if status >= _SERVER_ERROR:
            root.set_status(Status(StatusCode.ERROR))
        self._finish(root, trace.stages, time.time_ns())

    def message(
        self, name: str, traceparent: bytes, stages: Sequence[tuple[str, int, int]], attributes: Attributes
    ) -> None:
        """A message of the log has had its effect.

        Args:
            name: of the effect.
            traceparent: the message's.
            stages: name, begin and end (nanoseconds since the epoch), in order; together the effect's own time.
            attributes: of the effect.
        """
        (_, began_ns, _), (_, _, ended_ns) = stages[0], stages[-1]
        root = self._tracer.start_span(
            name, _below(sampled(traceparent)), SpanKind.CONSUMER, dict(attributes), start_time=began_ns
        )
        self._finish(root, stages, ended_ns)

    def close(self) -> None:
        """Send what waits, for at most two seconds."""
        self._processor.force_flush(2_000)

    def _finish(self, root: Span, stages: Sequence[tuple[str, int, int]], ended_ns: int) -> None:
        below = set_span_in_context(root)
        for name, began_ns, stage_ended_ns in stages:
            self._tracer.start_span(name, below, start_time=began_ns).end(stage_ended_ns)
        root.end(ended_ns)


def sampled(traceparent: bytes) -> SpanContext | None:
    """Where a ``traceparent`` says that its sender traces; None: it does not, or this is no traceparent."""
    found = _TRACEPARENT.match(traceparent)
    if found is None:
        return None
    number, span_id, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(number, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid and context.trace_flags.sampled else None


def _below(parent: SpanContext | None) -> Context:
    # An empty context where there is no parent: another library's current span is not ours.
    return Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())


def _processor(settings: Settings) -> SpanProcessor:
    if not settings.otlp_endpoint:
        return SimpleSpanProcessor(LogExporter())
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    # In a thread of its own, in batches, dropped while the collector is away: a trace holds nothing up.
    return BatchSpanProcessor(OTLPSpanExporter(f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=2))


class LogExporter(SpanExporter):
    """Writes a request's or a message's span with those below it as one line of the log."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[ReadableSpan]] = {}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans; the one that the others lie below comes last."""
        for span in spans:
            if span.kind in _ROOTS:
                log.info("trace", extra=_line(span, self._waiting.pop(span.context.span_id, [])))
            elif span.parent is not None:
                self._waiting.setdefault(span.parent.span_id, []).append(span)
        return SpanExportResult.SUCCESS


_SHORT = {"http.request.method": "method", "http.route": "route", "http.response.status_code": "status"}
"""How attributes are called in the log, where not as in OpenTelemetry."""


def _line(span: ReadableSpan, stages: Sequence[ReadableSpan]) -> dict[str, Any]:
    return {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "span": span.name,
        "began_us": (span.start_time or 0) // 1_000,
        "took_ms": _ms(span.start_time, span.end_time),
        **{_SHORT.get(name, name): value for name, value in (span.attributes or {}).items()},
        "stages": [
            {
                "stage": stage.name,
                "after_ms": _ms(span.start_time, stage.start_time),
                "took_ms": _ms(stage.start_time, stage.end_time),
            }
            for stage in stages
        ],
    }


def _ms(from_ns: int | None, to_ns: int | None) -> float:
    return round(((to_ns or 0) - (from_ns or 0)) / 1e6, 3)
