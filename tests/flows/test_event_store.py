"""The event store: nothing that was appended is lost or read twice, whoever is killed and whoever reads."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.events import Event
from flows.event_store import EventStore, open_event_store
from flows.parquet_events import PARTS_PER_DAY, ParquetEvents
from infra.settings import SettingsError

START = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)

WRITER = """
import sys, time
from feature_repo.events import Event
from flows.event_store import open_event_store
store = open_event_store(sys.argv[1])
for n in range(3):
    store.append([Event(user_id="u", item_id="i", event_type="view", event_id=f"w{n}", timestamp=1700000000 + n)])
print("written", flush=True)
time.sleep(60)
"""


def event(number: int, minutes: float = 0.0, user: str = "u1", **fields: object) -> Event:
    moment = START + timedelta(minutes=minutes)
    values = {"user_id": user, "item_id": f"i{number}", "event_type": "view", "event_id": f"e{number:04d}"}
    return Event.model_validate(values | {"timestamp": moment} | fields)


def ids(events: Iterable[Event]) -> list[str]:
    return [e.event_id for e in events]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "events"


@pytest.fixture
def store(folder: Path) -> EventStore:
    return open_event_store(f"file://{folder}")


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "open").glob("*.jsonl"))


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("day=*/*.parquet"))


def test_an_unknown_scheme_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"EVENT_STORE_URL.*s3://bucket"):
        open_event_store("s3://bucket")


def test_an_empty_store_has_nothing(store: EventStore) -> None:
    assert list(store.scan()) == []
    assert store.count() == 0
    store.compact()


def test_events_come_back_whole_and_in_order_of_time(store: EventStore) -> None:
    given = [
        event(1, minutes=90, value=4.5, properties={"deep": {"list": [1, None, "x"]}, "huge": 2**80}),
        event(2, minutes=0, session_id="s", recommendation_id="r"),
        event(3, minutes=0.00001),
    ]
    assert store.append(given) == 3
    assert list(store.scan()) == [given[1], given[2], given[0]]
    store.close()
    assert list(store.scan()) == [given[1], given[2], given[0]]


def test_equal_times_are_ordered_by_event_id(store: EventStore) -> None:
    store.append([event(2), event(1), event(3)])
    assert ids(store.scan()) == ["e0001", "e0002", "e0003"]


def test_a_repeat_is_read_once(store: EventStore) -> None:
    store.append([event(1), event(2)])
    store.append([event(2), event(3)])
    store.close()
    store.append([event(1), event(3)])
    assert ids(store.scan()) == ["e0001", "e0002", "e0003"]
    assert store.count() == 3


def test_one_event_id_of_two_users_is_two_events(store: EventStore) -> None:
    store.append([event(1, user="a"), event(1, user="b")])
    assert [e.user_id for e in store.scan()] == ["a", "b"]


@pytest.mark.parametrize("sealed", [False, True])
def test_ranges_are_half_open_and_cross_midnight(store: EventStore, sealed: bool) -> None:
    given = [event(n, minutes=30 * n) for n in range(6)]
    store.append(given)
    if sealed:
        store.close()
    since, until = given[1].time_us, given[4].time_us
    assert ids(store.scan(since, until)) == ["e0001", "e0002", "e0003"]
    assert ids(store.scan(until_us=since)) == ["e0000"]
    assert ids(store.scan(since_us=until)) == ["e0004", "e0005"]


def test_one_users_events(store: EventStore) -> None:
    store.append([event(n, minutes=n, user=f"u{n % 2}") for n in range(4)])
    assert ids(store.scan(user_id="u1")) == ["e0001", "e0003"]
    assert list(store.scan(user_id="nobody")) == []


def test_tables_are_the_same_events(store: EventStore) -> None:
    store.append([event(n, minutes=50 * n) for n in range(5)])
    found = [row for table in store.tables() for row in table["event_id"].to_pylist()]
    assert found == ids(store.scan())


def test_sealed_events_lie_in_the_day_of_their_own_time(store: EventStore, folder: Path) -> None:
    store.append([event(1, minutes=59), event(2, minutes=61)])
    store.close()
    assert [path.parent.name for path in parts(folder)] == ["day=2026-03-01", "day=2026-03-02"]
    assert segments(folder) == []


def test_a_writer_seals_its_segment_when_it_is_full(folder: Path) -> None:
    store = ParquetEvents(folder, segment_events=10)
    for n in range(25):
        store.append([event(n)])
    assert len(parts(folder)) == 2
    assert [path.read_bytes().count(b"\n") for path in segments(folder)] == [5]
    assert store.count() == 25


def test_another_process_reads_while_the_writer_runs_and_after_its_kill(store: EventStore, folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, f"file://{folder}"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        assert ids(store.scan()) == ["w0", "w1", "w2"]
        store.compact()
        assert len(segments(folder)) == 1, "a living writer keeps its segment"
        writer.send_signal(signal.SIGKILL)
    assert ids(store.scan()) == ["w0", "w1", "w2"]
    store.compact()
    assert segments(folder) == []
    assert ids(store.scan()) == ["w0", "w1", "w2"]


def test_a_line_that_a_kill_cut_short_was_never_written(store: EventStore, folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, f"file://{folder}"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
    (segment,) = segments(folder)
    with segment.open("ab") as file:
        file.write(b'{"event_id":"torn","user_id":"u","ite')
    assert ids(store.scan()) == ["w0", "w1", "w2"]
    store.append([event(1)])
    assert len(segments(folder)) == 1, "the next writer seals what the killed one left"
    assert ids(store.scan()) == ["w0", "w1", "w2", "e0001"]


def test_a_kill_between_sealing_and_removing_doubles_nothing(store: EventStore, folder: Path) -> None:
    store.append([event(n) for n in range(4)])
    (segment,) = segments(folder)
    kept = folder / "kept"
    shutil.copy(segment, kept)
    store.close()
    shutil.move(kept, segment)
    assert store.count() == 4
    store.compact()
    assert (segments(folder), len(parts(folder))) == ([], 1)
    assert store.count() == 4


def test_a_damaged_segment_is_named(store: EventStore, folder: Path) -> None:
    store.append([event(1)])
    (folder / "open" / "bad.jsonl").write_bytes(b"no json\n")
    with pytest.raises(ValueError, match=r"bad\.jsonl"):
        store.count()


def test_days_in_many_parts_are_merged(folder: Path) -> None:
    for n in range(PARTS_PER_DAY + 1):
        writer = ParquetEvents(folder)
        writer.append([event(n), event(n + 1)])
        writer.close()
    before = ids(ParquetEvents(folder).scan())
    ParquetEvents(folder).compact()
    assert len(parts(folder)) == 1
    assert ids(ParquetEvents(folder).scan()) == before == [f"e{n:04d}" for n in range(PARTS_PER_DAY + 2)]


def test_a_full_disk_keeps_nothing_of_the_batch(store: EventStore, folder: Path) -> None:
    store.append([event(1)])
    (segment,) = segments(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 50, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.append([event(2), event(3)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ids(store.scan()) == ["e0001"]
    store.append([event(2)])
    assert ids(store.scan()) == ["e0001", "e0002"]


def test_readers_never_miss_what_was_appended_while_segments_are_sealed_and_merged(folder: Path) -> None:
    writer, total = ParquetEvents(folder, segment_events=20), 1_500
    appended, problems = 0, []

    def read() -> None:
        reader = ParquetEvents(folder)
        while appended < total:
            least = appended
            if not least <= (found := reader.count()) <= total:
                problems.append((least, found))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    for first in range(0, total, 5):
        writer.append(batch(first, 5))
        appended += 5
        if first % 300 == 0:
            writer.compact()
    for thread in readers:
        thread.join()
    assert problems == []
    assert writer.count() == total


def batch(first: int, count: int) -> Sequence[Event]:
    return [event(n, minutes=n % 7) for n in range(first, first + count)]
