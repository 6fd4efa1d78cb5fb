"""Rows in Redis without Feast: what is written, told of, and removed."""

from __future__ import annotations

from typing import Any

import pytest

from feature_repo.events import Item, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, USER_FEATURES, USER_PROFILE, USER_SEEN, VIEWS
from feature_repo.state import UserState


@pytest.fixture
def online(redis_client: Any) -> OnlineStore:
    return OnlineStore(redis_client, VIEWS)


def test_removing_a_user_takes_every_view_and_the_place_in_the_change_feed(
    online: OnlineStore, redis_client: Any
) -> None:
    state, profile = UserState(), UserProfile(user_id="any", segments=("s",))
    for user in ("ünter", "other"):
        online.write(
            {
                USER_FEATURES.name: {user: (state.row(), 1)},
                USER_SEEN.name: {user: (state.seen_row(), 1)},
                USER_PROFILE.name: {user: (profile.row(), 1)},
            }
        )
    online.write({ITEM_CATALOG.name: {"ünter": (Item(item_id="ünter").row(), 1)}})
    assert OnlineStore(redis_client, [USER_FEATURES]).remove("user_id", ["ünter", "nobody"]) == 1
    assert set(online.read_entity("ünter", [USER_FEATURES.name, USER_SEEN.name, USER_PROFILE.name]).values()) == {None}
    assert [user for user, _ in online.changed_since("user_id", 0)] == ["other"]
    assert None not in online.read_entity("other", [USER_FEATURES.name, USER_SEEN.name, USER_PROFILE.name]).values()
    assert None not in online.read(ITEM_CATALOG.name, ["ünter"])
    assert not any("ünter".encode() in key for key in redis_client.keys("*user_id*"))


def test_removing_nobody_is_no_error(online: OnlineStore) -> None:
    assert online.remove("user_id", []) == 0
    assert online.remove("user_id", ["nobody"]) == 0
