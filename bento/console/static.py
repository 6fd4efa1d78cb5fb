"""The built page, from memory: every file read and compressed once, so nothing outside its folder can be served."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath
from time import monotonic
from typing import NamedTuple

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from infra.pages import DIST

INDEX, ASSETS = "index.html", "assets/"
IMMUTABLE = "public, max-age=31536000, immutable"
"""Of files whose name changes with their content."""
REVALIDATED = "no-cache"
"""Kept, but asked about each time."""
LOOK_EVERY_S = 0.25
WORTH_BYTES = 1_024
"""Shorter files are not compressed."""
COMPRESSIBLE = frozenset({".css", ".html", ".js", ".json", ".svg", ".txt", ".webmanifest"})

_NEVER = re.compile(rb"q=0(\.0*)?")

NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Freshet: the page is not built</title>
<h1>The page has not been built yet</h1>
<p>The services run, and this console answers at <a href="/api/console/health">/api/console</a>;
only the files of the page are missing. Build them once, in the repository:</p>
<pre>make frontend</pre>
<p>Then load this again; nothing needs to be restarted.</p>
</html>
"""


class File(NamedTuple):
    """A file as it is sent."""

    body: bytes
    zipped: bytes | None
    headers: dict[str, str]


class Page:
    """An ASGI application: the files of a folder, and index.html for every other path that the page itself knows.

    The folder is read again when a file of it has changed, so that a page that is built while this runs is served.

    Args:
        folder: with index.html and assets/; may be missing, then every path is answered by how to build it.
    """

    def __init__(self, folder: Path = DIST) -> None:
        self._folder = folder
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._files: dict[str, File] = {}
        self._next_look = 0.0
        self._look()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET\n", 405, {"allow": "GET, HEAD"})
        path = scope["path"].strip("/")
        found = self._files.get(path) if path != INDEX else None
        if found is None:
            self._look()
            if INDEX not in self._files:
                return Response(NOT_BUILT, 503, {"retry-after": "5", "cache-control": "no-store"}, "text/html")
            found = self._files.get(path if _names_file(path) else INDEX)
        if found is None:
            return PlainTextResponse("no such file\n", 404)
        return _sent(found, dict(scope["headers"]))

    def _look(self) -> None:
        """Read the folder when it is not as it was; every LOOK_EVERY_S at most, once there is a page.

        In the midst of a build, without an index, all stays as it is until a later look.
        """
        if (now := monotonic()) < self._next_look and self._files:
            return
        self._next_look = now + LOOK_EVERY_S
        with suppress(OSError):
            stamp = self._stamp_now()
            if stamp != self._stamp and any(name == INDEX for name, _, _ in stamp):
                self._files = {name: _read(self._folder, name) for name, _, _ in stamp}
                self._stamp = stamp

    def _stamp_now(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                found.append((path.relative_to(self._folder).as_posix(), stat.st_mtime_ns, stat.st_size))
        return tuple(found)


def _names_file(path: str) -> bool:
    """Whether a path is a file's and not a place in the page, whose last part may be an id with a dot in it."""
    return path.startswith(ASSETS) or ("." in path and "/" not in path)


def _read(folder: Path, name: str) -> File:
    body = (folder / name).read_bytes()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    text = kind.startswith("text/") or kind.endswith(("javascript", "json"))
    hashed = name.startswith(ASSETS)
    headers = {
        "content-type": f"{kind}; charset=utf-8" if text else kind,
        "cache-control": IMMUTABLE if hashed else REVALIDATED,
        "etag": f'W/"{hashlib.sha256(body).hexdigest()[:16]}"',
    }
    zipped = None
    if PurePosixPath(name).suffix in COMPRESSIBLE and len(body) >= WORTH_BYTES:
        zipped = gzip.compress(body, 9, mtime=0)
        headers["vary"] = "accept-encoding"
    return File(body, zipped, headers)


def _sent(file: File, asked: dict[bytes, bytes]) -> Response:
    if file.headers["etag"].encode() in (tag.strip() for tag in asked.get(b"if-none-match", b"").split(b",")):
        kept = {name: value for name, value in file.headers.items() if name != "content-type"}
        return Response(status_code=304, headers=kept)
    if file.zipped is not None and _takes_gzip(asked.get(b"accept-encoding", b"")):
        return Response(file.zipped, headers=file.headers | {"content-encoding": "gzip"})
    return Response(file.body, headers=file.headers)


def _takes_gzip(accepted: bytes) -> bool:
    offers = [offer.replace(b" ", b"").lower() for offer in accepted.split(b",")]
    return any(name == b"gzip" and not _NEVER.fullmatch(how) for name, _, how in (o.partition(b";") for o in offers))
