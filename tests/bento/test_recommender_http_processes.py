"""The recommender under ``bentoml serve``: several workers that are one, and an end without a failed request."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from infra.settings import Settings

DRAIN_S = 2.0
MARGIN_S = 0.5


@pytest.fixture
def started(
    settings: Settings, shop: Any, bundle_dir: Path, start_stack: Callable[..., Any]
) -> Callable[..., tuple[Any, httpx.Client]]:
    """``started(recommender_workers=2)``: the stack with the service, ready, and a client of it."""

    def start(**changes: Any) -> tuple[Any, httpx.Client]:
        changed = settings.model_copy(update={"bundle_dir": bundle_dir, "drain_s": DRAIN_S, **changes})
        stack = start_stack(changed, "recommender")
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{stack.settings.recommender_port}", trust_env=False, timeout=20
        )
        while client.get("/ready").status_code != 200:
            time.sleep(0.1)
        return stack, client

    return start


def counted(text: str) -> float:
    """Requests to /model that were answered, of a /metrics text."""
    found = re.findall(r'^freshet_recommender_requests_total\{route="/model",status="200"\} (.+)$', text, re.MULTILINE)
    return float(found[0]) if found else 0.0


def test_two_workers_answer_and_their_metrics_add_up(started: Any, eventually: Any) -> None:
    stack, _ = started(recommender_workers=2)
    url = f"http://127.0.0.1:{stack.settings.recommender_port}"
    folder = next((stack.settings.home / "metrics" / "recommender").iterdir())
    sent = 0

    def both_have_counted() -> bool:
        nonlocal sent
        for _ in range(20):  # a connection each, so that either may take it
            assert httpx.get(f"{url}/model", trust_env=False).status_code == 200
        sent += 20
        return sum(b"/model" in file.read_bytes() for file in folder.glob("counter_*.db")) == 2

    eventually(both_have_counted, 60)
    for _ in range(10):
        text = httpx.get(f"{url}/metrics", trust_env=False).text
        assert counted(text) == sent
    assert re.search(r"^freshet_recommender_item_table_items 6\d", text, re.MULTILINE)
    assert len(re.findall(r"^freshet_recommender_model_info\{.*\} 1\.0$", text, re.MULTILINE)) == 1


class Asked(NamedTuple):
    """One request: when it was sent, whether on a connection that had answered before, and what came of it."""

    at: float
    kept: bool
    status: int | str
    closes: bool


def ask_without_pause(port: int, stop: threading.Event, found: list[Asked]) -> None:
    """Keep-alive requests, one after another; where the service closes, a new connection."""
    connection, kept = http.client.HTTPConnection("127.0.0.1", port, timeout=20), False
    while not stop.is_set():
        at = time.monotonic()
        try:
            connection.request("GET", "/recommend?user_id=user-1")
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            found.append(Asked(at, kept, type(error).__name__, True))
            connection.close()
            kept = False
            time.sleep(0.02)
            continue
        found.append(Asked(at, kept, response.status, response.will_close))
        kept = not response.will_close


def test_a_stop_under_load_fails_no_request_of_a_connection_that_was_taken(started: Any) -> None:
    stack, client = started()
    port, stop = stack.settings.recommender_port, threading.Event()
    found: list[list[Asked]] = [[] for _ in range(4)]
    asking = [threading.Thread(target=ask_without_pause, args=(port, stop, each)) for each in found]
    for thread in asking:
        thread.start()
    time.sleep(1)
    began = time.monotonic()
    stopping = threading.Thread(target=stack.stop)
    stopping.start()
    time.sleep(DRAIN_S / 2)
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503
    stopping.join()
    stop.set()
    for thread in asking:
        thread.join()
    everything = sorted((asked for each in found for asked in each), key=lambda asked: asked.at)
    drained = [asked for asked in everything if began + MARGIN_S < asked.at < began + DRAIN_S - MARGIN_S]
    before = [asked for asked in everything if asked.at < began + DRAIN_S - MARGIN_S]
    assert Counter(asked.status for asked in before).keys() == {200}
    assert drained and all(asked.closes for asked in drained)
    assert any(asked.kept for asked in before)
    assert not [asked for asked in everything if asked.kept and asked.status != 200]
    assert everything[-1].status == "ConnectionRefusedError"
