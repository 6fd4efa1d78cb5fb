"""Puts the recommender together from settings, and takes it down."""

from __future__ import annotations

import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bento.recommender.catalog import follow
from bento.recommender.impressions import Impressions
from bento.recommender.metrics import Metrics
from bento.recommender.pipeline import Pipeline
from bento.recommender.release import Releases
from bento.recommender.visitors import Visitors
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES
from infra.settings import Settings

BACKGROUND_TIMEOUT_S = 5.0
"""Longest wait for Redis outside the request path."""


class Runtime:
    """Everything that one process answers with. Make it in the process that serves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.releases = Releases(settings, _item_store(settings), self.metrics)
        self.visitors = Visitors(settings)
        self.impressions = Impressions(settings, self.metrics)
        self.pipeline = Pipeline(settings, self.releases, self.visitors, self.impressions, self.metrics)
        self._stop = threading.Event()

    def start(self) -> None:
        """Load the release and start following items and releases.

        Raises:
            BundleError: the release cannot be served; the message names the file or feature.
        """
        releases = self.releases
        releases.start()
        self.metrics.follow_table(lambda: releases.current.catalog)
        self.impressions.start()
        arguments = (lambda: releases.current.catalog, self.settings.item_refresh_s, self._stop)
        threading.Thread(target=follow, args=arguments, name="items", daemon=True).start()
        if self.settings.bundle_dir is None:
            threading.Thread(target=releases.follow, args=(self._stop,), name="releases", daemon=True).start()

    async def close(self) -> None:
        """Stop the threads and send what impressions wait."""
        self._stop.set()
        self.impressions.close()
        await self.visitors.close()


def _item_store(settings: Settings) -> OnlineStore:
    client = redis.Redis.from_url(
        settings.redis_url,
        socket_timeout=BACKGROUND_TIMEOUT_S,
        socket_connect_timeout=BACKGROUND_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
    return OnlineStore(client, [ITEM_FEATURES, ITEM_CATALOG])
