"""The page and its console: ``python -m bento.console``."""

from __future__ import annotations

import logging
import sys

import uvicorn

from bento.access.connection import bounded
from bento.console.app import create_app
from bento.keys import keyring
from infra.pages import is_built
from infra.settings import SettingsError, load_settings
from infra.telemetry import setup_logging

log = logging.getLogger(__name__)

PATIENCE_S = 3
"""How long an end waits for what is under way: long polls wait so long, as a rule."""


def main() -> int:
    """Serve until a signal comes. Returns the exit status."""
    try:
        settings = load_settings()
        keyring(settings)  # what is wrong with it should not be told by an answer
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    setup_logging("console", settings)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if not is_built():
        log.warning("the page is not built; `make frontend` builds it, and it is then served without a restart")
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.console_port,
        http=bounded(settings),
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=PATIENCE_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
