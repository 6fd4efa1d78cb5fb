"""The recommender as a BentoML service: ``bentoml serve bento.recommender.service:Recommender``."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys

import bentoml
import psutil
from starlette.types import ASGIApp

from bento.recommender.app import bind, create_app
from bento.recommender.door import Front, observed
from bento.recommender.runtime import Runtime
from infra.settings import load_settings
from infra.telemetry import setup_logging
from models.bundle import BundleError

log = logging.getLogger(__name__)
app = create_app()


class BehindTheDoor(bentoml.Service):
    """A service whose requests meet the door before anything of BentoML's.

    BentoML's own layers cost three times what the door does, and one of them, the time-out, keeps something of every
    request for a minute; nothing can switch them off. What BentoML answers itself goes on to them.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The application that ``bentoml serve`` runs."""
        return Front(super().to_asgi(is_main), observed(app))


@bentoml.service(
    service_class=BehindTheDoor,
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


def _refuse_to_start(error: BundleError) -> None:
    log.critical("the recommender does not start: %s", error)
    # BentoML starts a worker that ends anew, for ever: end its supervisor too.
    parent = psutil.Process(os.getppid())
    if any("bentoml" in part for part in parent.cmdline()):
        parent.terminate()
    raise SystemExit(3)
