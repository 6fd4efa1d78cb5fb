"""The dataflow as two processes: they share the work, and the death of one restarts both."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psutil

from benchmarks.faults import watched
from feature_repo.events import Event
from infra.servers import answers
from infra.settings import Settings

START = datetime.now(UTC) - timedelta(hours=6)


def history(count: int) -> list[Event]:
    random = Random(3)
    return [
        Event(
            user_id=f"u{random.randrange(40)}",
            item_id=f"i{random.randrange(60)}",
            event_type="click",
            timestamp=START + timedelta(seconds=number),
            event_id=f"e{number:05d}",
        )
        for number in range(count)
    ]


def dataflow_processes(stack: Any) -> list[psutil.Process]:
    guard = psutil.Process(stack.process("stream").guard_pid)
    return [p for p in guard.children(recursive=True) if "bytewax.run" in p.cmdline()]


def admitted(settings: Settings, process: int) -> float:
    """Events that one process of the dataflow has counted, by its own metrics."""
    url = f"http://{settings.host}:{settings.stream_metrics_port + process}/metrics"
    with closing(urllib.request.urlopen(url, timeout=5)) as answer:
        lines = answer.read().decode().splitlines()
    name = 'freshet_stream_events_total{result="new"} '
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def both_run(stack: Any, within_s: float = 60.0) -> list[psutil.Process]:
    """The two processes, once both have started: one that still waits for the other does not see it die."""
    ports = [stack.settings.stream_metrics_port + process for process in (0, 1)]
    until = time.monotonic() + within_s
    while not all(answers(f"http://{stack.settings.host}:{port}/metrics") for port in ports):
        assert time.monotonic() < until, "the dataflow does not come back"
        time.sleep(0.05)
    return dataflow_processes(stack)


def two_processes(settings: Settings) -> Settings:
    return settings.model_copy(update={"stream_processes": 2, "snapshot_interval_s": 1.0})


def test_two_processes_share_the_work(settings: Settings, log: Any, start_stack: Callable[..., Any]) -> None:
    given = history(2_000)
    log.send(given)
    stack = start_stack(two_processes(settings), "stream")
    assert len(dataflow_processes(stack)) == 2
    log.expect(given)
    shares = [admitted(stack.settings, process) for process in (0, 1)]
    assert sum(shares) == len(given)
    assert min(shares) > len(given) / 4


def test_the_death_of_one_restarts_all_and_counts_stay_exact(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    given = history(3_000)
    stack = start_stack(two_processes(settings), "stream")
    random = Random(5)
    with watched(stack):
        for first in range(0, 3_000, 100):
            log.send(given[first : first + 100])
            time.sleep(0.1)
            if first in (1_000, 2_000):
                before = both_run(stack)
                os.kill(random.choice(before).pid, signal.SIGKILL)
                psutil.wait_procs(before, timeout=10)
                assert not [p for p in before if p.is_running()], "the other process went on alone"
        log.expect(given)
    assert list(log.store.scan()) == given
    assert len(dataflow_processes(stack)) == 2
