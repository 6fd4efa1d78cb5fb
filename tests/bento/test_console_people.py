"""Users to choose, cards of items, and the moment when an act has become features; out of a real Redis."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bento.console import arrivals
from feature_repo.events import Event, Item, UserProfile
from infra.settings import Settings, any_ports, load_settings
from tests.bento.conftest import Shop

pytest_plugins = ["tests.bento.console_fixtures"]

NOW = datetime(2026, 5, 4, 12, 0, 0, 123_456, UTC)


@pytest.fixture
def people(settings: Settings, serve_console: Callable[..., httpx.Client]) -> httpx.Client:
    """A console over the test's own Redis, which is empty."""
    return serve_console(settings)


def click(user_id: str, item_id: str, at: datetime, **more: Any) -> Event:
    return Event(user_id=user_id, item_id=item_id, event_type="click", timestamp=at, **more)


def users(client: httpx.Client, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/console/users", params={"count": count}).json()["users"]
    return found


def cards(client: httpx.Client, *ids: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/console/items", params={"ids": ",".join(ids)}).json()["items"]
    return found


def written(client: httpx.Client, event: Event, wait_ms: int = 0, **other: Any) -> httpx.Response:
    named = {"item_id": event.item_id, "event_type": event.event_type, "timestamp": event.timestamp.isoformat()}
    return client.get(f"/api/console/users/{event.user_id}/written", params=named | {"wait_ms": wait_ms} | other)


# Users


def test_nobody_is_there_at_first(people: httpx.Client) -> None:
    assert users(people, 5) == []


def test_the_busiest_and_the_quietest_take_turns(people: httpx.Client, rows: Shop) -> None:
    for n in range(20):
        rows.act([click(f"busy-{n:02}", f"garden-{k}", NOW + timedelta(seconds=k)) for k in range(n + 13)])
    rows.act([click("quiet", "garden-1", NOW)])
    rows.put_users([UserProfile(user_id="quiet", segments=("age:25-34",))])
    found = users(people, 4)
    assert [user["user_id"] for user in found] == ["busy-19", "quiet", "busy-18", "busy-00"]
    assert found[0] | {"last_event": None} == {
        "user_id": "busy-19",
        "event_count": 32,
        "segments": [],
        "last_event": None,
    }
    assert datetime.fromisoformat(found[0]["last_event"]) == NOW + timedelta(seconds=31)
    assert (found[1]["event_count"], found[1]["segments"]) == (1, ["age:25-34"])
    assert found[3]["event_count"] == 13


def test_no_more_than_there_are_and_none_that_the_page_made_up(people: httpx.Client, rows: Shop) -> None:
    rows.act([click(f"visitor-{n}", "garden-1", NOW) for n in range(5)])
    rows.act([click(f"user-{n}", "garden-1", NOW) for n in range(7)])
    rows.put_users([UserProfile(user_id="only-a-profile", segments=("a",))])
    assert sorted(user["user_id"] for user in users(people, 200)) == [f"user-{n}" for n in range(7)]
    assert len(users(people, 2)) == 2
    for count in ("0", "201", "many"):
        assert people.get("/api/console/users", params={"count": count}).status_code == 422


# Items


def test_a_card_has_the_catalogue_and_the_counts(people: httpx.Client, rows: Shop) -> None:
    rows.put_items(
        [
            Item(item_id="new", title="New one", categories=("a", "b"), published_at=datetime(1955, 6, 1), price=9.5),
            Item(item_id="gone", title="", in_stock=False),
            Item(item_id="over", title="Over", expires_at=NOW - timedelta(days=400)),
            Item(item_id="lasts", title="Lasts", expires_at=datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        ]
    )
    rows.act([click("ann", "new", NOW, value=2.0), click("bob", "new", NOW, value=3.0), click("ann", "rumour", NOW)])
    new, gone, over, lasts, rumour = cards(people, "new", "gone", "over", "nobody", "lasts", "rumour", "new")
    assert new == {
        "item_id": "new",
        "title": "New one",
        "categories": ["a", "b"],
        "published": "1955-06-01",
        "price": 9.5,
        "in_stock": True,
        "event_count": 2,
        "mean_value": 2.5,
    }
    assert (gone["item_id"], gone["title"], gone["in_stock"], gone["price"]) == ("gone", None, False, None)
    assert (over["in_stock"], lasts["in_stock"]) == (False, True)
    assert (rumour["title"], rumour["in_stock"], rumour["event_count"], rumour["mean_value"]) == (None, False, 1, None)


def test_items_are_named_and_not_too_many(people: httpx.Client, rows: Shop) -> None:
    rows.put_items([Item(item_id=str(n), title=f"Item {n}") for n in range(0, 200, 2)])
    found = cards(people, *map(str, range(199, -1, -1)))
    assert [card["title"] for card in found] == [f"Item {n}" for n in range(198, -1, -2)]
    for ids in ("", ",,", ",".join(str(n) for n in range(201))):
        answer = people.get("/api/console/items", params={"ids": ids})
        assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, "ids")


# Written


def test_an_event_that_is_there_is_told_at_once_with_its_row(people: httpx.Client, rows: Shop) -> None:
    before = datetime.now(UTC)
    (event,) = rows.click("ann", "garden-1")
    told = written(people, event, wait_ms=10_000).json()
    assert told["written"] is True
    assert told["event_count"] == 1
    assert told["waited_ms"] < 10_000
    at = datetime.fromisoformat(told["written_at"])
    assert before <= at <= datetime.now(UTC)
    assert told["after_event_ms"] == pytest.approx((at - event.timestamp).total_seconds() * 1_000, abs=1.5)


def test_the_wait_ends_when_the_stream_writes_the_row(
    people: httpx.Client, rows: Shop, eventually: Callable[..., Any]
) -> None:
    event = click("ann", "garden-1", NOW)
    waiting = people.console.arrivals  # type: ignore[attr-defined]
    with ThreadPoolExecutor(1) as beside:
        answer = beside.submit(written, people, event, 10_000)
        eventually(lambda: waiting._waiting == 1, 5)
        rows.act([click("ann", "garden-2", NOW), click("bob", "garden-1", NOW)])
        assert not answer.done()
        rows.act([event])
        told = answer.result(5).json()
    assert (told["written"], told["event_count"]) == (True, 2)
    assert waiting._waiting == 0


@pytest.mark.parametrize(
    "other",
    [
        {"item_id": "garden-2"},
        {"event_type": "view"},
        {"timestamp": (NOW + timedelta(milliseconds=1)).isoformat()},
        {"timestamp": (NOW - timedelta(milliseconds=1)).isoformat()},
    ],
)
def test_who_cannot_name_an_event_learns_nothing(people: httpx.Client, rows: Shop, other: dict[str, str]) -> None:
    rows.act([event := click("ann", "garden-1", NOW)])
    nothing = {"written": False, "written_at": None, "event_count": None, "after_event_ms": None}
    told = written(people, event, wait_ms=20, **other).json()
    assert told.pop("waited_ms") >= 20
    assert told == nothing
    stranger = written(people, click("nobody", "garden-1", NOW)).json()
    assert {name: stranger[name] for name in nothing} == nothing


def test_a_time_is_taken_however_it_is_written(people: httpx.Client, rows: Shop) -> None:
    rows.act([event := click("ann", "garden-1", NOW)])
    iso = ("2026-05-04T12:00:00.123Z", "2026-05-04T14:00:00.123999+02:00", "2026-05-04T12:00:00.123")
    for text in (*iso, str(NOW.timestamp())):
        assert written(people, event, timestamp=text).json()["written"] is True, text
    for text in ("yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", ""):
        answer = written(people, event, timestamp=text)
        assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, "timestamp"), text
    for name, value in {"event_type": "sneeze", "item_id": "a b", "wait_ms": "10001"}.items():
        assert written(people, event, **{name: value}).status_code == 422


def test_very_old_events_are_over_the_edge(people: httpx.Client, rows: Shop) -> None:
    events = [click("ann", f"garden-{n}", NOW + timedelta(seconds=n)) for n in range(51)]
    rows.act(events)
    assert [written(people, event).json()["written"] for event in (events[0], events[1], events[-1])] == [
        False,
        True,
        True,
    ]


def test_many_wait_at_once_and_each_is_told_of_his_own(
    people: httpx.Client, rows: Shop, eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MOST_WAITING", 12)
    events = [click(f"user-{n}", "garden-3", NOW + timedelta(days=30, seconds=n)) for n in range(12)]
    waiting = people.console.arrivals  # type: ignore[attr-defined]
    with ThreadPoolExecutor(12) as beside:
        answers = [beside.submit(written, people, event, 10_000) for event in events]
        eventually(lambda: waiting._waiting == 12, 10)
        refused = written(people, events[0], 10_000)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) > 0
        rows.act(events[::-1])
        assert [answer.result(10).json()["written"] for answer in answers] == [True] * 12
    assert written(people, events[0]).json()["written"] is True, "there is room again"


# Redis away


def test_without_redis_all_is_503_at_once_and_well_again_when_it_is_back(
    start_stack: Callable[..., Any],
    serve_console: Callable[..., httpx.Client],
    tmp_path: Any,
    eventually: Callable[..., Any],
) -> None:
    stack = start_stack(load_settings(home=tmp_path / "home", uis=False, **any_ports()), "redis")
    client = serve_console(stack.settings)
    event = click("user-1", "garden-1", NOW)
    paths = ("users", "items?ids=garden-1", "inspect/users/user-1", "inspect/items/garden-1")
    with ThreadPoolExecutor(1) as beside:
        waits = beside.submit(written, client, event, 10_000)
        eventually(lambda: client.console.arrivals._waiting == 1, 5)  # type: ignore[attr-defined]
        stack.kill("redis")
        answers = [waits.result(8), *(client.get(f"/api/console/{path}") for path in paths)]
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "unavailable")
        assert "Redis" in error["message"]
        assert int(answer.headers["retry-after"]) > 0
        assert "content-security-policy" in answer.headers
    assert client.get("/api/console/health").status_code == 200
    stack.restart("redis")
    Shop(stack.settings.redis_url).act([event])
    assert [user["user_id"] for user in users(client, 5)] == ["user-1"]
    assert written(client, event).json()["written"] is True


def test_a_redis_that_hangs_is_given_up(
    home: Settings, serve_console: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bento.console.rows.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
        client = serve_console(home.model_copy(update={"redis_url": f"redis://127.0.0.1:{mute.getsockname()[1]}/0"}))
        with ThreadPoolExecutor(40) as many:  # more than there are connections
            answers = list(many.map(lambda n: client.get("/api/console/items", params={"ids": str(n)}), range(40)))
    assert {answer.status_code for answer in answers} == {503}
