"""The recommender as a BentoML service: ``bentoml serve bento.recommender.service:Recommender``."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys

import bentoml

from bento.recommender.app import bind, create_app
from bento.recommender.door import observed
from bento.recommender.runtime import Runtime
from bento.served import behind, refuse_to_start
from infra.settings import SettingsError, load_settings
from infra.telemetry import setup_logging
from models.bundle import BundleError

app = create_app()


@bentoml.service(
    service_class=behind(observed(app)),
    name="recommender",
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    workers=load_settings().recommender_workers,
    # A request's arrays are small: more threads only wait for each other, and burn three times the CPU.
    envs=[{"name": name, "value": "1"} for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")],
)
class Recommender:
    """Fresh, labelled recommendations over REST; the routes are in ``app.py``."""

    def __init__(self) -> None:
        settings = load_settings()
        setup_logging("recommender", settings)
        # Without a handler uvicorn does not even word its lines.
        logging.getLogger("uvicorn.access").handlers = []
        logging.getLogger("uvicorn.access").propagate = False
        # Background threads decode rows; a request must get the interpreter back sooner than after 5 ms.
        sys.setswitchinterval(0.0005)
        try:
            self.runtime = Runtime(settings)
            self.runtime.start()
        except (BundleError, SettingsError) as error:
            refuse_to_start(error, "the recommender")
        bind(app, self.runtime)
        # The heap is large and stays: out of the collector's sight, or each full collection stops the requests.
        gc.collect()
        gc.freeze()

    def __is_ready__(self) -> bool:
        return not self.runtime.missing()

    @bentoml.on_startup
    async def open(self) -> None:
        """What needs the server's event loop: the signals to stop, and the gauges that other workers show."""
        self.runtime.drain.install()
        self._keeps_fresh = asyncio.create_task(self.runtime.metrics.keep_fresh())

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Stop the threads and send what impressions wait."""
        self._keeps_fresh.cancel()
        await self.runtime.close()
