"""The console, and any ASGI application, behind a real HTTP server in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from infra.settings import Settings

LOADING_S = 240


@contextmanager
def served(app: Any, port: int = 0, life: Any = None, host: str = "127.0.0.1") -> Iterator[int]:
    """An ASGI application behind uvicorn; the port.

    Args:
        life: an async context manager that goes on round the server, in its event loop; None: the application's own.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="critical",
        lifespan="auto" if life is None else "off",
        server_header=False,
        proxy_headers=False,  # as the console is run
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)

    async def main() -> None:
        async with life or nullcontext():
            await server.serve()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
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
def served_console(settings: Settings, page: Path, whole: bool = False) -> Iterator[httpx.Client]:
    """An httpx.Client of the running console; ``client.console`` and ``client.outside`` are what it answers from.

    Args:
        whole: whether it does all that it does in life. Otherwise it takes no samples of the vitals, and MLflow's and
            Feast's clients, whose imports cost seconds, are not opened beforehand.
    """
    from bento.console.app import around, bind, build_api

    api_app = build_api()
    bind(api_app, settings)
    console, outside = api_app.state.console, api_app.state.outside
    with served(around(api_app, page), life=None if whole else _only_requests(console, outside)) as port:
        base_url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base_url, timeout=20, trust_env=False) as client:
            client.console, client.outside = console, outside  # type: ignore[attr-defined]
            until = time.monotonic() + LOADING_S
            while whole and not console.loaded.is_set():
                assert time.monotonic() < until, "Feast's SDK is not loaded"
                time.sleep(0.01)
            yield client


@asynccontextmanager
async def _only_requests(console: Any, outside: Any) -> AsyncIterator[None]:
    await outside.gateway.start()
    try:
        yield
    finally:
        await console.close()
        await outside.gateway.close()
