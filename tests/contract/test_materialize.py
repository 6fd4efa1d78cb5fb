"""The work of the materialize flow by the SDK: offline rows come online, but nobody who is erased meanwhile."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from feature_repo.erasures import Erasures
from feature_repo.events import Event, UserProfile
from feature_repo.online import OnlineStore
from feature_repo.schema import SEGMENT_FAVOURITES, USER_FEATURES, USER_PROFILE, USER_SEEN, VIEWS
from feature_repo.store import apply_definitions, open_store
from flows.backfill import write_history
from flows.materialize import bring_online, offline_rows
from infra.settings import Settings


def test_users_who_are_erased_meanwhile_do_not_come_back(definitions: Settings, redis_client: Any) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    events = [
        Event(user_id=user, item_id="i", event_type="click", timestamp=start, value=None, event_id=user)
        for user in ("anna", "bert")
    ]
    profiles = [UserProfile(user_id=event.user_id, segments=("s",)) for event in events]
    write_history(definitions.offline_dir, events, [], profiles)
    apply_definitions(open_store(definitions))
    with closing(Erasures(definitions.database_url)) as erasures:
        erasures.request("anna")
    bring_online.fn(definitions, list(offline_rows(definitions)), datetime.now(UTC))
    online = OnlineStore(redis_client, VIEWS)
    for view in (USER_FEATURES, USER_SEEN, USER_PROFILE):
        anna, bert = online.read(view.name, ["anna", "bert"])
        assert anna is None and bert is not None, view.name
    (favourites,) = online.read(SEGMENT_FAVOURITES.name, ["s"])
    assert favourites is not None and favourites.features["items"] == ["i"]
    assert not any(b"anna" in key for key in redis_client.scan_iter())
