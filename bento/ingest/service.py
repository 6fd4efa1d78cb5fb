"""The ingest service: ``bentoml serve bento.ingest.service:Ingest``."""

from __future__ import annotations

import gc
import logging

import bentoml

from bento.ingest import app as rest
from bento.ingest.metrics import IngestMetrics
from bento.ingest.producer import EventLog
from feature_repo.erasures import Erasures
from infra.settings import load_settings
from infra.telemetry import setup_logging

app = rest.build_app()


@bentoml.service(
    name="ingest",
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(rest.observed(app), path="/")
class Ingest:
    """Takes events over REST into Kafka; see ``bento.ingest.app`` for the routes."""

    def __init__(self) -> None:
        settings = load_settings()
        setup_logging("ingest", settings)
        for chatty in ("kafka", "uvicorn.access"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        topics = [settings.topic_events, settings.topic_catalog, settings.topic_profiles]
        self.log = EventLog(settings, topics)
        app.state.intake = rest.Intake(settings, self.log, IngestMetrics(), Erasures(settings.database_url))
        # What is loaded by now lives as long as the process: full collections need not look at it.
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Flush: what was accepted for sending is acknowledged or reported before the process ends."""
        self.log.close()
