"""Announcements of moved aliases: heard at once, only by whom they concern, and again after Redis was away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from infra.settings import Settings
from models.announce import Announcements, announce, channel

LONG_S = 20.0


@pytest.fixture
def stop() -> threading.Event:
    """Never set."""
    return threading.Event()


def subscribed(client: Any, settings: Settings) -> int:
    """How many listen."""
    return int(client.pubsub_numsub(channel(settings))[0][1])


def waiting(listener: Announcements, stop: threading.Event) -> tuple[threading.Thread, list[bool]]:
    """A thread that waits, and what it was told."""
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(listener.wait(LONG_S, stop)), daemon=True)
    thread.start()
    return thread, told


def test_what_is_announced_is_heard_long_before_the_wait_is_over(
    settings: Settings, redis_client: Any, stop: threading.Event
) -> None:
    listener = Announcements(settings)
    thread, told = waiting(listener, stop)
    while not subscribed(redis_client, settings):
        time.sleep(0.01)
    assert announce(settings)
    thread.join(LONG_S / 2)
    assert told == [True]


def test_another_models_aliases_are_not_heard(settings: Settings, stop: threading.Event) -> None:
    listener = Announcements(settings)
    assert not listener.wait(0.0, stop)
    assert announce(settings.model_copy(update={"model_name": "another"}))
    assert not listener.wait(0.5, stop)
    assert announce(settings)
    assert listener.wait(LONG_S, stop)


def test_a_listener_can_be_woken_and_stopped(settings: Settings, stop: threading.Event) -> None:
    listener = Announcements(settings)
    thread, told = waiting(listener, stop)
    listener.wake()
    thread.join(LONG_S / 2)
    assert told == [True]
    thread, told = waiting(listener, stop)
    stop.set()
    thread.join(LONG_S / 2)
    assert told == [False]


def test_redis_may_be_away_and_come_back(
    settings: Settings, start_stack: Callable[..., Any], stop: threading.Event
) -> None:
    stack = start_stack(settings.model_copy(update={"redis_url": ""}).with_ports(redis_port=0), "redis")
    listener = Announcements(stack.settings)
    assert not listener.wait(0.0, stop)
    stack.kill("redis")
    assert not announce(stack.settings) and not listener.wait(0.3, stop)
    stack.restart("redis")
    assert listener.wait(LONG_S, stop), "what was announced meanwhile is looked for"
    assert announce(stack.settings) and listener.wait(LONG_S, stop)


def test_a_redis_that_nobody_can_reach_raises_nothing(settings: Settings, stop: threading.Event) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{taken.getsockname()[1]}/0"})
        assert not announce(away)
        assert not Announcements(away).wait(0.1, stop)
