"""Parquet files: whoever is killed, sealed events lie once in their day, and an erased id lies in no file."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sample_events import event, ids

from feature_repo.events import Event
from flows.parquet_events import PARTS_PER_DAY, ParquetEvents

WRITER = """
import sys, time
from feature_repo.events import Event
from flows.parquet_events import ParquetEvents
store = ParquetEvents(sys.argv[1])
def append(*numbers):
    store.append([
        Event(user_id=f"user-{n % 2}", item_id="i", event_type="view", event_id=f"w{n}", timestamp=1700000000 + n)
        for n in numbers
    ])
append(0, 1, 2)
print("written", flush=True)
sys.stdin.readline()
append(3, 5)
print("written again", flush=True)
time.sleep(60)
"""
"""Appends events of two users, and those of one again when it is told to."""

ERASER = """
import os, signal, sys
from flows.parquet_events import ParquetEvents
folder, deaths, user = sys.argv[1], int(sys.argv[2]), sys.argv[3]
replace, unlink, done = os.replace, os.unlink, 0
def dying(work):
    def step(*arguments):
        global done
        if done == deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return work(*arguments)
    return step
os.replace, os.unlink = dying(replace), dying(unlink)
ParquetEvents(folder).erase(user, 2**62)
"""
"""Erases a user and is killed before the step on files with a given number."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "events"


@pytest.fixture
def store(folder: Path) -> Iterator[ParquetEvents]:
    with closing(ParquetEvents(folder)) as store:
        yield store


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "open").glob("*.jsonl"))


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("day=*/*.parquet"))


