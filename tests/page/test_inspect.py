"""The inspector shows what the recommender reads, and what Feast's SDK reads of the same row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from page_stack import wait_for
from page_view import row
from playwright.sync_api import Locator, Page, expect

SDK_MS = 240_000
"""Feast's import takes its time on a busy machine."""

Open = Callable[..., Page]


def line(page: Page, view: str, feature: str) -> Locator:
    """The line of a feature: ours, the mark between, Feast's."""
    rows = page.get_by_role("region", name=view, exact=True).get_by_role("row")
    return rows.filter(has=page.get_by_role("rowheader", name=feature, exact=True)).get_by_role("cell")


def equals(page: Page, view: str, features: dict[str, Any]) -> None:
    """Every whole number of these features stands there twice, equal."""
    whole = {name: value for name, value in features.items() if type(value) is int and value < 1_000}
    assert "event_count" in whole
    for name, value in whole.items():
        ours, mark, feast = (line(page, view, name).nth(place) for place in range(3))
        expect(ours).to_have_text(str(value))
        expect(feast).to_have_text(str(value))
        expect(mark.get_by_role("img", name="equal")).to_be_visible()
    expect(page.get_by_role("img", name="differs")).to_have_count(0)


def act(api: httpx.Client, user_id: str, item_id: str, event_type: str = "click") -> None:
    """Somebody does something, not by the page."""
    event = {"user_id": user_id, "item_id": item_id, "event_type": event_type}
    assert api.post("/api/ingest/events", json=event).status_code == 201


def test_a_users_row_is_the_services_and_feasts_and_changes_by_itself(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/inspect/users/user-1")
    expect(page.get_by_text("all equal")).to_be_visible(timeout=SDK_MS)
    page.get_by_role("checkbox", name="Hide zeros that agree").uncheck()
    before = row(api, "user-1")
    equals(page, "user_features", before)

    act(api, "user-1", "garden-2", "add_to_cart")
    expect(line(page, "user_features", "event_count").first).to_have_text(str(before["event_count"] + 1))
    newest = page.get_by_role("list", name="Recent events, newest first").get_by_role("listitem").first
    expect(newest).to_contain_text("add to cart")
    expect(newest).to_contain_text("Garden 2")
    equals(page, "user_features", row(api, "user-1"))


def test_an_items_row_changes_by_itself(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/inspect/items/kitchen-4")
    expect(page.get_by_role("heading", level=1, name="Kitchen 4")).to_be_visible()
    expect(page.get_by_text("all equal")).to_be_visible(timeout=SDK_MS)
    count = int(line(page, "item_features", "event_count").first.inner_text())
    act(api, "user-2", "kitchen-4")
    expect(line(page, "item_features", "event_count").first).to_have_text(str(count + 1))
    expect(page.get_by_text("all equal")).to_be_visible()


def test_a_stranger_appears_with_the_first_act(open_page: Open, api: httpx.Client, complaints: Any) -> None:
    complaints.expect("status of 404")
    page = open_page("/inspect/users/somebody-new")
    expect(page.get_by_role("heading", level=1, name="No such user yet")).to_be_visible()
    act(api, "somebody-new", "music-1")
    expect(page.get_by_role("heading", level=1, name="somebody-new")).to_be_visible()
    wait_for(lambda: row(api, "somebody-new")["event_count"] == 1)
