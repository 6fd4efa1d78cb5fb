"""Watch it learn: somebody acts, sees the act travel, and gets another list; and why an item is in it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from page_view import arrived, badge, cards, click, for_you, items, journey, look_as, named, row, visitor
from playwright.sync_api import Page, expect

KIND = "music"
K = 12

Open = Callable[..., Page]


def of_kind(ids: list[str]) -> int:
    """How many of KIND there are."""
    return sum(item_id.startswith(KIND) for item_id in ids)


def test_five_clicks_make_a_strangers_list_personal(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/")
    rail = for_you(page)
    expect(badge(page, "Popular")).to_be_visible()
    before = items(rail)
    clicked = []
    for _ in range(5):
        item_id, title = click(page.locator(f"[data-item^={KIND}]").first)
        clicked.append(item_id)
        arrived(page, f"Clicked {title}")
        expect(cards(rail).and_(page.locator(f"[data-item={item_id}]"))).to_have_count(0)

    expect(badge(page, "Personal")).to_be_visible()
    expect(rail).to_contain_text("made by the model from this user’s own acts")
    expect(page.get_by_role("region", name=f"Because you watched {title}", exact=True)).to_be_visible()
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
    item_id, title = named(card)
    card.get_by_role("button", name=button.format(title), exact=True).click()
    arrived(page, words.format(title))
    features = row(api, visitor(page))
    told = zip(*(features[f"recent_{name}"] for name in ("items", "types", "values")), strict=True)
    assert list(told) == [(item_id, *counted)]


def test_somebody_looks_as_a_real_user_and_as_a_new_visitor(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/")
    expect(badge(page, "Popular")).to_be_visible()
    stranger = visitor(page)
    look_as(page, "user-4")
    title = row(api, "user-4")["recent_items"][-1].replace("-", " ").title()
    expect(page.get_by_role("region", name=f"Because you watched {title}", exact=True)).to_be_visible()

    page.get_by_role("button", name="New visitor").click()
    expect(badge(page, "Popular")).to_be_visible()
    newcomer = visitor(page)
    assert newcomer not in (stranger, "user-4")
    expect(page.get_by_role("region", name="Because you watched")).to_have_count(0)
    expect(journey(page)).to_contain_text("Click a card")
    page.reload()
    expect(badge(page, "Popular")).to_be_visible()
    assert visitor(page) == newcomer


def test_why_tells_the_services_reasons_and_contributions(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/")
    look_as(page, "user-7")
    card = cards(for_you(page)).nth(2)
    item_id, title = named(card)
    button = card.get_by_role("button", name=f"Why {title}?")
    button.click()

    said = page.get_by_role("dialog", name=f"Why {title}?")
    answer = api.get("/api/recommender/recommend", params=f"user_id=user-7&k={K}&explain=true").json()
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