def files_with(folder: Path, text: str) -> list[Path]:
    """The files whose bytes, or whose values where they are compressed, hold a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes() or text in _values(path)]


def _values(path: Path) -> str:
    return str(pq.ParquetFile(path).read().to_pylist()) if path.read_bytes()[:4] == b"PAR1" else ""


def sealed(folder: Path, events: Sequence[Event]) -> None:
    with closing(ParquetEvents(folder)) as writer:
        writer.append(events)


@pytest.fixture
def writer(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        yield process
        process.kill()


def test_sealed_events_lie_in_the_day_of_their_own_time(store: ParquetEvents, folder: Path) -> None:
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


def test_the_segment_of_a_living_writer_is_left_to_it(
    store: ParquetEvents, folder: Path, writer: subprocess.Popen[bytes]
) -> None:
    store.compact()
    assert len(segments(folder)) == 1
    writer.kill()
    writer.wait()
    store.compact()
    assert segments(folder) == []
    assert ids(store.scan()) == ["w0", "w1", "w2"]


def test_a_line_that_a_kill_cut_short_was_never_written(
    store: ParquetEvents, folder: Path, writer: subprocess.Popen[bytes]
) -> None:
    writer.kill()
    writer.wait()
    (segment,) = segments(folder)
    with segment.open("ab") as file:
        file.write(b'{"event_id":"torn","user_id":"u","ite')
    assert ids(store.scan()) == ["w0", "w1", "w2"]
    store.append([event(1)])
    assert len(segments(folder)) == 1, "the next writer seals what the killed one left"
    assert ids(store.scan()) == ["w0", "w1", "w2", "e0001"]


def test_a_kill_between_sealing_and_removing_doubles_nothing(store: ParquetEvents, folder: Path) -> None:
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


def test_a_damaged_segment_is_named(store: ParquetEvents, folder: Path) -> None:
    store.append([event(1)])
    (folder / "open" / "bad.jsonl").write_bytes(b"no json\n")
    with pytest.raises(ValueError, match=r"bad\.jsonl"):
        store.count()


def test_days_in_many_parts_are_merged(folder: Path) -> None:
    for n in range(PARTS_PER_DAY + 1):
        sealed(folder, [event(n), event(n + 1)])
    before = ids(ParquetEvents(folder).scan())
    ParquetEvents(folder).compact()
    assert len(parts(folder)) == 1
    assert ids(ParquetEvents(folder).scan()) == before == [f"e{n:04d}" for n in range(PARTS_PER_DAY + 2)]


def test_a_full_disk_keeps_nothing_of_the_batch(store: ParquetEvents, folder: Path) -> None:
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


@pytest.mark.parametrize("user", ["user-0", 'quoted-"\\-ö'])
def test_an_erased_id_lies_in_no_file(store: ParquetEvents, folder: Path, user: str) -> None:
    sealed(folder, [event(1, user=user), event(2, user="other")])
    sealed(folder, [event(3, user=user, minutes=3000)])
    store.append([event(4, user=user), event(5, user="other"), event(1, user=user)])
    shutil.copy(parts(folder)[0], parts(folder)[0].with_name("part-x.tmp"))  # a kill while it was sealed
    shutil.copy(segments(folder)[0], folder / "open" / "dead.jsonl")
    (folder / "open" / "torn.jsonl").write_bytes(b'{"event_id":"e6","user_id":"' + user.encode())
    assert store.erase(user, 2**62) == 3
    assert files_with(folder, user) == []
    assert ids(store.scan()) == ["e0002", "e0005"]


def test_an_erasure_reaches_into_the_segments_of_writers_that_live(
    store: ParquetEvents, folder: Path, writer: subprocess.Popen[bytes]
) -> None:
    assert store.erase("user-0", 2**62) == 2
    assert files_with(folder, "user-0") == []
    assert ids(store.scan()) == ["w1"]
    assert writer.stdin is not None and writer.stdout is not None
    writer.stdin.write(b"go on\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == b"written again\n"
    assert ids(store.scan()) == ["w1", "w3", "w5"], "it went on in another segment"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    store.compact()
    assert (segments(folder), ids(store.scan())) == ([], ["w1", "w3", "w5"])


def test_an_erasure_leaves_later_events_and_files_without_the_user_alone(store: ParquetEvents, folder: Path) -> None:
    sealed(folder, [event(1), event(2, minutes=30), event(3, minutes=3000, user="other")])
    untouched = parts(folder)[1].stat().st_ino
    store.append([event(4, user="other")])
    segment = segments(folder)[0].stat().st_ino
    assert store.erase("u1", event(2, minutes=30).time_us) == 1
    assert ids(store.scan(user_id="u1")) == ["e0002"]
    assert parts(folder)[1].stat().st_ino == untouched
    store.append([event(5, user="other")])
    assert [path.stat().st_ino for path in segments(folder)] == [segment], "its writer goes on with it"


def test_an_erasure_that_is_killed_at_any_step_loses_nothing_and_can_be_finished(tmp_path: Path) -> None:
    kept, deaths, ended = ["e0010", "e0011", "e0012", "e0030"], -1, -signal.SIGKILL
    while ended == -signal.SIGKILL:
        deaths += 1
        folder = tmp_path / str(deaths)
        for n in range(3):
            sealed(
                folder, [event(n, user="gone"), event(10 + n, user="kept"), event(20 + n, user="gone", minutes=5000)]
            )
        with closing(ParquetEvents(folder)) as living:
            living.append([event(30, user="kept"), event(31, user="gone")])
            ended = subprocess.run(
                [sys.executable, "-c", ERASER, str(folder), str(deaths), "gone"], check=False
            ).returncode
            assert ids(living.scan(user_id="kept")) == kept
            assert bool(files_with(folder, "gone")) == (ended != 0)
            living.erase("gone", 2**62)
            assert files_with(folder, "gone") == []
            assert ids(living.scan()) == kept
    assert (deaths, ended) == (7, 0), "one segment, three parts with others' events, three of the user alone"


def test_a_merge_at_the_same_time_brings_nothing_back(folder: Path) -> None:
    for first in range(0, 100, 10):
        for n in range(first, first + PARTS_PER_DAY + 1):
            sealed(folder, [event(n, user="gone"), event(n, user="kept")])
        merging = threading.Thread(target=ParquetEvents(folder).compact)
        merging.start()
        ParquetEvents(folder).erase("gone", 2**62)
        merging.join()
        assert files_with(folder, "gone") == []
    assert ParquetEvents(folder).count() == 10 * (PARTS_PER_DAY + 1)


def test_readers_miss_nothing_while_segments_are_sealed_merged_and_erased_from(folder: Path) -> None:
    total, appended, done = 1_500, 0, threading.Event()
    problems: list[tuple[int, int]] = []
    writer, other = ParquetEvents(folder, segment_events=20), ParquetEvents(folder, segment_events=30)

    def read() -> None:
        reader = ParquetEvents(folder)
        while not done.is_set():
            least = appended
            found = sum(1 for e in reader.scan() if e.user_id == "u1")
            if not least <= found <= total:
                problems.append((least, found))

    def erase() -> None:
        eraser = ParquetEvents(folder)
        while not done.is_set():
            eraser.erase("gone", 2**62)

    threads = [threading.Thread(target=work) for work in (read, read, erase)]
    for thread in threads:
        thread.start()
    try:
        for first in range(0, total, 5):
            batch = [event(n, minutes=n % 7 * 1000) for n in range(first, first + 5)]
            (writer if first % 2 else other).append([*batch, event(first, minutes=first % 3 * 1000, user="gone")])
            appended += 5
            if first % 300 == 0:
                writer.compact()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert problems == []
    writer.erase("gone", 2**62)
    assert files_with(folder, "gone") == []
    assert writer.count() == total
