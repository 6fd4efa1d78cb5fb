"""Heads that are too large, clients that are too slow, and bodies that nobody wants, on real connections."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from bento.access.visit import Visit
from infra.settings import Settings
from tests.bento.access_services import listening

PATIENCE_S = 0.5
MAX_HEAD, MAX_BODY = 2_000, 10_000


class Echo:
    """Behind the same bounds as both services: answers how long the body was, or with as much as it is asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.entered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered += 1
        visit = Visit(scope, receive, send, self.settings)
        refusal = visit.refusal()
        await visit.respond(refusal or await self._answer(visit))

    async def _answer(self, visit: Visit) -> Response:
        if visit.path == "/much":
            return PlainTextResponse("x" * 50_000_000)
        try:
            return PlainTextResponse(str(len(await Request(visit.scope, visit.receive).body())))
        except Exception as error:
            return PlainTextResponse(str(error), getattr(error, "status_code", 500))


@pytest.fixture(scope="module")
def echo(servers: Any) -> Iterator[tuple[Echo, int]]:
    bounds = {"slow_client_s": PATIENCE_S, "max_header_bytes": MAX_HEAD, "max_body_bytes": MAX_BODY}
    settings = servers.settings.model_copy(update=bounds)
    app = Echo(settings)
    with listening(app, settings) as port:
        yield app, port


@pytest.fixture
def connected(echo: tuple[Echo, int]) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", echo[1]), timeout=20) as connection:
        yield connection


def head(*headers: str, line: str = "GET / HTTP/1.1") -> bytes:
    return "\r\n".join([line, "host: h", *headers, "", ""]).encode()


def rest_of(connection: socket.socket) -> bytes:
    """Everything that still comes, until the server closes."""
    found = b""
    while part := connection.recv(65_536):
        found += part
    return found


def one_answer(connection: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65_536)
    return found


def status_of(answer: bytes) -> int:
    return int(answer[9:12])


def error_of(answer: bytes) -> dict[str, Any]:
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2])["error"])


def test_a_head_that_is_too_large_is_431_and_its_request_reaches_nobody(
    echo: tuple[Echo, int], connected: socket.socket
) -> None:
    before = echo[0].entered
    connected.sendall(head("x-much: " + "a" * MAX_HEAD))
    answer = one_answer(connected)
    assert status_of(answer) == 431 and error_of(answer)["code"] == "head_too_large"
    connected.sendall(head("x-less: " + "a" * (MAX_HEAD - 100)))
    assert status_of(one_answer(connected)) == 200, "whoever sent it may go on"
    assert echo[0].entered == before + 1


def test_a_head_that_never_ends_is_cut_off_at_the_limit(connected: socket.socket) -> None:
    connected.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * MAX_HEAD)
    connected.sendall(b"a" * 100)
    answer = rest_of(connected)
    assert status_of(answer) == 431 and b"connection: close" in answer


def test_a_line_that_is_too_long_is_a_head_that_is_too_large(connected: socket.socket) -> None:
    connected.sendall(head(line=f"GET /{'a' * MAX_HEAD} HTTP/1.1"))
    assert status_of(one_answer(connected)) == 431


@pytest.mark.parametrize("size", [10, 3_000, 9_000])
def test_a_body_does_not_count_as_head_whatever_it_comes_with(connected: socket.socket, size: int) -> None:
    for _ in range(3):
        connected.sendall(head(f"content-length: {size}", line="POST / HTTP/1.1") + b"b" * size)
        answer = one_answer(connected)
        assert status_of(answer) == 200 and answer.endswith(str(size).encode())


def test_requests_that_come_all_at_once_are_all_answered(connected: socket.socket) -> None:
    """Together they are larger than one head may be."""
    each = head("x-some: " + "a" * 800)
    connected.sendall(each * 6 + each[:500])
    connected.sendall(each[500:-2] + b"connection: close\r\n\r\n")
    assert rest_of(connected).count(b"HTTP/1.1 200") == 7


def test_a_head_in_drops_is_answered_408_and_closed(connected: socket.socket) -> None:
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.05):
            try:
                connected.sendall(b"a")
            except OSError:
                return

    connected.sendall(b"GET / HTTP/1.1\r\nx: ")
    drips = threading.Thread(target=drip)
    drips.start()
    began = time.monotonic()
    try:
        assert status_of(one_answer(connected)) == 408
        assert time.monotonic() - began >= PATIENCE_S * 0.8
    finally:
        stop.set()
        drips.join()


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"\r\n\r\n"])
def test_who_connects_and_says_nothing_is_let_go(connected: socket.socket, sent: bytes) -> None:
    connected.sendall(sent)
    assert rest_of(connected) == b""


def test_who_says_nothing_more_after_an_answer_is_let_go(connected: socket.socket) -> None:
    connected.sendall(head())
    assert status_of(one_answer(connected)) == 200
    connected.sendall(b"\r\n")  # which ends uvicorn's own wait for the next request
    assert rest_of(connected) == b""


@pytest.mark.parametrize("how", ["content-length: 100", "transfer-encoding: chunked"])
def test_a_body_that_does_not_come_is_408_and_closed(connected: socket.socket, how: str) -> None:
    connected.sendall(head(how, line="POST / HTTP/1.1") + (b"5\r\nsome \r\n" if "chunked" in how else b"some "))
    answer = rest_of(connected)
    assert status_of(answer) == 408 and b"connection: close" in answer


def test_an_oversized_body_is_413_while_it_still_comes_and_its_sender_cannot_pour_it_in(
    echo: tuple[Echo, int], connected: socket.socket
) -> None:
    size = 200_000_000
    connected.sendall(head(f"content-length: {size}", line="POST / HTTP/1.1"))
    assert status_of(one_answer(connected)) == 413
    connected.settimeout(5)
    sent = 0
    with pytest.raises(OSError):  # the server takes in a little of it, and at last closes
        while sent < size:
            sent += connected.send(b"b" * 1_000_000)
    assert sent < size


def test_an_oversized_body_of_unknown_length_is_413_as_soon_as_it_is_too_large(connected: socket.socket) -> None:
    connected.sendall(head("transfer-encoding: chunked", line="POST / HTTP/1.1"))
    for _ in range(3):
        connected.sendall(b"fa0\r\n" + b"b" * 4_000 + b"\r\n")
    assert status_of(one_answer(connected)) == 413


def test_after_a_refused_body_that_was_sent_to_its_end_the_connection_goes_on(connected: socket.socket) -> None:
    size = MAX_BODY + 1
    connected.sendall(head(f"content-length: {size}", line="POST / HTTP/1.1") + b"b" * size)
    assert status_of(one_answer(connected)) == 413
    connected.sendall(head())
    assert status_of(one_answer(connected)) == 200


def test_nonsense_is_400_in_the_contracts_words_and_no_line_of_the_log(
    connected: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    connected.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
    answer = rest_of(connected)
    assert status_of(answer) == 400 and error_of(answer)["code"] == "bad_request"
    assert not caplog.records


def test_who_does_not_take_his_answer_is_let_go(connected: socket.socket) -> None:
    connected.sendall(head(line="GET /much HTTP/1.1"))
    time.sleep(2 * PATIENCE_S)  # the client's own laziness, not a wait for something to happen
    taken = 0
    with pytest.raises(OSError):  # an end that was not announced
        while part := connected.recv(1_000_000):
            taken += len(part)
        raise ConnectionResetError(f"{taken} bytes, then an end")
    assert taken < 50_000_000
