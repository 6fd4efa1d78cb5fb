"""The inspector shows what the recommender reads, and what Feast's SDK reads of the same row."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect

SDK_MS = 60_000
"""Feast's import takes its time on a busy machine."""
USER = "user-1"


def test_the_values_are_the_services_and_feasts(open_page: Callable[..., Page], api: httpx.Client) -> None:
    page = open_page(f"/inspect/users/{USER}")
    expect(page.get_by_text("all equal")).to_be_visible(timeout=SDK_MS)
    page.get_by_role("checkbox", name="Hide zeros that agree").uncheck()
    features = api.get(f"/api/recommender/users/{USER}/features").json()["features"]
    view = page.get_by_role("region", name="user_features")
    whole = {name: value for name, value in features.items() if type(value) is int and value < 1_000}
    assert "event_count" in whole
    for name, value in whole.items():
        row = view.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))
        ours, mark, feast = row.get_by_role("cell").all()
        expect(ours).to_have_text(str(value))
        expect(feast).to_have_text(str(value))
        expect(mark.get_by_role("img", name="equal")).to_be_visible()
    expect(page.get_by_role("img", name="differs")).to_have_count(0)
