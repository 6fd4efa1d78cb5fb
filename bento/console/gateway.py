"""Passes requests on to the two services, bodies streamed both ways, so that the browser knows one origin only."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from time import perf_counter

import aiohttp
from multidict import CIMultiDict
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from yarl import URL

from bento.console.metrics import ConsoleMetrics
from bento.errors import CODES, RETRY_AFTER_S, error_response
from infra.settings import Settings

log = logging.getLogger(__name__)

ASKED = frozenset(
    b"accept accept-encoding authorization content-length content-type if-none-match "
    b"traceparent tracestate user-agent x-api-key".split()
)
"""Request headers that go on. No other does: cookies of other programs on the same host are nobody's business."""
STAYS = frozenset(
    b"connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding upgrade "
    b"date server".split()
)
"""Answer headers that do not come back: of one hop (RFC 9110, 7.6.1), or this server's own."""

FORWARDED_FOR = "x-forwarded-for"

CONNECT_S = 1.0
READ_S = 15.0
"""Longer than the services take for anything: a broker's ack 5 s, the model registry 3 s."""
IDLE_S = 2.0
"""Shorter than the services keep an idle connection: none is taken up at the moment that they close it."""
CONNECTIONS = 64
"""Most at once to each service; more requests wait, for CONNECT_S. One that hangs does not hold up the other."""

_NOT_ASCII = re.compile(rb"[\x80-\xff]")


class Gateway:
    """An ASGI application in front of the services.

    Args:
        settings: ingest_url, recommender_url, max_body_bytes.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, metrics: ConsoleMetrics) -> None:
        self.services: Mapping[str, str] = {
            "ingest": settings.service_url("ingest"),
            "recommender": settings.service_url("recommender"),
        }
        self._limit = settings.max_body_bytes
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the pool of connections; nothing is connected yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=READ_S),
            auto_decompress=False,
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def reaches(self, service: str) -> bool:
        """Whether a service answers GET /health within CONNECT_S."""
        assert self._session is not None, "start() comes first"
        timeout = aiohttp.ClientTimeout(total=CONNECT_S)
        try:
            async with self._session.get(f"{self.services[service]}/health", timeout=timeout) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def pass_on(self, service: str, path: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with what a service answers it.

        Args:
            service: a key of ``services``.
            path: the service's own, as it was sent, percent signs and all.
        """
        began = perf_counter()
        assert self._session is not None, "start() comes first"
        headers = asked_headers(scope)
        upload = _Upload(receive, self._limit, int(headers.get("content-length", "0")))
        if upload.too_long:
            await self._too_long(scope, receive, send)
            return
        url = URL(self.services[service] + _target(path, scope["query_string"]), encoded=True)
        body = upload.chunks() if _has_body(scope) else None
        try:
            answer = await self._session.request(
                scope["method"], url, headers=headers, data=body, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            if upload.too_long:
                await self._too_long(scope, receive, send)
            elif upload.gone:  # nobody hears it, but it is counted
                await error_response(400, CODES[400], "the body ended half-way")(scope, receive, send)
            else:
                await self._unreachable(service, error)(scope, receive, send)
            return
        async with answer:
            await send(_start(answer, began))
            try:
                async for chunk in answer.content.iter_any():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except (aiohttp.ClientError, TimeoutError) as error:
                # Without an end the server cuts the connection: half an answer must not pass for a whole one.
                self._metrics.unreachable.labels(service).inc()
                log.warning("%s broke off in the midst of its answer: %s", service, str(error) or type(error).__name__)
                return
            await send({"type": "http.response.body", "body": b""})

    async def _too_long(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"the body is longer than {self._limit} bytes (FRESHET_MAX_BODY_BYTES); send less"
        await error_response(413, CODES[413], message)(scope, receive, send)

    def _unreachable(self, service: str, error: Exception) -> Response:
        self._metrics.unreachable.labels(service).inc()
        where = self.services[service]
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            message = f"{service} cannot be reached at {where}; nothing was sent to it"
        else:
            message = f"{service} at {where} did not answer; whether it took the request is not known"
        return error_response(503, "unreachable", message, {"service": service}, {"retry-after": str(RETRY_AFTER_S)})


class _Upload:
    """A request's body on its way to a service, no longer than the services take."""

    def __init__(self, receive: Receive, limit: int, declared: int) -> None:
        self.too_long = declared > limit
        self.gone = False
        self._receive = receive
        self._limit = limit

    async def chunks(self) -> AsyncIterator[bytes]:
        """What the client sends, as it sends it; ends with an error when it stops half-way or sends too much."""
        taken, more = 0, True
        while more:
            message = await self._receive()
            chunk, more = message.get("body", b""), message.get("more_body", False)
            taken += len(chunk)
            self.gone = message["type"] == "http.disconnect"
            self.too_long = taken > self._limit
            if self.gone or self.too_long:
                raise aiohttp.ClientPayloadError("the body does not go on")
            if chunk:
                yield chunk


def asked_headers(scope: Scope) -> CIMultiDict[str]:
    """The headers of a request that go on to the service, and whom it came from: services count requests by address.

    What the request itself says of that is left out, or anybody could come from anywhere.
    """
    headers = CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"] if name in ASKED
    )
    if scope.get("client"):
        headers[FORWARDED_FOR] = scope["client"][0]
    return headers


def _target(path: bytes, query: bytes) -> str:
    """Path and query as they were sent; a byte that no URL may hold is sent as what it stands for."""
    return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], path + b"?" + query if query else path).decode()


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _start(answer: aiohttp.ClientResponse, began: float) -> Message:
    of_this_hop = {name.strip().lower() for name in answer.headers.get("connection", "").encode().split(b",")} | STAYS
    headers = [(low, value) for name, value in answer.raw_headers if (low := name.lower()) not in of_this_hop]
    headers.append((b"server-timing", b"gateway;dur=%.2f" % (1e3 * (perf_counter() - began))))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}
