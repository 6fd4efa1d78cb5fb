"""How many processes share the dataflow's work cannot be seen in what it writes, not even in a byte."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from feature_repo.events import EVENT_TYPES, Event
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES, USER_SEEN
from feature_repo.state import States
from infra.settings import Settings

START = datetime.now(UTC) - timedelta(hours=6)


def history(count: int) -> list[Event]:
    """Acts of 60 users on 90 items, in order of time."""
    random = Random(11)
    return [
        Event(
            user_id=f"u{random.randrange(60)}",
            item_id=f"i{random.randrange(90)}",
            event_type=random.choice(EVENT_TYPES),
            timestamp=START + timedelta(seconds=number),
            value=random.choice((None, 1.5, 4.0)),
            event_id=f"e{number:05d}",
        )
        for number in range(count)
    ]


def sent(events: list[Event]) -> list[Event]:
    """The same as a log may hold them: out of order, and every tenth twice."""
    random = Random(12)
    given = [*events, *events[::10]]
    random.shuffle(given)
    return given


def rows_of(events: list[Event], store: OnlineStore) -> dict[bytes, dict[bytes, bytes]]:
    """Redis key -> hash, as one process that counts by itself would have it."""
    states = States()
    for event in events:
        states.apply(event)
    users, seen, items = (store.codecs[view.name] for view in (USER_FEATURES, USER_SEEN, ITEM_FEATURES))
    rows = {
        users.key(user): users.encode(state.row(), state.last_us) | seen.encode(state.seen_row(), state.last_us)
        for user, state in states.users.items()
    }
    return rows | {items.key(item): items.encode(state.row(), state.last_us) for item, state in states.items.items()}


def admitted(stack: Any) -> list[float]:
    """Events that each process has counted, by its own metrics."""
    name = 'freshet_stream_events_total{result="new"} '
    found = []
    for url in stack.settings.metrics_urls()["stream"]:
        with urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found += [float(line.removeprefix(name)) for line in lines if line.startswith(name)]
    return found


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_any_number_of_processes_writes_the_same_rows(
    processes: int, settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    events = history(1_500)
    log.send(sent(events))
    stack = start_stack(settings.model_copy(update={"stream_processes": processes}), "stream")
    log.expect(events)

    guard = psutil.Process(stack.process("stream").guard_pid)
    assert len([p for p in guard.children(recursive=True) if "bytewax.run" in p.cmdline()]) == processes
    wanted = rows_of(events, log.online)
    log.wait_for(log.hashes, wanted)
    changed = [id for view in (USER_FEATURES, ITEM_FEATURES) for id, _ in log.online.changed_since(view.entity, 0)]
    assert len(changed) == len(wanted), "each user and each item once"
    assert list(log.store.scan()) == events
    shares = admitted(stack)
    assert len(shares) == processes
    assert sum(shares) == len(events)
    assert min(shares) > 0, "every process takes part"
