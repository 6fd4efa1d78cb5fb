"""Ingest in this process, behind a real HTTP server with its bounds; and a file of keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from bento.access.connection import bounded
from bento.access.keys import line, new_key, roles_of
from bento.ingest import app as rest
from bento.ingest.metrics import IngestMetrics
from bento.ingest.producer import EventLog
from feature_repo.erasures import Erasures
from infra.settings import Settings


def key_file(path: Path, holders: Mapping[str, str]) -> dict[str, str]:
    """Write a file of keys for ``name -> roles [rate]``. Returns name -> key."""
    keys = {name: new_key() for name in holders}
    lines = []
    for name, said in holders.items():
        roles, _, rate = said.partition(" ")
        lines.append(line(name, roles_of(roles), keys[name], rate))
    path.write_text("# name roles sha256 [rate]\n" + "\n".join(lines) + "\n")
    return keys


@contextmanager
def listening(app: ASGIApp, settings: Settings) -> Iterator[int]:
    """The port of an application that is served until the context ends."""
    config = uvicorn.Config(app, port=0, http=bounded(settings), log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def ingesting(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a running ingest whose log is connected; ``client.intake`` is what it answers with."""
    log = EventLog(settings, [settings.topic_events, settings.topic_catalog, settings.topic_profiles])
    app = rest.build_app()
    intake = app.state.intake = rest.Intake(settings, log, IngestMetrics(), Erasures(settings.database_url))
    until = time.monotonic() + 30
    while not log.connected:
        assert time.monotonic() < until
        time.sleep(0.02)
    try:
        with (
            listening(rest.observed(app), settings) as port,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client,
        ):
            client.intake = intake  # type: ignore[attr-defined]
            yield client
    finally:
        log.close()


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """What a refusal says."""
    return dict(answer.json()["error"])
