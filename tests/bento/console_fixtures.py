"""Fixtures of the console's tests: ``pytest_plugins = ["tests.bento.console_fixtures"]``.

``serve_console``  ``serve_console(settings, page=folder)`` runs it until the test ends; a page is optional.
``serve_app``      ``serve_app(app)`` runs any ASGI application likewise; gives its port.
``console``        one over the session's servers, with Feast's SDK loaded. Models and reports are those that tests put
                   there, and so are rows: Redis is emptied by every test that uses ``settings``.
``services``       what stands behind ``front``, a console of the module: an Echo each for ingest and recommender.
``rows``           writes rows into the emptied Redis, as the stream does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.settings import Settings, any_ports, load_settings
from tests.bento.conftest import Shop
from tests.bento.console_echo import Echo
from tests.bento.console_server import served, served_console


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


@pytest.fixture
def rows(settings: Settings) -> Shop:
    """An empty shop in the test's own Redis."""
    return Shop(settings.redis_url)


@pytest.fixture(scope="session")
def console_settings(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The session's servers, with a registry and a model store that only the console's tests use."""
    home = tmp_path_factory.mktemp("console")
    stores = {"mlflow_tracking_uri": f"sqlite:///{home / 'mlflow.db'}", "feast_registry": str(home / "registry.db")}
    settings: Settings = servers.settings.model_copy(update={"home": home, "uis": False, **stores})
    return settings


@pytest.fixture(scope="session")
def console(console_settings: Settings, read_definitions: Any) -> Iterator[httpx.Client]:
    """The console of the session."""
    from feature_repo.store import apply_definitions, open_store

    with pytest.MonkeyPatch.context() as patch:
        read_definitions(console_settings, patch)
        apply_definitions(open_store(console_settings))
    with served_console(console_settings, console_settings.home / "no-page", whole=True) as client:
        yield client


@pytest.fixture(scope="module")
def echoes() -> dict[str, Echo]:
    """What stands behind the module's console."""
    return {name: Echo(name) for name in ("ingest", "recommender")}


@pytest.fixture(scope="module")
def front(echoes: dict[str, Echo], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The console before both; it takes bodies of 10,000 bytes."""
    home = tmp_path_factory.mktemp("front")
    with served(echoes["ingest"]) as ingest, served(echoes["recommender"]) as recommender:
        ports = any_ports() | {"ingest_port": ingest, "recommender_port": recommender}
        settings = load_settings(home=home, max_body_bytes=10_000, uis=False, **ports)
        with served_console(settings, home / "no-page") as client:
            yield client


@pytest.fixture
def services(echoes: dict[str, Echo]) -> Iterator[dict[str, Echo]]:
    """Both, as if nobody had asked them for anything; what hangs in them goes on after the test."""
    for echo in echoes.values():
        echo.go_on, echo.seen = False, []
    yield echoes
    for echo in echoes.values():
        echo.go_on = True
