"""What an erased user leaves in a real Redis is found and removed; whoever came back stays."""

from __future__ import annotations

from typing import Any

import pytest

from feature_repo import wire
from feature_repo.erasures import Bounds
from feature_repo.events import Event, UserProfile, pseudonym
from feature_repo.online import OnlineStore, changed_key
from feature_repo.schema import PROJECT, USER_PROFILE
from feature_repo.state import UserState
from flows.remains import VIEWS, remove_all_remains, remove_remains

MOMENT_US = 1_790_000_000_000_000
BOUNDS = Bounds(events_us=MOMENT_US + 500, messages_us=MOMENT_US)


@pytest.fixture
def store(redis_client: Any) -> OnlineStore:
    return OnlineStore(redis_client, VIEWS)


def act(store: OnlineStore, user_id: str, *times_us: int) -> None:
    """The rows of a user whose events have these times."""
    state = UserState()
    for time_us in times_us:
        state.apply(
            Event(user_id=user_id, item_id="i", event_type="click", timestamp=time_us / 1e6, value=None, event_id="e")
        )
    rows = {"user_features": state.row(), "user_seen": state.seen_row()}
    store.write({view: {user_id: (row, state.last_us)} for view, row in rows.items()})


def put(store: OnlineStore, user_id: str, logged_us: int) -> None:
    store.write({USER_PROFILE.name: {user_id: (UserProfile(user_id=user_id).row(), logged_us)}})


def views_of(store: OnlineStore, user_id: str) -> set[str]:
    return {name for name, row in store.read_entity(user_id, [view.name for view in VIEWS]).items() if row}


def users_in(redis_client: Any) -> tuple[int, list[bytes]]:
    hashes = [key for key in redis_client.scan_iter() if key != changed_key("user_id").encode()]
    return len(hashes), redis_client.zrange(changed_key("user_id"), 0, -1)


def test_all_of_an_erased_user_goes_and_nothing_of_another(store: OnlineStore, redis_client: Any) -> None:
    for user in ("anna", "bert"):
        act(store, user, MOMENT_US - 5_000_000, MOMENT_US)
        put(store, user, MOMENT_US - 1)
    assert remove_remains(redis_client, "anna", BOUNDS)
    assert not remove_remains(redis_client, "anna", BOUNDS), "the second look finds nothing"
    assert users_in(redis_client) == (1, [b"bert"])
    assert len(views_of(store, "bert")) == 3


def test_who_came_back_keeps_his_new_rows_only(store: OnlineStore, redis_client: Any) -> None:
    put(store, "anna", MOMENT_US - 1)
    act(store, "anna", MOMENT_US + 500)
    assert remove_remains(redis_client, "anna", BOUNDS)
    assert views_of(store, "anna") == {"user_features", "user_seen"}
    put(store, "anna", MOMENT_US)
    assert not remove_remains(redis_client, "anna", BOUNDS)
    assert len(views_of(store, "anna")) == 3
    act(store, "anna", MOMENT_US + 499, MOMENT_US + 900)
    assert remove_remains(redis_client, "anna", BOUNDS), "a row with one older event is an old row"
    assert views_of(store, "anna") == {"user_seen", USER_PROFILE.name}


def test_what_no_view_knows_goes_too(store: OnlineStore, redis_client: Any) -> None:
    key = wire.entity_key(wire.entity_prefix("user_id"), "anna", PROJECT.encode())
    redis_client.hset(key, b"of a former view", b"?")
    assert remove_remains(redis_client, "anna", BOUNDS)
    redis_client.zadd(changed_key("user_id"), {"anna": 1.0})
    assert remove_remains(redis_client, "anna", BOUNDS)
    assert users_in(redis_client) == (0, [])


def test_erased_users_are_found_among_all_by_pseudonym(store: OnlineStore, redis_client: Any) -> None:
    for user in ("anna", "bert", "cäcilie*"):
        act(store, user, MOMENT_US)
    erased = {pseudonym(user): BOUNDS for user in ("cäcilie*", "bert", "nobody")}
    assert remove_all_remains(redis_client, erased) == 2
    assert users_in(redis_client) == (1, [b"anna"])
    assert remove_all_remains(redis_client, {}) == 0
