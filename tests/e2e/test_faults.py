"""The short version of ``make bench-faults``: a few kills under load, every event accounted for.

The dataflow has two processes here; kills of a single one are in tests/flows/test_stream.py.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.faults import NEEDED, torment
from infra.settings import Settings


def test_kills_under_load_lose_nothing_and_count_nothing_twice(home: Settings, start_stack: Callable[..., Any]) -> None:
    settings = home.model_copy(update={"stream_processes": 2, "snapshot_interval_s": 2.0})
    outcome = torment(start_stack(settings, *NEEDED), kills=4, seed=2, per_s=200, gap_s=1.5)
    found = outcome.audit
    assert outcome.kills.total() == 4
    assert (found.not_stored, found.not_counted, found.double_counted) == (0, 0, 0)
    assert found.stored == found.by_users == found.by_items == outcome.acknowledged > 0
    assert found.dropped >= outcome.repeated > 0, "every repeat was accepted by ingest, and dropped by the dataflow"
    assert found.unequal == []
    assert found.rows > 500
