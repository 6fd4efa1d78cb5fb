"""The whole loop without a mouse."""

from __future__ import annotations

from collections.abc import Callable

from page_view import arrived, badge, for_you
from playwright.sync_api import Page, expect

FAR = 20
"""More steps than there are between any two places here."""


def tab_to(page: Page, beginning: str) -> str:
    """Press Tab until something has the focus whose name begins so; gives its name."""
    for _ in range(FAR):
        page.keyboard.press("Tab")
        name: str = page.evaluate("() => document.activeElement?.getAttribute('aria-label') ?? ''")
        if name.startswith(beginning):
            return name
    raise AssertionError(f"{beginning!r} was not reached in {FAR} steps")


def test_a_visitor_clicks_and_asks_why_by_keyboard_alone(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    expect(badge(page, "Popular")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()

    clicked = tab_to(page, "Click ").removeprefix("Click ")
    page.keyboard.press("Enter")
    arrived(page, f"Clicked {clicked}")
    expect(for_you(page).get_by_role("button", name=f"Click {clicked}", exact=True)).to_have_count(0)
    expect(for_you(page).locator(":focus")).to_have_count(1)

    why = tab_to(page, "Why ")
    page.keyboard.press("Enter")
    said = page.get_by_role("dialog", name=why)
    expect(said.get_by_role("heading", name="Reasons")).to_be_visible()
    expect(said.locator(":focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(said).to_be_hidden()
    expect(for_you(page).get_by_role("button", name=why)).to_be_focused()
