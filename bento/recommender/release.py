"""One release: a model with its item table, and how it is made ready aside.

A release is loaded, verified, filled with the live items and warmed before anybody is answered by it.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from redis.exceptions import RedisError

from bento.recommender.catalog import Catalog
from bento.recommender.guard import Guard
from bento.recommender.metrics import Metrics
from bento.recommender.shared_items import SharedItems, folder_of, remove_abandoned
from feature_repo.events import Event
from feature_repo.item_table import ItemTable
from feature_repo.online import OnlineStore
from feature_repo.request_features import empty_user
from feature_repo.state import UserState
from infra.settings import Settings
from models.bundle import Bundle, BundleError
from models.index import IndexAway, open_index
from models.scorer import Scorer
from models.sources import Query

log = logging.getLogger(__name__)

FILLED_WITHIN_S = 120.0
"""How long another worker may take to fill the item table that all share."""


@dataclass(frozen=True)
class Release:
    """A model with its item table; without a model only the table.

    Attributes:
        catalog: the items, numbered as the bundle numbers them.
        registered: the version in the registry; None for a bundle from a folder.
        variant: the alias that it is served under, or CANARY.
        guard: how long its answers take.
    """

    catalog: Catalog
    bundle: Bundle | None = None
    scorer: Scorer | None = None
    version: str | None = None
    registered: str | None = None
    variant: str | None = None
    loaded_at: datetime | None = None
    feature_names: tuple[str, ...] = field(default=())
    guard: Guard = field(default_factory=Guard)

    def names(self) -> dict[str, str | None]:
        """As GET /model tells it."""
        return {"model_version": self.version, "registered_version": self.registered}

    def is_same_as(self, other: Release) -> bool:
        """Whether it is the same model in the same memory, under whatever alias."""
        return self.scorer is other.scorer and self.catalog is other.catalog


class Loader:
    """Makes releases ready.

    Args:
        settings: candidates, feature_ttl_s, max_items, recommender_workers, and those of registry and index.
        store: reads item rows.
    """

    def __init__(self, settings: Settings, store: OnlineStore, metrics: Metrics) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics

    def empty(self) -> Release:
        """A release without a model; its table is not filled yet."""
        return Release(Catalog(self._store, ItemTable(()), self._settings.feature_ttl_s))

    def downloaded(self, version: str, variant: str, *, at_start: bool = False) -> Release:
        """A version of the registry, ready.

        Raises:
            BundleError: it cannot be used; the message names the file or feature.
            Anything else: registry or Redis are away.
        """
        from models.registry import download

        with tempfile.TemporaryDirectory(prefix="freshet-release-") as folder:
            return self.prepared(download(self._settings, version, Path(folder)), version, variant, at_start=at_start)

    def prepared(self, path: Path, registered: str | None, variant: str, *, at_start: bool = False) -> Release:
        """A bundle in a folder, ready. Raises as ``downloaded``."""
        bundle = Bundle.load(path)
        bundle.check_features()
        try:
            return self._made(bundle, registered, variant, at_start=at_start)
        except (BundleError, IndexAway, RedisError, OSError):
            raise
        except Exception as error:  # what does not fit together shows in many ways
            raise BundleError(f"it cannot be made ready: {type(error).__name__}: {error}") from error

    def _made(self, bundle: Bundle, registered: str | None, variant: str, *, at_start: bool) -> Release:
        shared = self._shared_items(bundle)
        table = bundle.new_item_table(shared.arrays if shared else None)
        index = open_index(self._settings, bundle)
        scorer = Scorer(bundle, table, self._settings.candidates, index, self._metrics.index_away.inc)
        catalog = Catalog(self._store, table, self._settings.feature_ttl_s, scorer.sync, shared)
        self.fill(catalog, at_start=at_start)
        return Release(
            catalog=catalog,
            bundle=bundle,
            scorer=scorer,
            version=bundle.version,
            registered=registered,
            variant=variant,
            loaded_at=datetime.now(UTC),
            feature_names=bundle.feature_names,
        )

    def fill(self, catalog: Catalog, *, at_start: bool = False) -> None:
        """Read all items. At the start Redis may be away."""
        until = time.monotonic() + FILLED_WITHIN_S
        try:
            catalog.catch_up()
            while catalog.age_s() is None and time.monotonic() < until:  # another worker is at it
                time.sleep(0.1)
                catalog.catch_up()
        except (RedisError, OSError) as error:
            # Later a new release must not come with an empty table; at the start there is no better one.
            if not at_start:
                raise
            log.warning("starting without items: Redis is away: %s", error)
        if catalog.age_s() is None and not at_start:
            raise TimeoutError(f"the item table was not filled within {FILLED_WITHIN_S:.0f} s")

    def _shared_items(self, bundle: Bundle) -> SharedItems | None:
        if self._settings.recommender_workers == 1:
            return None
        remove_abandoned(self._settings.home)
        folder = folder_of(self._settings.home, bundle.version)
        return SharedItems(folder, bundle.categories, self._settings.max_items)


def warm(release: Release) -> None:
    """Run every path once, so that no visitor pays for first use."""
    scorer = release.scorer
    if scorer is None:
        return
    item_ids: Sequence[str] = scorer.items.ids[:20]
    now_us = time.time() * 1e6
    state = UserState()
    for item_id in item_ids:
        state.apply(Event.model_validate({"user_id": "warm", "item_id": item_id, "event_type": "click"}))
    everything = np.ones(len(scorer.items), bool)
    for row in (empty_user(), state.row()):
        query = Query(row, now_us, seen=row["recent_items"])
        scorer.rank(query, scorer.recommend(query, 10, everything).items)
    if item_ids:
        scorer.similar(0, 10, everything)
