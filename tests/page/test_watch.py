"""Watch it learn: somebody acts, sees the act travel, and gets another list; and why an item is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

STEPS = ("Accepted", "In Kafka", "Feature written", "Answer changed")
DURATION = re.compile(r"\d (ms|s)\b")
KIND = "music"
K = 12

Open = Callable[..., Page]


def for_you(page: Page) -> Locator:
    """The rail of the visitor's own list."""
    return page.get_by_role("region", name="For you")


def cards(rail: Locator) -> Locator:
    """The cards of a rail, in their order."""
    return rail.locator("[data-item]")


def items(rail: Locator) -> list[str]:
    """The item ids of a rail, in their order, once it has some."""
    expect(cards(rail).first).to_be_visible()
    found: list[str] = cards(rail).evaluate_all("cards => cards.map((card) => card.dataset.item)")
    return found


def of_kind(ids: list[str]) -> int:
    """How many of KIND there are."""
    return sum(item_id.startswith(KIND) for item_id in ids)


def journey(page: Page) -> Locator:
    """Where an act's way is shown."""
    return page.get_by_role("region", name="Journey of your last act")


def arrived(page: Page, words: str) -> None:
    """The act that is told in these words has gone all its way, and every step says how long it took."""
    expect(journey(page)).to_contain_text(words)
    for step in STEPS:
        line = journey(page).get_by_role("listitem").filter(has_text=step)
        expect(line).to_have_attribute("data-state", "done")
        expect(line).to_contain_text(DURATION)


def visitor(page: Page) -> str:
    """Who looks."""
    return page.get_by_label("Look as").input_value()


def look_as(page: Page, user_id: str) -> None:
    """Be somebody who was here before."""
    page.get_by_label("Look as").fill(user_id)
    page.get_by_label("Look as").press("Enter")
    expect(page.get_by_role("link", name=f"You are {user_id}.")).to_be_visible()


def row(api: httpx.Client, user_id: str) -> dict[str, Any]:
    """The user's features, as the recommender reads them."""
    features: dict[str, Any] = api.get(f"/api/recommender/users/{user_id}/features").json()["features"]
    return features


def test_five_clicks_make_a_strangers_list_personal(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/")
    rail = for_you(page)
    expect(rail.get_by_text("Popular", exact=True)).to_be_visible()
    before = items(rail)
    clicked = []
    for _ in range(5):
        card = cards(rail).and_(page.locator(f"[data-item^={KIND}]")).first
        title = card.get_attribute("aria-label") or ""
        clicked.append(card.get_attribute("data-item"))
        card.get_by_role("button", name=f"Click {title}", exact=True).click()
        arrived(page, f"Clicked {title}")
        expect(cards(rail).and_(page.locator(f"[data-item={clicked[-1]}]"))).to_have_count(0)

    expect(rail.get_by_text("Personal", exact=True)).to_be_visible()
    expect(rail).to_contain_text("made by the model from this user’s own acts")
    expect(page.get_by_role("region", name=f"Because you watched {title}")).to_be_visible()
    after = items(rail)
    assert after != before
    assert of_kind(after) > of_kind(before)
    features = row(api, visitor(page))
    assert (features["event_count"], features["recent_items"]) == (5, clicked)


@pytest.mark.parametrize(
    ("button", "words", "counted"),
    [
        ("Rate {} 4 of 5", "Rated {} 4 of 5", ("rate", 4.0)),
        ("Add {} to the cart", "Put {} in the cart", ("add_to_cart", 0.0)),
        ("Buy {}", "Bought {}", ("purchase", 0.0)),
    ],
)
def test_other_acts_count_as_what_they_are(
    open_page: Open, api: httpx.Client, button: str, words: str, counted: tuple[str, float]
) -> None:
    page = open_page("/")
    card = cards(for_you(page)).first
    title, item_id = card.get_attribute("aria-label") or "", card.get_attribute("data-item")
    card.get_by_role("button", name=button.format(title), exact=True).click()
    arrived(page, words.format(title))
    features = row(api, visitor(page))
    told = zip(*(features[f"recent_{name}"] for name in ("items", "types", "values")), strict=True)
    assert list(told) == [(item_id, *counted)]


def test_somebody_looks_as_a_real_user_and_as_a_new_visitor(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/")
    expect(for_you(page).get_by_text("Popular", exact=True)).to_be_visible()
    stranger = visitor(page)
    look_as(page, "user-4")
    expect(for_you(page).get_by_text("Personal", exact=True)).to_be_visible()
    last = row(api, "user-4")["recent_items"][-1]
    title = last.replace("-", " ").title()
    expect(page.get_by_role("region", name=f"Because you watched {title}", exact=True)).to_be_visible()

    page.get_by_role("button", name="New visitor").click()
    expect(for_you(page).get_by_text("Popular", exact=True)).to_be_visible()
    assert visitor(page) not in (stranger, "user-4")
    expect(page.get_by_role("region", name="Because you watched")).to_have_count(0)
    expect(journey(page)).to_contain_text("Click a card")
    page.reload()
    expect(for_you(page).get_by_text("Popular", exact=True)).to_be_visible()
    assert visitor(page).startswith("visitor-")


def test_why_tells_the_services_reasons_and_contributions(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/")
    look_as(page, "user-7")
    expect(for_you(page).get_by_text("Personal", exact=True)).to_be_visible()
    card = cards(for_you(page)).nth(2)
    title, item_id = card.get_attribute("aria-label") or "", card.get_attribute("data-item")
    button = card.get_by_role("button", name=f"Why {title}?")
    button.click()

    said = page.get_by_role("dialog", name=f"Why {title}?")
    asked = {"user_id": "user-7", "k": K, "explain": "true"}
    answer = api.get("/api/recommender/recommend", params=asked).json()
    [item] = [each for each in answer["recommendations"] if each["item_id"] == item_id]
    assert item["reasons"]
    expect(said.get_by_role("listitem")).to_have_text(item["reasons"])
    expect(said).to_contain_text(answer["model_version"])
    bars = said.get_by_role("row").filter(has=page.get_by_role("rowheader"))
    expect(bars).to_have_count(len(item["contributions"]))
    shown = {
        bar.get_by_role("rowheader").get_attribute("title"): float(
            bar.get_by_role("cell").inner_text().replace("−", "-")
        )
        for bar in bars.all()
    }
    assert shown == pytest.approx(item["contributions"], abs=0.011)

    page.keyboard.press("Escape")
    expect(said).to_be_hidden()
    expect(button).to_be_focused()
