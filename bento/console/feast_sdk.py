"""Feast's own store object in this process, for whoever wants to see its values beside ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, NamedTuple

from bento.console.aside import Aside, Busy
from bento.console.schemas import SdkState
from feature_repo.schema import USER_PROFILE, View
from infra.settings import Settings

log = logging.getLogger(__name__)

LOAD_S = 120.0
"""Longest wait for the import and the opening of the store."""

PAUSE_S = 15.0
"""Between two attempts to open the store."""

READ_S = 2.0
"""Longest wait for one read."""


class SdkRead(NamedTuple):
    """What the SDK says of one entity.

    Attributes:
        values: (view, feature) -> value, None where it has none; None: the SDK gave no answer, and ``told`` says why.
    """

    told: SdkState
    values: dict[tuple[str, str], Any] | None


LOADING = SdkRead(
    SdkState(
        state="loading", message="Feast's SDK is being imported; that takes some seconds after a start", took_ms=None
    ),
    None,
)


class FeastSdk:
    """Reads rows as Feast's users do.

    Args:
        settings: Feast's registry and online store.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._aside = Aside("feast")
        self._store: Any = None
        self._trouble = ""

    async def load(self) -> None:
        """Import Feast and open the store: seconds, in a thread. What fails is told by ``read``, and tried again."""
        while self._store is None:
            try:
                self._store = await self._aside.call(self._opened, LOAD_S)
            except Exception as error:  # whatever it is, the console has other things to show
                log.exception("Feast's SDK could not be opened")
                self._trouble = f"Feast's SDK could not be opened: {error}"
                await asyncio.sleep(PAUSE_S)

    def _opened(self) -> Any:
        from feature_repo.store import open_store

        store = open_store(self._settings)
        with suppress(Exception):  # the first read takes half a second; why it fails, if so, the next will tell
            self._read_from(store, (USER_PROFILE,), "nobody")
        return store

    async def read(self, views: Sequence[View], entity_id: str) -> SdkRead:
        """All features of some views of one entity. Never raises: what went wrong is told."""
        if self._store is None:
            return _away(self._trouble) if self._trouble else LOADING
        began = perf_counter()
        try:
            values = await self._aside.call(lambda: self._read_from(self._store, views, entity_id), READ_S)
        except Busy as busy:
            return _away(f"Feast's SDK: {busy}")
        except Exception as error:  # the SDK's own, its registry's and its store's
            log.warning("Feast's SDK cannot read", exc_info=error)
            return _away(f"Feast's SDK: {error}")
        took_ms = round((perf_counter() - began) * 1_000, 3)
        return SdkRead(SdkState(state="ready", message=None, took_ms=took_ms), values)

    @staticmethod
    def _read_from(store: Any, views: Sequence[View], entity_id: str) -> dict[tuple[str, str], Any]:
        from feast.errors import FeatureViewNotFoundException

        refs = [f"{view.name}:{name}" for view in views for name in view.fields]
        asked = [{views[0].entity: entity_id}]
        try:
            answer = store.get_online_features(refs, asked, full_feature_names=True)
        except FeatureViewNotFoundException:  # the definitions may have been applied since the registry was read
            store.refresh_registry()
            answer = store.get_online_features(refs, asked, full_feature_names=True)
        found = answer.to_dict()
        return {(view.name, name): found[f"{view.name}__{name}"][0] for view in views for name in view.fields}


def _away(message: str) -> SdkRead:
    return SdkRead(SdkState(state="away", message=message, took_ms=None), None)
