"""Puts the recommender together from settings, and takes it down."""

from __future__ import annotations

import threading

from redis.backoff import NoBackoff
from redis.retry import Retry

from bento.access.audit import Audit
from bento.access.gate import Gate
from bento.recommender.admin import Admin
from bento.recommender.catalog import follow
from bento.recommender.experiments import Experiments
from bento.recommender.fallback import Ladder
from bento.recommender.impressions import Impressions
from bento.recommender.load import Load
from bento.recommender.lookups import Lookups
from bento.recommender.metrics import Metrics
from bento.recommender.needs import needs
from bento.recommender.paging import Pages
from bento.recommender.pipeline import Pipeline
from bento.recommender.releases import Releases
from bento.recommender.rules import SeenRule
from bento.recommender.shadow import Shadows
from bento.recommender.visitors import Visitors
from bento.recommender.workers import metrics_folder
from bento.stopping import Drain
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES
from infra.redis_url import connect
from infra.settings import Settings
from infra.tracing import Tracer

BACKGROUND_TIMEOUT_S = 5.0
"""Longest wait for Redis outside the request path."""


class Runtime:
    """Everything that one process answers with. Make it in the process that serves.

    Raises:
        SettingsError: keys, roles or rates cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        workers = settings.recommender_workers
        self.metrics = Metrics(metrics_folder(settings.home) if workers > 1 else None)
        self.audit = Audit(self.metrics.admin_acts)
        self.gate = Gate(settings, needs, self.audit)
        self.load = Load(settings, self.metrics)
        self.drain = Drain(settings.drain_s)
        self.tracer = Tracer("recommender", settings)
        self.releases = Releases(settings, _item_store(settings), self.metrics)
        self.visitors = Visitors(settings, self.metrics, SeenRule.of(settings).view)
        self.impressions = Impressions(settings, self.metrics)
        self.pages = Pages(settings, self.metrics)
        self.experiments = Experiments(settings, self.releases, self.metrics)
        self.shadows = Shadows(settings, self.releases, self.impressions, self.metrics, lambda: self.load.under_way)
        ladder = Ladder(settings, self.metrics)
        self.pipeline = Pipeline(
            settings,
            self.releases,
            self.visitors,
            self.impressions,
            self.pages,
            ladder=ladder,
            experiments=self.experiments,
            shadows=self.shadows,
            metrics=self.metrics,
        )
        self.lookups = Lookups(settings, self.releases, self.visitors, ladder)
        self.admin = Admin(settings, self.releases, self.audit)
        self._stop = threading.Event()

    def start(self) -> None:
        """Load the release and start following items and releases.

        Raises:
            BundleError: the release cannot be served; the message names the file or feature.
        """
        releases = self.releases
        releases.start()
        self.metrics.follow_table(lambda: releases.current.catalog)
        self.metrics.watch(self.load.show)
        self.impressions.start()
        self.pages.start()
        self.experiments.start()
        self.shadows.start()
        arguments = (releases.catalogs, self.settings.item_refresh_s, self._stop)
        threading.Thread(target=follow, args=arguments, name="items", daemon=True).start()
        if self.settings.bundle_dir is None:
            threading.Thread(target=releases.follow, args=(self._stop,), name="releases", daemon=True).start()

    def missing(self) -> dict[str, str]:
        """What stands between this process and readiness: part -> what to do; empty when it is ready."""
        return {"process": "it is about to stop"} if self.drain.begun else self.lookups.missing()

    async def close(self) -> None:
        """Stop the threads and send what impressions wait."""
        self._stop.set()
        self.experiments.close()
        self.shadows.close()
        self.impressions.close()
        self.pages.close()
        await self.visitors.close()
        self.metrics.close()
        self.tracer.close()


def _item_store(settings: Settings) -> OnlineStore:
    client = connect(
        settings.redis_url,
        socket_timeout=BACKGROUND_TIMEOUT_S,
        socket_connect_timeout=BACKGROUND_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
    return OnlineStore(client, [ITEM_FEATURES, ITEM_CATALOG])
