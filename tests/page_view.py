"""The page as its tests see and use it: rails, cards, journeys, and who looks."""

from __future__ import annotations

import re
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

STEPS = ("Accepted", "In Kafka", "Feature written", "Answer changed")
DURATION = re.compile(r"\d (ms|s)\b")


def for_you(page: Page) -> Locator:
    """The rail of the visitor's own list."""
    return page.get_by_role("region", name="For you")


def badge(page: Page, label: str) -> Locator:
    """What that rail says its list is, such as `Personal`."""
    return for_you(page).get_by_text(label, exact=True)


def cards(rail: Locator) -> Locator:
    """The cards of a rail, in their order."""
    return rail.locator("[data-item]")


def items(rail: Locator) -> list[str]:
    """The item ids of a rail, in their order, once it has some."""
    expect(cards(rail).first).to_be_visible()
    found: list[str] = cards(rail).evaluate_all("cards => cards.map((card) => card.dataset.item)")
    return found


def named(card: Locator) -> tuple[str, str]:
    """Item id and title of a card."""
    return card.get_attribute("data-item") or "", card.get_attribute("aria-label") or ""


def journey(page: Page) -> Locator:
    """Where an act's way is shown."""
    return page.get_by_role("region", name="Journey of your last act")


def step(page: Page, name: str) -> Locator:
    """One of STEPS of the last act."""
    return journey(page).get_by_role("listitem").filter(has_text=name)


def arrived(page: Page, words: str, steps: tuple[str, ...] = STEPS) -> None:
    """The act that is told in these words has got so far, and every step says how long it took."""
    expect(journey(page)).to_contain_text(words)
    for name in steps:
        expect(step(page, name)).to_have_attribute("data-state", "done")
        expect(step(page, name)).to_contain_text(DURATION)


def click(card: Locator) -> tuple[str, str]:
    """Click a card; gives its item id and title."""
    item_id, title = named(card)
    card.get_by_role("button", name=f"Click {title}", exact=True).click()
    return item_id, title


def visitor(page: Page) -> str:
    """Who looks."""
    return page.get_by_label("Look as").input_value()


def look_as(page: Page, user_id: str) -> None:
    """Be somebody who was here before."""
    page.get_by_label("Look as").fill(user_id)
    page.get_by_label("Look as").press("Enter")
    expect(page.get_by_role("link", name=f"You are {user_id}.")).to_be_visible()
    expect(badge(page, "Personal")).to_be_visible()


def row(api: httpx.Client, user_id: str) -> dict[str, Any]:
    """The user's features, as the recommender reads them."""
    features: dict[str, Any] = api.get(f"/api/recommender/users/{user_id}/features").json()["features"]
    return features
