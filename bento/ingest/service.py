"""The ingest service: ``bentoml serve bento.ingest.service:Ingest``."""

from __future__ import annotations

import gc
import logging

import bentoml

from bento.ingest import app as rest
from bento.ingest.metrics import IngestMetrics
from bento.ingest.producer import EventLog
from bento.served import behind, refuse_to_start
from feature_repo.erasures import Erasures
from infra.settings import SettingsError, load_settings
from infra.telemetry import setup_logging

app = rest.build_app()


@bentoml.service(
    service_class=behind(rest.observed(app)),
    name="ingest",
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
)
class Ingest:
    """Takes events over REST into Kafka; see ``bento.ingest.app`` for the routes."""

    def __init__(self) -> None:
        settings = load_settings()
        setup_logging("ingest", settings)
        for chatty in ("kafka", "uvicorn.access"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        topics = [settings.topic_events, settings.topic_catalog, settings.topic_profiles]
        self.log = EventLog(settings, topics)
        try:
            app.state.intake = rest.Intake(settings, self.log, IngestMetrics(), Erasures(settings.database_url))
        except SettingsError as error:
            refuse_to_start(error, "ingest")
        # What is loaded by now lives as long as the process: full collections need not look at it.
        gc.collect()
        gc.freeze()

    @bentoml.on_shutdown
    def close(self) -> None:
        """Flush: what was accepted for sending is acknowledged or reported before the process ends."""
        self.log.close()
        app.state.intake.tracer.close()
