"""How fast is the page itself? ``python -m benchmarks.page.interaction [--url ...] [--clicks 30] [--json FILE]``

A new visitor clicks cards of "For you" in Chromium, on a running system (``make up``). The page's own share is what is
left of the time from the input event to the painted list when the time is taken away in which a request that the
click has caused was on its way. Beside it, what the first load sends.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, expect
from rich.console import Console
from rich.table import Table

from benchmarks.page.browser import NoBrowser, chromium
from flows.console import tracked
from infra.servers import answers

WATCH = Path(__file__).with_name("click.js").read_text()
CAUSED = ("/api/ingest/events", "/written", "/api/recommender/recommend")
"""How the paths of those requests end that a click causes."""
AIM_MS = 100
AIM_BYTES = 250_000
FIRST = "click -> first visible change"
PAINTED = "list received -> list painted"
OWN = "click -> list painted, without the services"
WHOLE = "click -> list painted"
AIMED = (FIRST, PAINTED, OWN)
LOADED = """
() => performance.getEntriesByType('resource').map(({ name, encodedBodySize }) =>
  [new URL(name).pathname.split('.').pop(), encodedBodySize])
"""

console = Console()


def first_load(page: Page) -> dict[str, int]:
    """Compressed bytes that the first view needs, by kind."""
    sent: list[tuple[str, int]] = page.evaluate(LOADED)
    return {kind: sum(size for ending, size in sent if ending == kind) for kind in ("js", "css")}


def click_once(page: Page) -> dict[str, float]:
    """Click the first card; gives milliseconds by name."""
    rail = page.get_by_role("region", name="For you")
    rail.evaluate(WATCH)
    rail.get_by_role("button", name="Click ").first.click()
    return figures(page.evaluate("() => window.clicked"))


def figures(seen: Mapping[str, Any]) -> dict[str, float]:
    """Milliseconds by name, from what ``click.js`` has seen."""
    event, painted = seen["event"], seen["list"]
    caused = [each for each in seen["requests"] if each["path"].endswith(CAUSED) and each["responseEnd"] <= painted]
    received = max(each["responseEnd"] for each in caused)
    waited = covered((each["startTime"], each["responseEnd"]) for each in caused)
    return {
        FIRST: seen["first"] - event,
        PAINTED: painted - received,
        OWN: painted - event - waited,
        WHOLE: painted - event,
    }


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """How much time lies within at least one of these spans.

    >>> covered([(0, 2), (1, 3), (5, 6)])
    4
    """
    total, reached = 0.0, -np.inf
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def measure(browser: Browser, url: str, clicks: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Milliseconds of every click by name, and the bytes of the first load."""
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto("/")
    expect(page.locator("[data-item]").first).to_be_visible()
    loaded = first_load(page)
    found = [click_once(page) for _ in tracked(range(clicks), "clicks", total=clicks, unit="clicks")]
    context.close()
    return {name: [each[name] for each in found] for name in found[0]}, loaded


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page.interaction", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the page of a running system")
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)
    if not answers(f"{options.url}/api/console/health"):
        print(f"error: no page at {options.url}: start one with `make up`, or say where with --url", file=sys.stderr)
        return 1
    try:
        with chromium() as browser:
            times, loaded = measure(browser, options.url, options.clicks)
    except NoBrowser as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    quantiles = {
        name: dict(zip(("p50", "p95"), np.percentile(ms, [50, 95]), strict=True)) for name, ms in times.items()
    }
    console.print(table(quantiles, loaded, options.clicks))
    if options.json:
        options.json.write_text(json.dumps({"clicks": options.clicks, "ms": quantiles, "bytes": loaded}, indent=1))
    return 0


def table(quantiles: Mapping[str, Mapping[str, float]], loaded: Mapping[str, int], clicks: int) -> Table:
    """The figures beside their aims."""
    made = Table("what", "p50", "p95", "aim", title=f"The page itself, {clicks} clicks", title_justify="left")
    for name, found in quantiles.items():
        aim = f"<= {AIM_MS} ms" if name in AIMED else ""
        made.add_row(name, f"{found['p50']:.1f} ms", f"{found['p95']:.1f} ms", aim)
    made.add_row(
        "script of the first load, compressed", f"{loaded['js'] / 1e3:.0f} kB", "", f"<= {AIM_BYTES / 1e3:.0f} kB"
    )
    made.add_row("style of the first load, compressed", f"{loaded['css'] / 1e3:.0f} kB", "", "")
    return made


if __name__ == "__main__":
    sys.exit(main())
