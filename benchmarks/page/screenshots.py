"""Pictures of the page for the documents: ``python -m benchmarks.page.screenshots [--to docs/images] [--url ...]``.

Every view of a running system (``make up``) in light, in dark and on a phone, as small WebP files. New visitors click
meanwhile. With ``--redis-pid`` (``make status``) Redis is paused for some seconds: a page that says so.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

import psutil
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from benchmarks.page.browser import NoBrowser, chromium
from infra.servers import answers

LARGEST_BYTES = 150_000
QUALITIES = (86, 76, 66, 56, 46)
SETTLE_MS = 1_500
"""Charts draw themselves in less."""
PATIENCE_MS = 60_000
CLICKS = 5


@dataclass(frozen=True)
class Look:
    """How somebody looks at the page; ``width`` and ``height`` in CSS pixels."""

    name: str
    scheme: Literal["light", "dark"]
    width: int
    height: int
    scale: float = 1.0


LOOKS = (
    Look("light", "light", 1280, 900),
    Look("dark", "dark", 1280, 900),
    Look("phone", "light", 390, 844, 2.0),
)

Visit = Callable[[Page], None]


def visits(user_id: str, redis: psutil.Process | None) -> dict[str, Visit]:
    """What is photographed, by name, in this order: what is done early is seen in the control room later."""
    item = "/inspect/items/{}"
    found: dict[str, Visit] = {
        "arrival": _go("/"),
        "watch": _clicked,
        "why": _why,
        "inspect": _go(f"/inspect/users/{quote(user_id)}"),
        "item": lambda page: _go(item.format(quote(_popular(page))))(page),
        "playground": _go(f"/playground?{urlencode(_SETTINGS | {'a.user': user_id, 'b.user': user_id})}"),
        "control": _go("/control"),
    }
    return found | ({"degraded": _without(redis, user_id)} if redis else {})


_SETTINGS = {"b.diversity": "0.8", "b.max_per_category": "4", "b.explain": "1"}


def _go(path: str) -> Visit:
    def visit(page: Page) -> None:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("main [aria-busy=true]")).to_have_count(0)
        page.wait_for_timeout(SETTLE_MS)

    return visit


def _clicked(page: Page) -> None:
    """A new visitor has clicked the first card a few times, and now gets another list."""
    _go("/")(page)
    done = page.locator("[data-step=answered][data-state=done]")
    for _ in range(CLICKS):
        rail = page.get_by_role("region", name="For you")
        button = rail.get_by_role("button", name="Click ").first
        title = (button.get_attribute("aria-label") or "").removeprefix("Click ")
        button.click()
        expect(page.get_by_role("region", name="Journey")).to_contain_text(f"Clicked {title}")
        expect(done).to_have_count(1)
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLE_MS)


def _why(page: Page) -> None:
    _clicked(page)
    page.get_by_role("region", name="For you").get_by_role("button", name="Why ").first.click()
    expect(page.get_by_role("heading", name="Reasons")).to_be_visible()
    page.wait_for_timeout(SETTLE_MS)


def _popular(page: Page) -> str:
    """The item that is asked for most."""
    answer = page.request.get("/api/recommender/popular?k=1").json()
    return str(answer["recommendations"][0]["item_id"])


def _without(redis: psutil.Process, user_id: str) -> Visit:
    """Somebody known looks while Redis gives no answer."""

    def visit(page: Page) -> None:
        page.add_init_script(f"sessionStorage.setItem('freshet-visitor', {json.dumps(user_id)})")
        _go("/")(page)
        expect(page.get_by_text("Trying again by itself")).to_have_count(0)
        redis.suspend()
        expect(page.get_by_text("Trying again by itself")).to_be_visible()
        expect(page.get_by_text("Last known", exact=True)).to_be_visible()
        page.wait_for_timeout(SETTLE_MS)

    return visit


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page.screenshots", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("docs/images"), help="folder of the pictures")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the page of a running system")
    parser.add_argument("--user", default="1", help="whose features are shown")
    parser.add_argument("--redis-pid", type=int, help="Redis, to be paused: takes a picture of a degraded page, too")
    options = parser.parse_args(arguments)
    if not answers(f"{options.url}/api/console/health"):
        print(f"error: no page at {options.url}: start one with `make up`, or say where with --url", file=sys.stderr)
        return 1
    options.to.mkdir(parents=True, exist_ok=True)
    try:
        with chromium() as browser, _continued(options.redis_pid) as redis:
            expect.set_options(timeout=PATIENCE_MS)
            for name, visit in visits(options.user, redis).items():
                for look in LOOKS:
                    path = options.to / f"page-{name}-{look.name}.webp"
                    path.write_bytes(small(photograph(browser, options.url, look, visit)))
                    if redis:
                        redis.resume()
                    print(f"{path}  {path.stat().st_size / 1e3:.0f} kB")
    except NoBrowser as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _continued(pid: int | None) -> Iterator[psutil.Process | None]:
    """A process that goes on afterwards, whatever happens."""
    process = psutil.Process(pid) if pid else None
    try:
        yield process
    finally:
        if process:
            process.resume()


def photograph(browser: Browser, url: str, look: Look, visit: Visit) -> bytes:
    """A PNG of what somebody new sees."""
    with _somebody(browser, url, look) as page:
        visit(page)
        return page.screenshot()


@contextmanager
def _somebody(browser: Browser, url: str, look: Look) -> Iterator[Page]:
    context = browser.new_context(
        base_url=url,
        color_scheme=look.scheme,
        viewport={"width": look.width, "height": look.height},
        device_scale_factor=look.scale,
        reduced_motion="reduce",
    )
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page
    finally:
        context.close()


def small(png: bytes) -> bytes:
    """The same picture as WebP, in the best quality that LARGEST_BYTES allow."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in QUALITIES:
        packed = io.BytesIO()
        picture.save(packed, "WEBP", quality=quality, method=6)
        if packed.tell() <= LARGEST_BYTES:
            break
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(main())
