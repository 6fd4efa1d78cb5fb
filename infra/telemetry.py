"""Logs as JSON lines, and the switches that turn third parties' telemetry off. Called by entry points only."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from infra.settings import Settings

THIRD_PARTIES_OFF = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
"""Environment of every process that the stack starts."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


HIDDEN = "***"

trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)
"""Of the traced request that is being answered; stands in every line that is logged meanwhile."""


class JsonFormatter(logging.Formatter):
    """One record, one line: ts, level, service, logger, message, then the record's ``extra`` fields.

    ``trace_id`` is among them while a traced request is answered. An exception's trace is one string in ``exception``;
    a value that JSON does not know is written as its ``str``.

    Args:
        service: what the line says that it is of.
        secrets: words that are written as ``***``, wherever a library has put them.
    """

    def __init__(self, service: str, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self.service = service
        # As they stand in JSON; the longest first, for one may be part of another.
        self._secrets = sorted((json.dumps(secret)[1:-1] for secret in secrets), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (trace := trace_id.get()) is not None:
            line["trace_id"] = trace
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD and name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, default=str, skipkeys=True)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def setup_logging(service: str, settings: Settings) -> None:
    """Send all logging of this process to stderr as JSON lines. Calling it again replaces the former set-up.

    Args:
        service: what the lines say that they are of.
        settings: log_level, and the secrets that no line shows.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, settings.secrets()))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(True)
