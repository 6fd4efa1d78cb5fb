from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from infra.settings import load_settings
from infra.tracing import Tracer, sampled

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01".encode()


class Collector(BaseHTTPRequestHandler):
    """What an OpenTelemetry collector does with OTLP over HTTP: takes it."""

    taken: list[tuple[str, ExportTraceServiceRequest]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def collector() -> Iterator[Any]:
    handler = type("Taking", (Collector,), {"taken": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_spans_reach_a_collector(collector: Any) -> None:
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    tracer = Tracer("recommender", load_settings(otlp_endpoint=endpoint))
    trace = tracer.begin(SAMPLED)
    assert trace is not None
    trace.stage("rank", 0.001)
    tracer.end(trace, "GET", "/recommend", 503)
    tracer.close()
    ((path, request),) = collector.RequestHandlerClass.taken
    assert path == "/v1/traces"
    (resource,) = request.resource_spans
    assert {(a.key, a.value.string_value) for a in resource.resource.attributes} >= {("service.name", "recommender")}
    stage, root = resource.scope_spans[0].spans
    assert (root.name, root.trace_id.hex(), root.parent_span_id.hex()) == ("GET /recommend", TRACE, SPAN)
    assert (stage.name, stage.parent_span_id) == ("rank", root.span_id)
    assert root.status.code == root.status.STATUS_CODE_ERROR


def test_a_collector_that_is_away_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    tracer = Tracer("ingest", load_settings(otlp_endpoint="http://127.0.0.1:1"))
    for _ in range(10):
        trace = tracer.begin(SAMPLED)
        assert trace is not None
        tracer.end(trace, "POST", "/events", 201)
    tracer.close()


@pytest.mark.parametrize(
    "header",
    [b"", b"nonsense", SAMPLED[:-1] + b"0", f"00-{'0' * 32}-{SPAN}-01".encode(), f"00-{TRACE}-{'0' * 16}-01".encode()],
)
def test_nothing_is_traced_that_its_sender_does_not_trace(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tracer = Tracer("ingest", load_settings(trace_share=1.0))
    assert sampled(header) is None
    assert tracer.begin(header) is None
    assert caplog.records == []


def test_what_goes_on_with_a_message_is_this_requests_own_span(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ingest, stream = Tracer("ingest", load_settings()), Tracer("stream", load_settings())
    trace = ingest.begin(SAMPLED)
    assert trace is not None
    sent = trace.traceparent
    stream.message("row user_features", sent, [("log", 10**9, 2 * 10**9), ("write", 2 * 10**9, 5 * 10**9)], {"a": "b"})
    ingest.end(trace, "POST", "/events", 201)
    row, request = (vars(record) for record in caplog.records)
    assert (row["trace_id"], row["parent_id"]) == (TRACE, request["span_id"])
    assert request["parent_id"] == SPAN
    assert (row["span"], row["took_ms"], row["began_us"], row["a"]) == ("row user_features", 4_000.0, 1_000_000, "b")
    assert row["stages"][1] == {"stage": "write", "after_ms": 1_000.0, "took_ms": 3_000.0}
