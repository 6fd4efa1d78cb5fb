"""The files of the page: what is found, kept, compressed and refused; also before and while the page is built."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bento.console.headers import Secured
from bento.console.static import IMMUTABLE, Page
from tests.bento.console_server import served

INDEX = b"<!doctype html><title>Freshet</title>" + b"<p>long enough to be worth it</p>" * 100
SCRIPT = b"export const one = 1;" * 200
OTHERS = {"accept-encoding": "identity"}


def build(folder: Path, script: bytes = SCRIPT) -> None:
    """A page as Vite writes it: the index last."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "assets" / "index-abc.js").write_bytes(script)
    (folder / "assets" / "tiny-abc.js").write_bytes(b"1")
    (folder / "mark.svg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "index.html").write_bytes(INDEX)


@contextmanager
def page_of(folder: Path) -> Iterator[httpx.Client]:
    with (
        served(Secured(Page(folder))) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A built page."""
    folder = tmp_path_factory.mktemp("site") / "dist"
    build(folder)
    (folder.parent / "secret.txt").write_bytes(b"a secret")
    (folder / "linked.txt").symlink_to(folder.parent / "secret.txt")
    with page_of(folder) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a page will be."""
    return tmp_path / "dist"


@pytest.fixture
def new_site(folder: Path) -> Iterator[httpx.Client]:
    """One that is not built yet."""
    with page_of(folder) as client:
        yield client


def raw(client: httpx.Client, line: str) -> bytes:
    """What comes back for a request line that httpx would tidy up."""
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), 5) as connection:
        connection.sendall(f"{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        parts = iter(lambda: connection.recv(65_536), b"")
        return b"".join(parts)


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/control", "/inspect/items/50/", "/inspect/users/ann@example.com", "/inspect/a.js"]
)
def test_every_place_of_the_page_is_the_index(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.content) == (200, INDEX)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/assets/gone-abc.js", "/assets/gone", "/favicon.ico", "/nothing.js"])
def test_a_file_that_is_not_there_is_404(site: httpx.Client, path: str) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "content-security-policy" in answer.headers
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_hashed_files_are_kept_for_ever_and_others_asked_about(site: httpx.Client) -> None:
    script, mark = site.get("/assets/index-abc.js"), site.get("/mark.svg")
    assert script.headers["cache-control"] == IMMUTABLE
    assert script.headers["content-type"].startswith(("text/javascript", "application/javascript"))
    assert (mark.headers["cache-control"], mark.headers["content-type"]) == ("no-cache", "image/svg+xml")
    again = site.get("/", headers={"if-none-match": f'"other", {site.get("/").headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["cache-control"] == "no-cache"
    assert site.get("/", headers={"if-none-match": script.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("identity", False), ("gzip;q=0, br", False), ("gzip; q=0.0", False)],
)
def test_long_text_is_compressed_for_who_takes_it(site: httpx.Client, accepted: str, zipped: bool) -> None:
    with site.stream("GET", "/assets/index-abc.js", headers={"accept-encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == ("gzip" if zipped else None)
    assert answer.headers["vary"] == "accept-encoding"
    assert int(answer.headers["content-length"]) == len(body)
    assert (gzip.decompress(body) if zipped else body) == SCRIPT
    assert (len(body) < len(SCRIPT) / 10) is zipped
    assert "content-encoding" not in site.get("/assets/tiny-abc.js").headers


def test_head_says_what_get_would_and_nothing_else_is_taken(site: httpx.Client) -> None:
    head = site.head("/", headers=OTHERS)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(INDEX)))
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = site.request(method, "/")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/../../secret.txt",
        "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
        "//secret.txt",
        "/linked.txt",
        "/assets/%00",
        "/..\\secret.txt",
    ],
)
def test_nothing_outside_the_folder_is_ever_sent(site: httpx.Client, path: str) -> None:
    answer = raw(site, f"GET {path}")
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 200", b"HTTP/1.1 400"))
    assert b"a secret" not in answer


def test_before_the_page_is_built_it_says_how_and_then_it_is_there(
    new_site: httpx.Client, folder: Path, eventually: Callable[..., bool]
) -> None:
    for path in ("/", "/control", "/assets/index-abc.js"):
        answer = new_site.get(path)
        assert answer.status_code == 503
        assert "make frontend" in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert int(answer.headers["retry-after"]) > 0
        assert "content-security-policy" in answer.headers
    build(folder)
    eventually(lambda: new_site.get("/").status_code == 200, 5)
    assert new_site.get("/assets/index-abc.js").content == SCRIPT


def test_the_old_page_stays_while_a_new_one_is_built(
    new_site: httpx.Client, folder: Path, eventually: Callable[..., bool]
) -> None:
    build(folder)
    eventually(lambda: new_site.get("/").status_code == 200, 5)
    shutil.rmtree(folder)
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "index-new.js").write_bytes(b"new")
    os.symlink("nowhere", folder / "assets" / "dangling.js")
    for _ in range(2):
        assert new_site.get("/assets/index-new.js").status_code == 404
        assert (new_site.get("/control").content, new_site.get("/assets/index-abc.js").content) == (INDEX, SCRIPT)
    build(folder, script=b"changed")
    eventually(lambda: new_site.get("/assets/index-new.js").status_code == 200, 5)
    assert new_site.get("/assets/index-abc.js").content == b"changed"
