"""An entity's rows under the glass: what was written, what Feast's SDK reads of it, and what happens when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from bento.console import feast_sdk
from feature_repo.events import Event, Item, UserProfile
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES, USER_PROFILE, USER_SEEN, View
from infra.settings import Settings
from tests.bento.conftest import Shop

pytest_plugins = ["tests.bento.console_fixtures"]

NOW = datetime.now(UTC) - timedelta(minutes=5)
LONG_AGO = NOW - timedelta(days=500)


def event(user_id: str, item_id: str, at: datetime = NOW) -> Event:
    return Event(user_id=user_id, item_id=item_id, event_type="purchase", timestamp=at, value=2.5)


def inspect(client: httpx.Client, kind: str, entity_id: str) -> dict[str, Any]:
    answer = client.get(f"/api/console/inspect/{kind}/{entity_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def near(value: Any) -> Any:
    """What a value is after it has been a float32."""
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value


def online(inspected: dict[str, Any], view: View) -> dict[str, Any]:
    """A view's features as the console decodes them."""
    (row,) = (each for each in inspected["views"] if each["view"] == view.name)
    return {feature["name"]: feature["online"] for feature in row["features"]}


def feast(inspected: dict[str, Any], view: View) -> dict[str, Any]:
    """A view's features as Feast's SDK reads them."""
    (row,) = (each for each in inspected["views"] if each["view"] == view.name)
    return {feature["name"]: feature["feast"] for feature in row["features"]}


def test_a_users_rows_are_what_was_written_and_what_feast_reads(console: httpx.Client, rows: Shop) -> None:
    rows.act([event("ann@example.com", f"item-{n}", NOW + timedelta(seconds=n)) for n in range(3)])
    rows.put_users([UserProfile(user_id="ann@example.com", segments=("age:25-34", "ü"))])
    found = inspect(console, "users", "ann@example.com")
    state = rows.users["ann@example.com"]
    assert (found["entity"], found["id"]) == ("user", "ann@example.com")
    assert [view["view"] for view in found["views"]] == [USER_FEATURES.name, USER_SEEN.name, USER_PROFILE.name]
    for view, row in [
        (USER_FEATURES, state.row()),
        (USER_SEEN, state.seen_row()),
        (USER_PROFILE, {"segments": ["age:25-34", "ü"]}),
    ]:
        assert online(found, view) == {name: near(value) for name, value in row.items()}
        assert feast(found, view) == online(found, view)
    assert found["equal"] is True
    assert found["sdk"]["state"] == "ready" and found["sdk"]["took_ms"] > 0


def test_an_items_rows_have_their_times_and_descriptions(console: httpx.Client, rows: Shop) -> None:
    rows.act([event("ann", "50", NOW)])
    rows.put_items([Item(item_id="50", title="Star Wars", categories=("sf",), price=9.99)])
    found = inspect(console, "items", "50")
    counted, entry = found["views"]
    assert (counted["view"], entry["view"]) == (ITEM_FEATURES.name, ITEM_CATALOG.name)
    assert online(found, ITEM_CATALOG)["title"] == "Star Wars"
    assert online(found, ITEM_FEATURES)["event_count"] == 1
    assert found["equal"] is True
    assert datetime.fromisoformat(counted["event_timestamp"]) == NOW
    assert counted["age_ms"] >= 5 * 60_000
    assert (counted["ttl_s"], entry["ttl_s"]) == (365 * 86_400.0, None)
    age_s = (datetime.now(UTC) - datetime.fromisoformat(counted["written_at"])).total_seconds()
    assert 0 <= age_s < 60
    for row, view in ((counted, ITEM_FEATURES), (entry, ITEM_CATALOG)):
        assert [(f["name"], f["dtype"], f["description"]) for f in row["features"]] == [
            (name, dtype, view.descriptions[name]) for name, dtype in view.fields.items()
        ]


def test_a_view_without_a_row_is_empty_and_one_that_has_expired_is_still_shown(
    console: httpx.Client, rows: Shop
) -> None:
    rows.act([event("old", "50", LONG_AGO)])
    found = inspect(console, "users", "old")
    old, _, profile = found["views"]
    assert online(found, USER_FEATURES)["event_count"] == 1
    assert old["age_ms"] / 1_000 > old["ttl_s"]
    assert (profile["features"], profile["event_timestamp"], profile["age_ms"]) == ([], None, None)


@pytest.mark.parametrize("path", ["users/nobody", "items/nothing", "users/a%2Fb", "items/"])
def test_who_is_not_known_is_404(console: httpx.Client, rows: Shop, path: str) -> None:
    answer = console.get(f"/api/console/inspect/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_an_id_that_none_can_have_is_422(console: httpx.Client, rows: Shop) -> None:
    for entity_id in ("a%20b", "%00", "x" * 129):
        assert console.get(f"/api/console/inspect/users/{entity_id}").status_code == 422


def test_what_feast_does_not_read_alike_is_shown_as_different(
    console: httpx.Client, rows: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.act([event("ann", "50")])
    assert inspect(console, "users", "ann")["equal"] is True
    sdk = console.console.inspector._sdk  # type: ignore[attr-defined]
    read = sdk._read_from

    def changes_meanwhile(store: Any, views: Any, entity_id: str) -> Any:
        found = read(store, views, entity_id)
        if changes:
            changes.pop()
            rows.act([event("ann", "51", NOW + timedelta(seconds=len(changes)))])
        return found

    changes = [1, 2]
    monkeypatch.setattr(sdk, "_read_from", changes_meanwhile)
    assert inspect(console, "users", "ann")["equal"] is True, "both were read again"
    changes = [1] * 10
    assert inspect(console, "users", "ann")["equal"] is False


def test_while_feast_is_imported_and_when_it_hangs_the_rest_is_there(
    settings: Settings,
    rows: Shop,
    console: httpx.Client,
    serve_console: Callable[..., httpx.Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows.act([event("ann", "50")])
    loading = inspect(serve_console(settings), "users", "ann")
    assert (loading["sdk"]["state"], loading["equal"]) == ("loading", False)
    assert online(loading, USER_FEATURES)["event_count"] == 1
    monkeypatch.setattr(feast_sdk, "READ_S", 0.0)
    away = inspect(console, "users", "ann")
    assert (away["sdk"]["state"], away["sdk"]["took_ms"], away["equal"]) == ("away", None, False)
    assert "Feast's SDK" in away["sdk"]["message"]
    assert online(away, USER_FEATURES)["event_count"] == 1
    monkeypatch.undo()
    assert inspect(console, "users", "ann")["sdk"]["state"] == "ready"
