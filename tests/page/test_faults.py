"""Something behind the page dies: the page says what and what it means, keeps trying, and is whole again by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from page_stack import wait_for
from page_view import arrived, badge, cards, click, for_you, items, journey, look_as, row, step
from playwright.sync_api import Locator, Page, expect

START_MS = 120_000
"""A service may take so long to start on a busy machine."""

Open = Callable[..., Page]


def said(page: Page, title: str) -> Locator:
    """The banner's title of what is away."""
    return page.get_by_text(title, exact=True)


@contextmanager
def without(stack: Any, part: str, page: Page, title: str) -> Iterator[None]:
    """A part is dead and the page says so; afterwards the page has recovered, and was never loaded anew."""
    page.evaluate("() => { window.stayed = true }")
    with stack.without(part):
        expect(said(page, title)).to_be_visible()
        expect(page.get_by_text("Trying again by itself")).to_be_visible()
        yield
    expect(said(page, title)).to_be_hidden(timeout=START_MS)
    assert page.evaluate("() => window.stayed") is True


def test_without_redis_lists_are_degraded_and_say_why(
    open_page: Open, stack: Any, api: httpx.Client, complaints: Any
) -> None:
    complaints.expect("status of 503")
    page = open_page("/")
    look_as(page, "user-10")
    before = row(api, "user-10")["event_count"]
    with without(stack, "redis", page, "The feature store (Redis) is away."):
        expect(page.get_by_text("Lists come from what the recommender remembers")).to_be_visible()
        expect(badge(page, "Last known")).to_be_visible()
        expect(for_you(page)).to_contain_text("because the feature store (Redis) gives no answer in time")
        assert items(for_you(page))
        _, title = click(cards(for_you(page)).first)
        arrived(page, f"Clicked {title}", ("Accepted", "In Kafka"))
    expect(badge(page, "Personal")).to_be_visible()
    wait_for(lambda: row(api, "user-10")["event_count"] == before + 1)


def test_without_the_recommender_acts_still_count(
    open_page: Open, stack: Any, api: httpx.Client, complaints: Any
) -> None:
    complaints.expect("status of 503")
    page = open_page("/")
    look_as(page, "user-13")
    with without(stack, "recommender", page, "The recommender is away."):
        item_id, title = click(cards(for_you(page)).first)
        arrived(page, f"Clicked {title}", ("Accepted", "In Kafka", "Feature written"))
        expect(step(page, "Answer changed")).to_have_attribute("data-state", "failed")
        expect(journey(page).get_by_role("alert")).to_contain_text("The act is in the log and will count.")
    expect(cards(for_you(page)).and_(page.locator(f"[data-item={item_id}]"))).to_have_count(0)
    expect(badge(page, "Personal")).to_be_visible()
    assert row(api, "user-13")["recent_items"][-1] == item_id


def test_without_its_own_server_the_page_waits(open_page: Open, stack: Any, complaints: Any) -> None:
    complaints.expect("Failed to load resource")
    page = open_page("/")
    look_as(page, "user-16")
    with without(stack, "console", page, "The page’s own server is away."):
        assert items(for_you(page)), "what is known stays"
        click(cards(for_you(page)).first)
        expect(journey(page).get_by_role("alert")).to_contain_text("Act again when it is back.")
    _, title = click(cards(for_you(page)).first)
    arrived(page, f"Clicked {title}")
