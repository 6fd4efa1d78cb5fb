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


def test_removing_rows_leaves_other_views_and_other_entities(online: OnlineStore, redis_client: Any) -> None:
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
    views = [USER_FEATURES.name, USER_SEEN.name, USER_PROFILE.name]
    assert online.remove(USER_FEATURES.name, ["ünter", "nobody"]) == 1
    assert [row is None for row in online.read_entity("ünter", views).values()] == [True, False, False]
    assert [user for user, _ in online.changed_since("user_id", 0)] == ["other"]
    for view in views[1:]:
        online.remove(view, ["ünter"])
    assert not any("ünter".encode() in key for key in redis_client.keys("*user_id*"))
    assert None not in online.read_entity("other", views).values()
    assert None not in online.read(ITEM_CATALOG.name, ["ünter"])


def test_removing_nobody_is_no_error(online: OnlineStore) -> None:
    assert online.remove(USER_SEEN.name, []) == 0
    assert online.remove(USER_SEEN.name, ["nobody"]) == 0
