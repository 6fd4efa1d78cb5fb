"""Where a request to the page's origin goes, and which are refused before they go anywhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento import errors
from bento.console.operation import Outside
from bento.console.public import check_passage

log = logging.getLogger(__name__)

API = "/api/console"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURS = frozenset({b"same-origin", b"none"})


class Origin:
    """Brings a request to the page, to our own API, or to the service behind its path.

    Args:
        api_app: the console's own API.
        outside: settings, and the gateway to the services.
        page: what answers every path that is not below /api.
    """

    def __init__(self, api_app: ASGIApp, outside: Outside, page: ASGIApp) -> None:
        self._api = api_app
        self._settings = outside.settings
        self._gateway = outside.gateway
        self._page = page
        self._prefixes = {f"/api/{name}/".encode(): name for name in outside.gateway.services}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self._bring(scope, receive, answer.send)
        except Exception as error:
            if answer.ended:
                return  # FastAPI has logged and answered it, and raised it again: the server would cut the connection
            if answer.begun:
                raise
            await errors.answer_to(error, scope["path"])(scope, receive, answer.send)

    async def _bring(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if path != b"/api" and not path.startswith(b"/api/"):
            scope["route"] = _Route("page")
            await self._page(scope, receive, send)
        elif is_foreign(scope["method"], dict(scope["headers"])):
            message = "another site's page sent this; only this one may change anything"
            await errors.error_response(403, "cross_site", message)(scope, receive, send)
        elif path.startswith(API.encode() + b"/"):
            scope["root_path"] = API
            await self._api(scope, receive, _not_kept(send))
        else:
            await self._pass_on(path, scope, receive, send)

    async def _pass_on(self, path: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        for prefix, service in self._prefixes.items():
            if path.startswith(prefix):
                scope["route"] = _Route(f"/api/{service}")
                theirs = path[len(prefix) - 1 :]
                key = dict(scope["headers"]).get(b"x-api-key", b"").decode("latin-1")
                check_passage(self._settings, service, scope["method"], theirs, key)
                await self._gateway.pass_on(service, theirs, scope, receive, send)
                return
        raise errors.NotFound("no such route; there are /api/console, /api/ingest and /api/recommender")


class _Route:
    """What is counted of a request that no route of FastAPI answers."""

    def __init__(self, path: str) -> None:
        self.path = path


class _Answer:
    """Knows whether an answer has begun, so that another one is too late, and whether it has ended."""

    def __init__(self, send: Send) -> None:
        self.begun = self.ended = False
        self._send = send

    async def send(self, message: Message) -> None:
        self.begun = True
        await self._send(message)
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)


def is_foreign(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser says that another site wants to change something: a form there needs nobody's leave.

    Browsers send Sec-Fetch-Site to HTTPS and to the own machine only. Elsewhere Origin tells, which stands on every
    request that may change something. Ports are not compared then: proxies leave them out of Host.
    """
    if method in SAFE:
        return False
    if site := headers.get(b"sec-fetch-site"):
        return site not in OURS
    if (origin := headers.get(b"origin")) is None:
        return False
    hosts = (headers.get(b"host", b""), headers.get(b"x-forwarded-host", b""))
    return (whence := _host(origin)) is None or whence not in [_host(b"//" + host) for host in hosts]


def _host(url: bytes) -> str | None:
    try:
        return urlsplit(url.decode("latin-1")).hostname
    except ValueError:
        return None


def _not_kept(send: Send) -> Send:
    """Answers that are of one moment, and often of one person: no cache keeps them."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["cache-control"] = "no-store"
        await send(message)

    return marked
