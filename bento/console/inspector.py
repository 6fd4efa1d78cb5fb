"""An entity's rows under the glass: our decoder and Feast's SDK on the same bytes."""

from __future__ import annotations

import time
from typing import Any, Literal

from bento.console.feast_sdk import FeastSdk, SdkRead
from bento.console.rows import Entity, OnlineRows, moment, moment_of_s, rows_of
from bento.console.schemas import FeaturePair, InspectAnswer, ViewRow
from bento.errors import NotFound
from feature_repo.online import EntityRequest, OnlineRow
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES, USER_PROFILE, USER_SEEN, View
from infra.settings import Settings

ATTEMPTS = 3
"""So often both are read again when the row changed in between."""

_USER = rows_of(USER_FEATURES, USER_SEEN, USER_PROFILE)
_ITEM = rows_of(ITEM_FEATURES, ITEM_CATALOG)


class Inspector:
    """Reads rows twice and compares.

    Args:
        settings: feature_ttl_s.
        rows: the online store.
        sdk: Feast's.
    """

    def __init__(self, settings: Settings, rows: OnlineRows, sdk: FeastSdk) -> None:
        self._ttl_s = settings.feature_ttl_s
        self._rows = rows
        self._sdk = sdk

    async def user(self, user_id: str) -> InspectAnswer:
        """A user's rows, expired ones too. Raises NotFound, Unavailable."""
        return await self._inspected("user", _USER, user_id)

    async def item(self, item_id: str) -> InspectAnswer:
        """An item's rows, expired ones too. Raises NotFound, Unavailable."""
        return await self._inspected("item", _ITEM, item_id)

    async def _inspected(self, kind: Literal["user", "item"], request: EntityRequest, entity_id: str) -> InspectAnswer:
        entity = await self._read(request, entity_id)
        if not any(entity.rows.values()):
            raise NotFound(f"{kind} {entity_id} has no row in the online store")
        for _ in range(ATTEMPTS):
            before = entity
            read = await self._sdk.read(request.views, entity_id)
            entity = before if read.values is None else await self._read(request, entity_id)
            if entity.rows == before.rows:
                break
        views = [self._view_row(view, entity, read) for view in request.views]
        equal = read.values is not None and all(pair.equal for row in views for pair in row.features)
        return InspectAnswer(entity=kind, id=entity_id, views=views, equal=equal, sdk=read.told)

    async def _read(self, request: EntityRequest, entity_id: str) -> Entity:
        (entity,) = await self._rows.read(request, [entity_id], expired=True)
        return entity

    def _view_row(self, view: View, entity: Entity, read: SdkRead) -> ViewRow:
        row = entity.rows[view.name]
        return ViewRow(
            view=view.name,
            event_timestamp=moment(row.time_us) if row else None,
            age_ms=max(time.time_ns() // 1_000 - row.time_us, 0) / 1_000 if row else None,
            written_at=moment_of_s(entity.written_s),
            ttl_s=self._ttl_s if view.expires else None,
            features=[_pair(view, name, row, read) for name in view.fields] if row else [],
        )


def _pair(view: View, name: str, row: OnlineRow, read: SdkRead) -> FeaturePair:
    online: Any = row.features[name]
    feast = None if read.values is None else read.values[view.name, name]
    return FeaturePair(
        name=name,
        dtype=view.fields[name],
        description=view.descriptions[name],
        online=online,
        feast=feast,
        equal=read.values is not None and feast == online,
    )
