"""A small service for behind the console: says what reached it, and misbehaves when it is asked to."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

ETAG = b'"v1"'


class Echo:
    """An ASGI application.

    Attributes:
        seen: method and path of every request, in order of arrival.
        chunks: the pieces of the body that POST /upload has read so far.
        go_on: while it is not set, GET /drip and /hang wait in the midst of their answer, or before it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[tuple[str, bytes]] = []
        self.chunks: list[bytes] = []
        self.go_on = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append((scope["method"], scope["raw_path"]))
        play = getattr(self, "_" + scope["path"].strip("/").replace("-", "_"), self._echo)
        await play(scope, receive, send)

    async def _echo(self, scope: Any, receive: Any, send: Any) -> None:
        told = {
            "service": self.name,
            "method": scope["method"],
            "path": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": (await _body(receive)).decode("latin-1"),
        }
        await _answer(send, 200, [(b"content-type", b"application/json")], json.dumps(told).encode())

    async def _upload(self, scope: Any, receive: Any, send: Any) -> None:
        self.chunks = []
        while (message := await receive())["type"] == "http.request":
            self.chunks.append(message["body"])
            if not message.get("more_body"):
                break
        await _answer(send, 201, [], b"".join(self.chunks))

    async def _drip(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await self._wait()
        await send({"type": "http.response.body", "body": b"second"})

    async def _hang(self, scope: Any, receive: Any, send: Any) -> None:
        await self._wait()
        await _answer(send, 200, [], b"late")

    async def _broken(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"half of it", "more_body": True})

    async def _kept(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"etag", ETAG), (b"cache-control", b"no-cache")]
        same = dict(scope["headers"]).get(b"if-none-match") == ETAG
        await _answer(send, 304 if same else 200, headers, b"" if same else b"whole")

    async def _zipped(self, scope: Any, receive: Any, send: Any) -> None:
        assert b"gzip" in dict(scope["headers"])[b"accept-encoding"]
        await _answer(send, 200, [(b"content-encoding", b"gzip")], gzip.compress(b"small"))

    async def _headers(self, scope: Any, receive: Any, send: Any) -> None:
        hop = [
            b"connection: keep-alive, X-Private",
            b"x-private: 1",
            b"keep-alive: timeout=5",
            b"proxy-authenticate: x",
        ]
        ours = [b"date: never", b"server: echo", b"content-security-policy: everything"]
        passes = [
            b"server-timing: check;dur=1",
            b"retry-after: 7",
            b"x-own: yes",
            b"set-cookie: a=1",
            b"set-cookie: b=2",
        ]
        lines = [line.partition(b": ") for line in hop + ours + passes]
        await _answer(send, 429, [(name, value) for name, _, value in lines], b"{}")

    async def _moved(self, scope: Any, receive: Any, send: Any) -> None:
        await _answer(send, 307, [(b"location", b"/echo")], b"")

    async def _wait(self) -> None:
        while not self.go_on:
            await asyncio.sleep(0.005)


async def _body(receive: Any) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _answer(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
