"""The system that the browser tests look at: the sample shop, loaded, a model that serves and one to go back to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sample_shop import sample_bundle, sample_events, sample_items, sample_users

from flows.dataset import write_dataset
from flows.loader import load_dataset
from infra.servers import answers
from infra.settings import Settings, any_ports, load_settings
from infra.stack import Stack
from models import registry
from models.bundle import Bundle

PARTS = ("kafka", "redis", "postgres", "feast", "ingest", "recommender", "stream", "outcomes", "console")
ADMIN_KEY = "a-key-that-only-the-administrator-of-this-test-knows"
USERS, EACH = 60, 12


class Shop(Stack):
    """A stack in which a part that was killed can be kept from being started again."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._looking = threading.Lock()

    def watch(self) -> None:
        """As every stack, but not while something is kept down."""
        with self._looking:
            super().watch()

    @contextmanager
    def without(self, part: str) -> Iterator[None]:
        """SIGKILL a part; it stays dead meanwhile, and afterwards the watcher finds it so."""
        with self._looking:
            self.kill(part)
            yield


@contextmanager
def shop_stack(folder: Path, **more: Any) -> Iterator[Shop]:
    """The parts the page needs, watched as ``make up`` watches them: what dies is started again.

    As on a first start, the models come while the recommender already runs. ``more`` are further settings.
    """
    settings = load_settings(
        home=folder / "home", admin_key=ADMIN_KEY, explore_share=0.0, release_poll_s=0.5, **any_ports(), **more
    )
    shop = write_dataset(folder / "shop", sample_items(), sample_users(USERS), sample_events(USERS, EACH))
    with ThreadPoolExecutor(1) as beside:
        models = beside.submit(lambda: [sample_bundle(seed) for seed in (1, 0)])
        with Shop(settings, PARTS) as stack:
            load_dataset(stack.settings, shop)
            register(stack.settings, models.result(), folder)
            wait_for(lambda: answers(f"{address(stack, 'recommender')}/ready"))
            with watched(stack):
                yield stack


def register(settings: Settings, bundles: Sequence[Bundle], folder: Path) -> None:
    """Make versions of these models and promote each: the last one serves, the one before is the way back."""
    for bundle in bundles:
        version = registry.register(
            settings, bundle.save(folder / bundle.version), {}, bundle.metrics, {"bundle": bundle.version}
        )
        registry.promote(settings, version, settings.model_alias)


def wait_for(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Until it is so. Fails when it is not so in time."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


@contextmanager
def watched(stack: Stack) -> Iterator[None]:
    """Look after the stack's parts meanwhile."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            stack.watch()

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def address(stack: Any, part: str = "console") -> str:
    """Where a part answers over HTTP."""
    return f"http://{stack.settings.host}:{getattr(stack.settings, part + '_port')}"
