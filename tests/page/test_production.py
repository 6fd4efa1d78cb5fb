"""In production mode a visitor's page needs no key, and shows nothing that is the administrator's until it has one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from page_stack import ADMIN_KEY, address, wait_for
from page_view import arrived, badge, cards, click, for_you, visitor
from playwright.sync_api import Page, expect

from infra.processes import free_ports
from infra.servers import answers

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def url(stack: Any) -> Iterator[str]:
    """A second console in front of the same services: one that faces the public."""
    (port,) = free_ports(stack.settings.host, 1)
    settings = stack.settings.model_copy(update={"mode": "production", "console_port": port})
    where = address(stack, "console").replace(str(stack.settings.console_port), str(port))
    environment = {**os.environ, **settings.environment()}
    with subprocess.Popen([sys.executable, "-m", "bento.console"], env=environment) as process:
        try:
            wait_for(lambda: answers(f"{where}/api/console/health"))
            yield where
        finally:
            process.terminate()


def test_a_visitor_is_served_without_a_key(open_page: Open, complaints: Any) -> None:
    complaints.expect("status of 401")
    page = open_page("/")
    expect(page.get_by_text("is away")).to_have_count(0)
    _, title = click(cards(for_you(page)).first)
    arrived(page, f"Clicked {title}")
    expect(badge(page, "Personal")).to_be_visible()

    page.reload()
    expect(badge(page, "Personal")).to_be_visible()
    assert page.get_by_text("is away").count() == 0


def test_what_is_the_administrators_wants_the_key_and_then_comes(open_page: Open, complaints: Any) -> None:
    complaints.expect("status of 401")
    page = open_page("/")
    click(cards(for_you(page)).first)
    expect(badge(page, "Personal")).to_be_visible()
    who = visitor(page)
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Inspect").click()
    page.get_by_role("link", name=f"You are {who}.").click()
    expect(page.get_by_text("For the administrator").first).to_be_visible()
    assert page.get_by_text("event_count").count() == 0

    page.get_by_role("navigation", name="Views").get_by_role("link", name="Control").click()
    page.get_by_label("Admin key", exact=True).fill(ADMIN_KEY)
    expect(page.get_by_text("This key may promote and roll back.")).to_be_visible()
    page.get_by_role("link", name=f"You are {who}.").click()
    expect(page.get_by_text("event_count").first).to_be_visible()
    assert ADMIN_KEY not in page.content()
