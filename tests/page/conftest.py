"""A real browser on the real page of a real system: one of each for the whole folder.

``stack``   the sample shop's system (``page_stack``); ``url`` the page's address; ``services`` what stands behind it.
``open_page``  ``open_page("/", scheme="dark", width=390)`` opens the page as somebody new; after the test
            all that the browser complained of, and every request that left the page's origin, fails it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from benchmarks.page.browser import NoBrowser, chromium
from infra.processes import script
from infra.settings import ROOT

FRONTEND = ROOT / "frontend"
PATIENCE_MS = 60_000
"""Longest wait for anything: many times what it takes where nothing else runs."""
NETWORK = "Failed to load resource"
"""How Chromium tells the console of an answer that was no success."""


@dataclass
class Complaints:
    """What went wrong in a browser while a test looked elsewhere."""

    origin: str
    expected: tuple[str, ...] = ()
    foreign: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def expect(self, *parts: str) -> None:
        """Let pass what the console says with one of these words: a fault that the test has made itself."""
        self.expected += parts

    def listen(self, page: Page) -> None:
        """Collect all that this page does wrong."""
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.told.append(f"uncaught: {error}"))
        page.on("request", self._follow)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.told.append(f"{message.text} ({message.location.get('url', '')})")

    def _follow(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.foreign.append(request.url)

    def unexpected(self) -> list[str]:
        """All that no test has asked for."""
        return [line for line in self.told if not any(part in line for part in self.expected)]


@pytest.fixture(scope="session")
def built() -> None:
    """The page's files, made anew when a source is newer."""
    index = FRONTEND / "dist" / "index.html"
    sources = [FRONTEND / name for name in ("index.html", "package.json", "vite.config.ts")]
    sources += [path for folder in ("src", "public") for path in (FRONTEND / folder).rglob("*") if path.is_file()]
    sources = [path for path in sources if not path.name.endswith((".d.ts", ".test.ts", ".test.tsx"))]
    if index.is_file() and max(path.stat().st_mtime for path in sources) < index.stat().st_mtime:
        return
    npm = [script("npm"), "--prefix", str(FRONTEND)]
    if not (FRONTEND / "node_modules").is_dir():
        pytest.fail("frontend/node_modules is missing: run `make frontend`")
    done = subprocess.run([*npm, "run", "build"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def stack(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The running system."""
    from page_stack import shop_stack

    with shop_stack(tmp_path_factory.mktemp("page")) as stack:
        yield stack


@pytest.fixture(scope="session")
def url(stack: Any) -> str:
    """Where the page is."""
    return f"http://{stack.settings.host}:{stack.settings.console_port}"


@pytest.fixture(scope="session")
def api(url: str) -> Iterator[httpx.Client]:
    """The services as the page reaches them: ``api.get("/api/recommender/model")``."""
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    expect.set_options(timeout=PATIENCE_MS)
    try:
        with chromium() as browser:
            yield browser
    except NoBrowser as error:
        pytest.fail(f"the tests of the page need a browser: {error}")


@pytest.fixture
def complaints(url: str) -> Iterator[Complaints]:
    """What the browser complains of; fails the test when it is not expected."""
    found = Complaints(url)
    yield found
    assert found.foreign == [], "requests to others"
    assert found.unexpected() == [], "the browser's console"


@pytest.fixture
def open_page(browser: Browser, url: str, complaints: Complaints) -> Iterator[Callable[..., Page]]:
    """``open_page(path, scheme, width)``: a page of somebody who has never been here."""
    contexts = []

    def open_page(path: str = "/", scheme: Any = "light", width: int = 1280, **more: Any) -> Page:
        context = browser.new_context(
            base_url=url, color_scheme=scheme, viewport={"width": width, "height": 844 if width < 500 else 900}, **more
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        complaints.listen(page)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
