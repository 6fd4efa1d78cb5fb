"""The console behind a real HTTP server in this process: ``pytest_plugins = ["tests.bento.console_server"]``.

``serve_console``  ``serve_console(settings, page=folder)`` runs it until the test ends; a page is optional.
``serve_app``      ``serve_app(app)`` runs any ASGI application likewise; gives its port.
``console``        one over the session's servers, with Feast's SDK loaded and the recommender behind it. Rows, models
                   and reports are those that a test puts there: Redis is emptied by every test that uses ``settings``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from infra.settings import Settings

LOADING_S = 120


@contextmanager
def served(app: Any, lifespan: Any = "off") -> Iterator[int]:
    """An ASGI application behind uvicorn; the port."""
    config = uvicorn.Config(
        app, port=0, log_level="critical", lifespan=lifespan, server_header=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def served_console(settings: Settings, page: Path, loaded: bool = True) -> Iterator[httpx.Client]:
    """An httpx.Client of the running console; ``client.console`` and ``client.outside`` are what it answers from.

    Args:
        loaded: whether MLflow's and Feast's imports are waited for; they go on beside, and change the environment.
    """
    from bento.console.app import around, bind, build_api

    api_app = build_api()
    bind(api_app, settings)
    with served(around(api_app, page), "on") as port:
        base_url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base_url, timeout=20, trust_env=False) as client:
            client.console, client.outside = api_app.state.console, api_app.state.outside  # type: ignore[attr-defined]
            until = time.monotonic() + LOADING_S
            while loaded and not api_app.state.console.loaded.is_set():
                assert time.monotonic() < until, "Feast's SDK is not loaded"
                time.sleep(0.01)
            yield client


@pytest.fixture
def serve_app() -> Iterator[Callable[[Any], int]]:
    """Runs an ASGI application until the test ends; gives its port."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(served(app))


@pytest.fixture
def serve_console(tmp_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Runs the console with given settings until the test ends; without a built page, unless a folder is given."""
    with ExitStack() as running:

        def serve(settings: Settings, page: Path = tmp_path / "no-page") -> httpx.Client:
            return running.enter_context(served_console(settings, page))

        yield serve


@pytest.fixture(scope="session")
def console_settings(servers: Any, steady_api: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The session's servers, with a registry and a model store that only the console's tests use."""
    home = tmp_path_factory.mktemp("console")
    stores = {"mlflow_tracking_uri": f"sqlite:///{home / 'mlflow.db'}", "feast_registry": str(home / "registry.db")}
    ports = {"recommender_port": steady_api.base_url.port}
    settings: Settings = servers.settings.model_copy(update={"home": home, "uis": False, **stores, **ports})
    return settings


@pytest.fixture(scope="session")
def console(console_settings: Settings, read_definitions: Any) -> Iterator[httpx.Client]:
    """The console of the session."""
    from feature_repo.store import apply_definitions, open_store

    with pytest.MonkeyPatch.context() as patch:
        read_definitions(console_settings, patch)
        apply_definitions(open_store(console_settings))
    with served_console(console_settings, console_settings.home / "no-page") as client:
        yield client
