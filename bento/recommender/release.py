"""Which model answers: follows the alias in the registry and swaps releases between two requests.

A new release is loaded, verified, filled with the live items and warmed aside; then one assignment puts it into
service, and requests under way finish with the old one. A bundle that cannot be used is refused with the
reason, and the old release goes on. At the start it is refused by not starting.
"""

from __future__ import annotations

import gc
import logging
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from redis.exceptions import RedisError

from bento.recommender.catalog import Catalog
from bento.recommender.metrics import Metrics
from feature_repo.events import Event
from feature_repo.item_table import ItemTable
from feature_repo.online import OnlineStore
from feature_repo.request_features import empty_user
from feature_repo.state import UserState
from infra.settings import Settings
from models.bundle import Bundle, BundleError
from models.scorer import Scorer
from models.sources import Query

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Release:
    """A model with its item table; without a model only the table.

    Attributes:
        catalog: the items, numbered as the bundle numbers them.
        registered: the version in the registry; None for a bundle from a folder.
        variant: the alias that it is served under.
    """

    catalog: Catalog
    bundle: Bundle | None = None
    scorer: Scorer | None = None
    version: str | None = None
    registered: str | None = None
    variant: str | None = None
    loaded_at: datetime | None = None
    feature_names: tuple[str, ...] = field(default=())


class Releases:
    """Holds the current release and looks for the next one.

    Args:
        settings: bundle_dir, model_alias, candidates, release_poll_s, feature_ttl_s.
        store: reads item rows.

    Attributes:
        current: the release that answers now; replaced as a whole.
        refused: registry version -> why it is not served.
        trouble: why the last look at the registry brought nothing; empty when nothing is wrong.
    """

    def __init__(self, settings: Settings, store: OnlineStore, metrics: Metrics) -> None:
        self.refused: dict[str, str] = {}
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self.trouble = ""
        self.current = Release(Catalog(store, ItemTable(()), settings.feature_ttl_s))

    def start(self) -> None:
        """Load the first release: the folder's, else the champion; none yet is no error.

        Raises:
            BundleError: it cannot be used; the message names the file or feature.
        """
        if self._settings.bundle_dir is not None:
            self._take(self._prepared(self._settings.bundle_dir, None, at_start=True))
            return
        # Asked again soon anyway: MLflow's own patience, minutes of it, would only delay the start.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        self.check(at_start=True)
        if self.current.scorer is None:
            self._fill(self.current.catalog, at_start=True)
            self._metrics.show_release(None, None)

    def follow(self, stop: threading.Event) -> None:
        """Look for a new champion until told to stop; never raises."""
        while not stop.wait(self._settings.release_poll_s):
            self.check()

    def check(self, at_start: bool = False) -> bool:
        """Take the champion into service when it is a new one. Returns whether it was.

        Raises:
            BundleError: only at the start.
        """
        version = None
        try:
            version = self._champion()
            if version is None or version == self.current.registered or version in self.refused:
                return False
            self._take(self._downloaded(version, at_start))
        except BundleError as error:
            if at_start:
                raise BundleError(f"version {version}: {error}") from error
            self._refuse(str(version), error)
            return False
        except Exception as error:
            self._say(f"the registry's champion could not be taken into service: {error}")
            return False
        self.trouble = ""
        return True

    def _champion(self) -> str | None:
        from models.registry import champion

        return champion(self._settings, self._settings.model_alias)

    def _downloaded(self, version: str, at_start: bool) -> Release:
        from models.registry import download

        with tempfile.TemporaryDirectory(prefix="freshet-release-") as folder:
            return self._prepared(download(self._settings, version, Path(folder)), version, at_start)

    def _prepared(self, path: Path, registered: str | None, at_start: bool) -> Release:
        bundle = Bundle.load(path)
        bundle.check_features()
        table = bundle.new_item_table()
        scorer = Scorer(bundle, table, self._settings.candidates)
        catalog = Catalog(self._store, table, self._settings.feature_ttl_s, changed=lambda _: scorer.sync())
        self._fill(catalog, at_start)
        _warm(scorer, table.ids[:20])
        return Release(
            catalog=catalog,
            bundle=bundle,
            scorer=scorer,
            version=bundle.version,
            registered=registered,
            variant=self._settings.model_alias,
            loaded_at=datetime.now(UTC),
            feature_names=bundle.feature_names,
        )

    def _fill(self, catalog: Catalog, at_start: bool) -> None:
        try:
            catalog.catch_up()
        except (RedisError, OSError) as error:
            # Later a new release must not come with an empty table; at the start there is no better one.
            if not at_start:
                raise
            log.warning("starting without items: Redis is away: %s", error)

    def _take(self, release: Release) -> None:
        self.current = release
        self._metrics.show_release(release.version, release.variant)
        log.info("release %s is served", release.version, extra={"registered": release.registered})
        # Out of the collector's sight, without collecting: that would stop the requests.
        gc.freeze()

    def _refuse(self, version: str, error: BundleError) -> None:
        self.refused[version] = str(error)
        self._metrics.refused.inc()
        log.error("release %s is refused, %s goes on: %s", version, self.current.version, error)

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning(trouble)
        self.trouble = trouble


def _warm(scorer: Scorer, item_ids: Sequence[str]) -> None:
    """Run every path once, so that no visitor pays for first use."""
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
