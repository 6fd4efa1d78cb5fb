"""The recommender as a BentoML service: ``bentoml serve bento.recommender.service:Recommender``."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading

import bentoml
import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bento.recommender.app import bind, create_app
from bento.recommender.catalog import follow
from bento.recommender.door import Door
from bento.recommender.impressions import Impressions
from bento.recommender.metrics import Metrics
from bento.recommender.pipeline import Pipeline
from bento.recommender.release import Releases
from bento.recommender.visitors import Visitors
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES
from infra.settings import Settings, load_settings
from infra.telemetry import setup_logging
from models.bundle import BundleError

log = logging.getLogger(__name__)
app = create_app()

BACKGROUND_TIMEOUT_S = 5.0
"""Longest wait for Redis outside the request path."""


@bentoml.service(
    name="recommender",
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(Door(app), path="/")
class Recommender:
    """Fresh, labelled recommendations over REST; the routes are in ``app.py``."""

    def __init__(self) -> None:
        settings = load_settings()
        setup_logging("recommender", settings.log_level)
        # Background threads decode rows; a request must get the interpreter back sooner than after 5 ms.
        sys.setswitchinterval(0.0005)
        self._stop = threading.Event()
        self.metrics = Metrics()
        self.releases = Releases(settings, _item_store(settings), self.metrics)
        try:
            self.releases.start()
        except BundleError as error:
            _refuse_to_start(error)
        self.visitors = Visitors(settings)
        self.impressions = Impressions(settings, self.metrics)
        self.pipeline = Pipeline(settings, self.releases, self.visitors, self.impressions, self.metrics)
        bind(app, settings, self.pipeline, self.metrics)
        self._start_threads(settings)
        # The heap is large and stays: out of the collector's sight, or each full collection stops the requests.
        gc.collect()
        gc.freeze()

    def _start_threads(self, settings: Settings) -> None:
        releases = self.releases
        self.metrics.follow_table(lambda: releases.current.catalog)
        self.impressions.start()
        arguments = (lambda: releases.current.catalog, settings.item_refresh_s, self._stop)
        threading.Thread(target=follow, args=arguments, name="items", daemon=True).start()
        if settings.bundle_dir is None:
            threading.Thread(target=releases.follow, args=(self._stop,), name="releases", daemon=True).start()

    def __is_ready__(self) -> bool:
        return not self.pipeline.missing()

    @bentoml.on_shutdown
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


def _refuse_to_start(error: BundleError) -> None:
    log.critical("the recommender does not start: %s", error)
    # BentoML starts a worker that ends anew, for ever: end its supervisor too.
    parent = psutil.Process(os.getppid())
    if any("bentoml" in part for part in parent.cmdline()):
        parent.terminate()
    raise SystemExit(3)
