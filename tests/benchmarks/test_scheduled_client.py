"""The open-loop client against a real server that can be told to stand still."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.serving.scheduled_client import run


class Handler(BaseHTTPRequestHandler):
    """Answers by the path: /slow stands still for a while, /bad refuses; POST gives the body back."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.3)
        self._answer(404 if self.path == "/bad" else 200, b"x" * 100_000)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(200 if body == b'{"a": 1}' else 400, body)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()


def test_whole_answers_are_read_and_refusals_counted(port: int) -> None:
    found = run("127.0.0.1", port, ["GET /", 'POST / {"a": 1}', "GET /bad"], rate=100, seconds=0.6)
    assert (found["requests"], found["refused"], found["failed"]) == (60, 20, 0)
    assert 0 < found["p50"] <= found["p99"] <= found["p999"] <= found["worst"]


def test_a_slow_answer_costs_what_it_takes(port: int) -> None:
    found = run("127.0.0.1", port, ["GET /slow", *["GET /"] * 19], rate=50, seconds=0.8)
    assert found["requests"] == 40
    assert found["worst"] >= 300
    assert found["p50"] < 300


def test_a_server_that_is_gone_gives_failures() -> None:
    found = run("127.0.0.1", 1, ["GET /"], rate=100, seconds=0.1)
    assert (found["requests"], found["failed"]) == (0, 10)
