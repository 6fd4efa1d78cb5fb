"""What holds on every view: nobody is shut out, nothing leaves the origin, little is sent, and no secret is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from page_stack import ADMIN_KEY
from playwright.sync_api import Page, Response, expect

from infra.settings import ROOT

VIEWS = ("/", "/inspect", "/inspect/users/user-1", "/inspect/items/music-3", "/control", "/playground")
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
FIRST_LOAD_BYTES = 250_000
SEVERE = ("serious", "critical")
DIRECTIVES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
SCRIPTS = """
() => performance.getEntriesByType('resource')
  .filter(({ name }) => new URL(name).pathname.endsWith('.js'))
  .map(({ name, encodedBodySize, decodedBodySize }) => [new URL(name).pathname, encodedBodySize, decodedBodySize])
"""

Open = Callable[..., Page]


def settled(page: Page) -> Page:
    """The page with its main heading, and no longer busy loading."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("main [aria-busy=true]")).to_have_count(0)
    return page


def severe_findings(page: Page) -> list[str]:
    """What axe-core finds serious or critical, one line each."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in SEVERE
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_view_shuts_anybody_out(open_page: Open, scheme: str, width: int) -> None:
    page = open_page("/", scheme=scheme, width=width)
    found: dict[str, list[str]] = {}
    for view in VIEWS:
        page.goto(view)
        found[view] = severe_findings(settled(page))
    assert {view: lines for view, lines in found.items() if lines} == {}


def test_on_a_phone_no_view_scrolls_sideways(open_page: Open) -> None:
    page = open_page("/", width=390)
    for view in VIEWS:
        page.goto(view)
        settled(page)
        wide = page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= wide[1], view


def test_the_first_load_is_small(open_page: Open) -> None:
    page = settled(open_page("/"))
    scripts = page.evaluate(SCRIPTS)
    print(json.dumps(scripts, indent=1))
    assert scripts
    assert all(sent < whole for _, sent, whole in scripts if whole > 2_000), "not compressed"
    assert sum(sent for _, sent, _ in scripts) <= FIRST_LOAD_BYTES


def test_every_answer_brings_the_policy(api: httpx.Client) -> None:
    for path in ("/", "/control", "/scheme.js", "/api/console/health", "/api/recommender/model", "/nothing.js"):
        headers = api.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";") if part)
        assert policy == DIRECTIVES, path
        assert {name: headers[name] for name in FIXED} == FIXED, path
        assert headers["permissions-policy"], path


def test_the_policy_is_at_work(open_page: Open, complaints: Any) -> None:
    complaints.expect("Content Security Policy")
    page = settled(open_page("/"))
    page.evaluate("() => { document.body.append(Object.assign(document.createElement('script'), {text: 'evil = 1'})) }")
    assert page.evaluate("() => typeof evil") == "undefined"
    assert any("Content Security Policy" in line for line in complaints.told)
    complaints.told.clear()


def test_the_administrators_key_is_nowhere(open_page: Open, url: str) -> None:
    page = open_page("about:blank")
    answers: list[Response] = []
    page.on("response", lambda response: answers.extend([response]))  # Playwright marks the handler: no built-in
    bodies: dict[str, bytes] = {}
    for view in VIEWS:
        answers.clear()
        page.goto(view)
        settled(page)
        # The next view takes these away.
        bodies |= {one.url: one.body() for one in list(answers) if one.ok and one.url.startswith(url)}
    assert len(bodies) > len(VIEWS)
    bodies |= {str(path): path.read_bytes() for path in (ROOT / "frontend" / "dist").rglob("*") if path.is_file()}
    assert [name for name, body in bodies.items() if ADMIN_KEY.encode() in body] == []
