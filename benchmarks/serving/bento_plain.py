"""What BentoML's cost is measured against: one trivial ASGI application, bare and as BentoML serves it out of the box.

``uvicorn benchmarks.serving.bento_plain:hello`` and ``bentoml serve benchmarks.serving.bento_plain:Plain``.
"""

from __future__ import annotations

import bentoml
from starlette.types import Receive, Scope, Send

BODY = b'{"status":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request alike."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})


@bentoml.service(name="plain")
@bentoml.asgi_app(hello, path="/")
class Plain:
    """The application with every default of BentoML's."""
