"""The control room: who has the key promotes and rolls back by clicking, who has not cannot, and signs of life show."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
from page_stack import ADMIN_KEY, wait_for
from playwright.sync_api import Locator, Page, expect
from sample_shop import CATEGORIES

TRIAL_MS = 120_000
"""A promoted version is loaded, then tried for FRESHET_CANARY_S."""

Open = Callable[..., Page]


def part(page: Page, title: str) -> Locator:
    """One part of the room."""
    return page.get_by_role("region", name=title, exact=True)


def release(page: Page, name: str) -> Locator:
    """A release in memory: `Serves`, `Way back`, ..."""
    return page.get_by_text(name, exact=True).locator("..")


def served(api: httpx.Client) -> str:
    """The version that the recommender says it serves, once none is on trial."""
    found: list[str] = []

    def settled() -> bool:
        model = api.get("/api/recommender/model").json()
        versions = api.get("/api/console/models").json()["versions"]
        found[:] = [model["registered_version"]]
        return model["canary"] is None and found == [
            each["version"] for each in versions if "champion" in each["aliases"]
        ]

    wait_for(settled, within_s=TRIAL_MS / 1_000)
    return found[0]


def test_only_the_key_changes_the_model(open_page: Open, api: httpx.Client, complaints: Any) -> None:
    complaints.expect("status of 40")
    champion = served(api)
    other = {"1": "2", "2": "1"}[champion]
    page = open_page("/control")
    serves = release(page, "Serves")
    expect(serves).to_contain_text(f"Version {champion}")
    promote, back = (page.get_by_role("button", name=name) for name in (f"Promote version {other}", "Roll back"))
    expect(promote).to_be_disabled()
    field = page.get_by_label("Admin key", exact=True)
    field.fill("a guess")
    expect(page.get_by_text("Not the right key")).to_be_visible()
    expect(promote).to_be_disabled()
    expect(back).to_be_disabled()

    field.fill(ADMIN_KEY)
    expect(page.get_by_text("This key may promote and roll back.")).to_be_visible()
    promote.click()
    asked = page.get_by_role("dialog", name=f"Promote version {other}?")
    asked.get_by_role("button", name=f"Promote version {other}").click()
    expect(page.get_by_text(f"The champion alias names version {other} now")).to_be_visible()
    expect(serves).to_contain_text(f"Version {other}", timeout=TRIAL_MS)
    assert served(api) == other

    back.click()
    asked = page.get_by_role("dialog", name=f"Leave version {other}?")
    asked.get_by_label("Reason").fill("only a test")
    asked.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"Version {champion} serves again, version {other} was left.")).to_be_visible()
    expect(serves).to_contain_text(f"Version {champion}")
    assert served(api) == champion
    left = part(page, "Model").get_by_role("listitem").filter(has_text="only a test")
    expect(left.first).to_contain_text(f"Version {other}")


def test_vital_signs_show_what_happens(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/control")
    events = part(page, "Vitals").get_by_role("button", name=re.compile("^Events"))
    expect(events).to_be_visible()
    for item_id in (f"{kind}-{n}" for n in range(7) for kind in CATEGORIES):
        view = {"user_id": "user-20", "item_id": item_id, "event_type": "view"}
        api.post("/api/ingest/events", json=view).raise_for_status()
    expect(events).to_contain_text(re.compile(r"Events.*?(0\.\d*[1-9]|[1-9])\S* / s"))
    events.click()
    expect(events).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("button", name="Close the chart of Events")).to_be_visible()


def test_other_tools_are_named_with_the_way_to_them(open_page: Open, api: httpx.Client) -> None:
    page = open_page("/control")
    links = api.get("/api/console/config").json()["links"]
    assert {link["name"] for link in links} == {"MLflow", "Prefect", "Feast", "Grafana"}
    tools = part(page, "Other tools")
    for link in links:
        tool = tools.get_by_role("listitem").filter(has_text=link["name"])
        expect(tool).to_contain_text("Up" if link["up"] else "Not up")
        expect(tool.get_by_role("link")).to_have_count(1 if link["up"] else 0)
