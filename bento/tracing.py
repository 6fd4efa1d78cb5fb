"""Sampled traces: a request with its stages, as OpenTelemetry spans, written as one line of the log.

The choice is made before anything of OpenTelemetry is touched, so that a request that is not traced costs next to
nothing: a ``traceparent`` header's flag decides where there is one (W3C Trace Context), chance where there is none.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

log = logging.getLogger(__name__)

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SERVER_ERROR = 500


class Trace:
    """One traced request, while it is answered."""

    def __init__(self, parent: SpanContext | None) -> None:
        self.parent = parent
        self.started_ns = time.time_ns()
        self.stages: list[tuple[str, int, int]] = []

    def stage(self, name: str, seconds: float) -> None:
        """A stage ended now, having taken this long."""
        ended_ns = time.time_ns()
        self.stages.append((name, ended_ns - int(seconds * 1e9), ended_ns))


current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the request that is being answered; None where it has none."""


class Tracer:
    """Chooses the requests that are traced and makes spans of them.

    Args:
        service: the resource's ``service.name``.
        share: of the requests without a traceparent, 0 to 1.
        exporter: where spans go; None: this process's log.
    """

    def __init__(self, service: str, share: float, exporter: SpanExporter | None = None) -> None:
        self._share = share
        provider = TracerProvider(ALWAYS_ON, Resource.create({"service.name": service}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter or LogExporter()))
        self._tracer = provider.get_tracer(__name__)

    def begin(self, traceparent: bytes | None) -> Trace | None:
        """The request's trace, when it is to be traced; ``stage`` finds it from now on."""
        if traceparent is None:
            if random.random() >= self._share:
                return None
            trace = Trace(None)
        else:
            parent = _parent(traceparent)
            if parent is None or not parent.trace_flags.sampled:
                return None
            trace = Trace(parent)
        current.set(trace)
        return trace

    def end(self, trace: Trace, method: str, route: str, status: int) -> None:
        """The request is answered: its spans are made and sent on."""
        context = set_span_in_context(NonRecordingSpan(trace.parent)) if trace.parent else None
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        root = self._tracer.start_span(
            f"{method} {route}", context, SpanKind.SERVER, attributes, start_time=trace.started_ns
        )
        if status >= _SERVER_ERROR:
            root.set_status(Status(StatusCode.ERROR))
        below = set_span_in_context(root)
        for name, started_ns, ended_ns in trace.stages:
            self._tracer.start_span(name, below, start_time=started_ns).end(ended_ns)
        root.end()


class LogExporter(SpanExporter):
    """Writes a request's span with those below it as one line of the log."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[ReadableSpan]] = {}

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans; a request's own span comes last."""
        for span in spans:
            if span.kind is SpanKind.SERVER:
                log.info("trace", extra=_line(span, self._waiting.pop(span.context.span_id, [])))
            elif span.parent is not None:
                self._waiting.setdefault(span.parent.span_id, []).append(span)
        return SpanExportResult.SUCCESS


def _line(span: ReadableSpan, stages: Sequence[ReadableSpan]) -> dict[str, Any]:
    attributes = span.attributes or {}
    return {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "method": attributes["http.request.method"],
        "route": attributes["http.route"],
        "status": attributes["http.response.status_code"],
        "took_ms": _ms(span.start_time, span.end_time),
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


def _parent(traceparent: bytes) -> SpanContext | None:
    found = _TRACEPARENT.match(traceparent)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None
