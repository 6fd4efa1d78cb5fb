"""The recommender as a BentoML service: ``bentoml serve bento.recommender.service:Recommender``."""

from __future__ import annotations

import gc
import logging
import os
import sys

import bentoml
import psutil

from bento.recommender.app import bind, create_app
from bento.recommender.door import observed
from bento.recommender.runtime import Runtime
from infra.settings import load_settings
from infra.telemetry import setup_logging
from models.bundle import BundleError

log = logging.getLogger(__name__)
app = create_app()


@bentoml.service(
    name="recommender",
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    # A request's arrays are small: more threads only wait for each other, and burn three times the CPU.
    envs=[{"name": name, "value": "1"} for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")],
)
@bentoml.asgi_app(observed(app), path="/")
class Recommender:
    """Fresh, labelled recommendations over REST; the routes are in ``app.py``."""

    def __init__(self) -> None:
        settings = load_settings()
        setup_logging("recommender", settings.log_level)
        logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
        # Background threads decode rows; a request must get the interpreter back sooner than after 5 ms.
        sys.setswitchinterval(0.0005)
        self.runtime = Runtime(settings)
        try:
            self.runtime.start()
        except BundleError as error:
            _refuse_to_start(error)
        bind(app, self.runtime)
        # The heap is large and stays: out of the collector's sight, or each full collection stops the requests.
        gc.collect()
        gc.freeze()

    def __is_ready__(self) -> bool:
        return not self.runtime.pipeline.missing()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Stop the threads and send what impressions wait."""
        await self.runtime.close()


def _refuse_to_start(error: BundleError) -> None:
    log.critical("the recommender does not start: %s", error)
    # BentoML starts a worker that ends anew, for ever: end its supervisor too.
    parent = psutil.Process(os.getppid())
    if any("bentoml" in part for part in parent.cmdline()):
        parent.terminate()
    raise SystemExit(3)
