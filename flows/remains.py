"""What is left of erased users in the online store, and its end.

The dataflow removes their rows. A materialize that had read them before may write them once more, and fields of a
view that has changed since are known to nobody: what is older than the erasure is removed here, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_repo import wire
from feature_repo.erasures import Bounds
from feature_repo.events import pseudonym
from feature_repo.online import OnlineRow, OnlineStore, changed_key
from feature_repo.schema import PROJECT, USER_FEATURES, USER_PROFILE, USER_SEEN

VIEWS = (USER_FEATURES, USER_SEEN, USER_PROFILE)
NAMES = tuple(view.name for view in VIEWS)
USER = USER_FEATURES.entity

_PREFIX, _PROJECT = wire.entity_prefix(USER), PROJECT.encode()


def remove_remains(client: Any, user_id: str, bounds: Bounds) -> bool:
    """Remove what the online store holds of an erased user; rows of one who came back stay.

    Args:
        client: a ``redis.Redis`` that returns bytes.
        user_id: who was erased.
        bounds: what is older is removed.

    Returns:
        Whether there was something to remove.
    """
    key = wire.entity_key(_PREFIX, user_id, _PROJECT)
    found = came_back = False

    def change(pipe: Any) -> None:
        # Redis tries again when a row is written between this look and the removal.
        nonlocal found, came_back
        store = OnlineStore(pipe, VIEWS)
        rows = {name: row for name, row in store.read_entity(user_id, NAMES).items() if row}
        old = [name for name, row in rows.items() if _is_older(name, row, bounds)]
        came_back = len(rows) > len(old)
        found = bool(old) if came_back else bool(pipe.exists(key))
        pipe.multi()
        if came_back:
            for name in old:
                pipe.hdel(key, *store.codecs[name].hash_fields)
        else:
            pipe.unlink(key)

    client.transaction(change, key)
    # Apart from the row: in a cluster another node has it. A row that comes meanwhile is missed by the console's feed
    # of users until the next one; nobody else reads that feed.
    return bool(not came_back and client.zrem(changed_key(USER), user_id)) or found


def remove_all_remains(client: Any, erased: Mapping[str, Bounds]) -> int:
    """Look through all users for erased ones; returns how many had something to remove.

    Args:
        client: a ``redis.Redis`` that returns bytes.
        erased: pseudonym -> what is older is removed.
    """
    if not erased:
        return 0
    keys = client.scan_iter(match=_PREFIX + b"*", count=1_000)
    users = (wire.entity_id(key, _PREFIX, _PROJECT) for key in keys)
    known = ((user_id, erased.get(pseudonym(user_id))) for user_id in users)
    return sum(remove_remains(client, user_id, bounds) for user_id, bounds in known if bounds)


def _is_older(view: str, row: OnlineRow, bounds: Bounds) -> bool:
    if view == USER_PROFILE.name:
        return row.time_us < bounds.messages_us
    if view == USER_FEATURES.name:
        return (row.features["first_event_us"] or 0) < bounds.events_us
    return row.time_us < bounds.events_us
