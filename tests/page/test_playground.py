"""The playground: what is set is what is asked, two settings stand side by side, and the command is the request."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

USER = "user-3"
OF_THE_MOMENT = ("recommendation_id", "took_ms", "timestamp", "feature_age_ms")
"""What no two answers to the same question share."""

Open = Callable[..., Page]


@pytest.fixture
def play(open_page: Open) -> Page:
    """The playground, both settings asking for the same user."""
    return open_page(f"/playground?a.user={USER}&b.user={USER}")


def setting(page: Page, side: str) -> Locator:
    """The form of A or B."""
    return page.get_by_role("form", name=f"Setting {side}")


def listed(page: Page, side: str) -> Locator:
    """The rows of list A or B."""
    return page.get_by_role("list", name=f"List {side}").get_by_role("listitem")


def shows(page: Page, side: str, api: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    """A list is what the recommender answers to the same question; gives it."""
    query: dict[str, Any] = {"user_id": USER, "k": 10} | asked
    answer = api.get("/api/recommender/recommend", params=query).json()["recommendations"]
    expect(listed(page, side).get_by_role("link")).to_have_text([item["title"] for item in answer])
    return list(answer)


def sent(command: str) -> httpx.Response:
    """What a shell makes of a command, sent: the shell's own words for curl, curl's work by httpx."""
    script = 'curl() { printf "%s\\0" "$@"; }; ' + command
    words = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]
    silent, address, *rest = words
    assert silent == "-sS"
    options = list(zip(rest[::2], rest[1::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    data = next((value for name, value in options if name == "-d"), None)
    with httpx.Client(trust_env=False) as client:
        return client.request("GET" if data is None else "POST", address, headers=headers, content=data)


def lasting(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what is of its moment; scores to two digits, since counts fade in between."""
    kept = {name: value for name, value in answer.items() if name not in OF_THE_MOMENT}
    for item in kept["recommendations"]:
        item["score"] = pytest.approx(item["score"], rel=1e-2)
    return kept


def test_two_settings_stand_side_by_side(play: Page, api: httpx.Client) -> None:
    first = shows(play, "A", api)
    shows(play, "B", api)
    differences = play.get_by_role("region", name="Differences")
    expect(differences).to_contain_text("Both settings are the same")
    expect(differences).to_contain_text("The lists are the same.")

    setting(play, "B").get_by_label("Category", exact=True).fill("music")
    only = shows(play, "B", api, category="music")
    assert {item["item_id"].split("-")[0] for item in only} == {"music"}
    shows(play, "A", api)
    expect(differences).to_contain_text("The settings differ in category.")
    shared = {item["item_id"] for item in only} & {item["item_id"] for item in first}
    expect(differences).to_contain_text(f"{10 * len(shared)} %")
    expect(play).to_have_url(re.compile("b.category=music"))


def test_rules_are_kept(play: Page, api: httpx.Client) -> None:
    first, second, *_ = (item["item_id"] for item in shows(play, "A", api))
    form = setting(play, "B")
    form.get_by_label("Exclude").fill(f"{first} {second}")
    rest = shows(play, "B", api, exclude=f"{first},{second}")
    assert not {first, second} & {item["item_id"] for item in rest}
    expect(listed(play, "A").first).to_contain_text("only A")

    form.get_by_label("Exclude").fill("")
    form.get_by_label("Most per category").fill("2")
    few = shows(play, "B", api, max_per_category=2)
    assert len(few) == 6
    expect(play.get_by_role("region", name="Answer B")).to_contain_text("nothing more may be shown")


def test_diversity_length_and_reasons(play: Page, api: httpx.Client) -> None:
    form = setting(play, "B")
    form.get_by_role("slider").focus()
    play.keyboard.press("End")
    expect(form.get_by_text("Diversity 1")).to_be_visible()
    mixed = shows(play, "B", api, diversity=1)
    assert mixed != shows(play, "A", api)

    form.get_by_label("How many (k)").fill("4")
    shows(play, "B", api, diversity=1, k=4)
    form.get_by_role("switch", name="Explain").check()
    explained = shows(play, "B", api, diversity=1, k=4, explain=True)
    for line, item in zip(listed(play, "B").all(), explained, strict=True):
        expect(line).to_contain_text("; ".join(item["reasons"]))


def test_what_the_service_refuses_stands_at_the_field(play: Page, api: httpx.Client, complaints: Any) -> None:
    complaints.expect("status of 422")
    form = setting(play, "B")
    form.get_by_label("How many (k)").fill("0")
    refused = api.get("/api/recommender/recommend", params={"user_id": USER, "k": 0}).json()["error"]
    expect(form).to_contain_text(refused["details"][0]["message"])
    form.get_by_label("How many (k)").fill("3")
    expect(listed(play, "B")).to_have_count(3)
    expect(form).not_to_contain_text(refused["details"][0]["message"])


@pytest.mark.parametrize("who", ["a user", "a session"])
def test_the_command_gives_the_answer_that_is_shown(play: Page, who: str) -> None:
    play.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if who == "a session":
        setting(play, "A").get_by_text("An anonymous session").click()
        events = [{"item_id": "music-3", "event_type": "click"}, {"item_id": "music-4", "event_type": "purchase"}]
        setting(play, "A").get_by_label("Events of the session").fill(json.dumps(events))
    else:
        setting(play, "A").get_by_label("Exclude").fill("music-1 it's-none")
    wire = play.get_by_role("region", name="Request A", exact=True)
    expect(wire).to_contain_text("-d '{" if who == "a session" else "s-none")
    expect(play.get_by_role("region", name="Answer A").locator("[data-stale=true]")).to_have_count(0)
    expect(listed(play, "A")).to_have_count(10)

    wire.get_by_text("The answer as JSON").click()
    expect(wire).to_contain_text("took_ms")
    wire.get_by_role("button", name="Copy: answer A as JSON").click()
    expect(wire.get_by_role("button", name="Copied: answer A as JSON")).to_be_visible()
    shown = json.loads(play.evaluate("() => navigator.clipboard.readText()"))
    command = wire.get_by_role("region", name="Request A as curl").inner_text()
    answer = sent(command)
    assert answer.status_code == 200, answer.text
    assert lasting(answer.json()) == lasting(shown)
