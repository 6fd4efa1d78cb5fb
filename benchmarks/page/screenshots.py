"""Pictures of the page for the documents: ``python -m benchmarks.page.screenshots [--to docs/images] [--url ...]``.

Every view of a running system (``make up``) in light, in dark and on a phone, as small WebP files.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from benchmarks.page.browser import NoBrowser, chromium
from infra.servers import answers

LARGEST_BYTES = 150_000
QUALITIES = (86, 76, 66, 56, 46)
SETTLE_MS = 1_500
"""Charts draw themselves in less."""


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


def _go(path: str) -> Visit:
    def visit(page: Page) -> None:
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(SETTLE_MS)

    return visit


def visits(user_id: str) -> dict[str, Visit]:
    """What is photographed, by name."""
    return {
        "watch": _go("/"),
        "inspect": _go(f"/inspect/users/{user_id}"),
        "control": _go("/control"),
        "playground": _go("/playground"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page.screenshots", description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("docs/images"), help="folder of the pictures")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the page of a running system")
    parser.add_argument("--user", default="1", help="whose features are shown")
    options = parser.parse_args(arguments)
    if not answers(f"{options.url}/api/console/health"):
        print(f"error: no page at {options.url}: start one with `make up`, or say where with --url", file=sys.stderr)
        return 1
    options.to.mkdir(parents=True, exist_ok=True)
    try:
        with chromium() as browser:
            for look in LOOKS:
                for name, visit in visits(options.user).items():
                    path = options.to / f"page-{name}-{look.name}.webp"
                    path.write_bytes(small(photograph(browser, options.url, look, visit)))
                    print(f"{path}  {path.stat().st_size / 1e3:.0f} kB")
    except NoBrowser as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


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
        yield context.new_page()
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
