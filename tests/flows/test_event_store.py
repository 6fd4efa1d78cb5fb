"""What every event store promises: one suite, which each implementation has to pass."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from mongo_server import MongoServer
from sample_events import any_event, event, exactly, ids, in_order

from feature_repo.events import Event
from flows.event_store import EventStore, open_event_store
from infra.settings import SettingsError

NewUrl = Callable[[], str]

WRITER = """
import sys, time
from feature_repo.events import Event
from flows.event_store import open_event_store
store = open_event_store(sys.argv[1])
for n in range(3):
    store.append([Event(user_id="w", item_id="i", event_type="view", event_id=f"w{n}", timestamp=1700000000 + n)])
print("written", flush=True)
time.sleep(60)
"""

POOL = [event(n % 9, minutes=n % 5 * 700 + n / 1e9, user=f"u{n // 9}") for n in range(27)]
"""Three users with nine events each: the same ids, over three days, many at the same moment."""
TIMES = sorted({e.time_us for e in POOL})

_bounds = st.none() | st.sampled_from(TIMES)
_users = st.sampled_from(["u0", "u1", "u2"])
_steps = st.one_of(
    st.tuples(st.just("append"), st.lists(st.sampled_from(POOL))),
    st.tuples(st.just("erase"), st.tuples(_users, st.sampled_from(TIMES))),
    st.tuples(st.sampled_from(["compact", "reopen"]), st.none()),
)


def few(count: int) -> examples:
    """So many examples, with fixtures that they share."""
    return examples(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["parquet", "mongo"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Gives the URL of an empty store of each kind: every test that uses it is part of the contract."""
    if request.param == "parquet":
        return lambda: f"file://{tmp_path}/events-{uuid.uuid4().hex[:8]}"
    server: MongoServer = request.getfixturevalue("mongo_server")
    return lambda: server.url(f"test_{uuid.uuid4().hex[:8]}")


@pytest.fixture
def url(new_url: NewUrl) -> str:
    return new_url()


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with closing(open_event_store(url)) as store:
        yield store


def test_an_empty_store_has_nothing(store: EventStore) -> None:
    assert list(store.scan()) == list(store.tables()) == []
    assert store.count() == store.append([]) == store.erase("u1", 2**62) == 0
    store.compact()


@few(30)
@given(given_events=st.lists(any_event, min_size=1, max_size=5))
def test_every_field_comes_back_exactly(new_url: NewUrl, given_events: list[Event]) -> None:
    url, wanted = new_url(), exactly(in_order(given_events))
    with closing(open_event_store(url)) as store:
        assert store.append(in_order(given_events)) == len(wanted)
        assert exactly(store.scan()) == wanted
    with closing(open_event_store(url)) as store:
        assert exactly(store.scan()) == wanted


@few(30)
@given(steps=st.lists(_steps, max_size=8), since_us=_bounds, until_us=_bounds, user_id=st.none() | _users)
def test_whatever_was_done_it_holds_what_a_list_would(
    new_url: NewUrl, steps: list, since_us: int | None, until_us: int | None, user_id: str | None
) -> None:
    url, wanted = new_url(), []
    store = open_event_store(url)
    for step, argument in steps:
        if step == "append":
            assert store.append(argument) == len(argument)
            wanted = in_order([*wanted, *argument])
        elif step == "erase":
            user, until = argument
            kept = [e for e in wanted if e.user_id != user or e.time_us >= until]
            assert store.erase(user, until) == len(wanted) - len(kept)
            wanted = kept
        elif step == "reopen":
            store.close()
            store = open_event_store(url)
        else:
            store.compact()
    assert store.count() == len(wanted)
    assert list(store.scan()) == wanted
    chosen = [
        e
        for e in wanted
        if (since_us is None or e.time_us >= since_us)
        and (until_us is None or e.time_us < until_us)
        and user_id in (None, e.user_id)
    ]
    assert list(store.scan(since_us, until_us, user_id)) == chosen
    columns = [row for table in store.tables(since_us, until_us, user_id) for row in table["event_id"].to_pylist()]
    assert columns == ids(chosen)
    store.close()


def test_equal_times_are_ordered_by_event_id(store: EventStore) -> None:
    store.append([event(2), event(1), event(3)])
    assert ids(store.scan()) == ["e0001", "e0002", "e0003"]


def test_microseconds_decide(store: EventStore) -> None:
    given_events = [event(3 - n, minutes=n / 6e7) for n in range(3)]
    store.append(given_events)
    assert list(store.scan()) == given_events
    assert list(store.scan(given_events[1].time_us, given_events[2].time_us)) == [given_events[1]]
    assert store.erase("u1", given_events[1].time_us) == 1
    assert list(store.scan()) == given_events[1:]


def test_a_repeat_is_read_once(store: EventStore) -> None:
    store.append([event(1), event(2), event(1)])
    store.append([event(2), event(3)])
    store.compact()
    store.append([event(1), event(3)])
    assert ids(store.scan()) == ["e0001", "e0002", "e0003"]
    assert store.count() == 3


def test_one_event_id_of_two_users_is_two_events(store: EventStore) -> None:
    store.append([event(1, user="b"), event(1, user="a")])
    assert [e.user_id for e in store.scan()] == ["a", "b"]
    store.erase("a", 2**62)
    assert [e.user_id for e in store.scan()] == ["b"]


def test_an_event_id_used_again_at_another_time_is_another_event(store: EventStore) -> None:
    first, again = event(1), event(2, minutes=1, event_id="e0001")
    next_day = event(1, timestamp=first.timestamp.replace(day=first.timestamp.day + 1))
    store.append([first, again, first, next_day])
    store.compact()
    assert list(store.scan()) == [first, again, next_day]
    assert store.count() == 3


def test_only_the_user_himself_is_meant(store: EventStore) -> None:
    others = [event(n, user=user) for n, user in enumerate(["u11", "xu1", "U1"])]
    others.append(event(9, user="u2", item_id="u1", session_id="u1", properties={"user_id": "u1", '"user_id":"u1"': 1}))
    store.append([*others, event(5)])
    assert ids(store.scan(user_id="u1")) == ["e0005"]
    assert store.erase("u1", 2**62) == 1
    assert list(store.scan()) == others


def test_bounds_beyond_all_dates_are_no_bounds(store: EventStore) -> None:
    store.append([event(1)])
    assert ids(store.scan(-(2**63), 2**63 - 1)) == ["e0001"]


def test_who_reads_and_appends_elsewhere_finds_an_erasure_done(store: EventStore, url: str) -> None:
    store.append([event(1), event(2, user="other")])
    with closing(open_event_store(url)) as eraser:
        eraser.append([event(3), event(4, minutes=60)])
        assert eraser.erase("u1", event(4, minutes=60).time_us) == 2
        assert ids(store.scan()) == ["e0002", "e0004"]
        store.append([event(5, minutes=90)])
        assert ids(eraser.scan(user_id="u1")) == ["e0004", "e0005"]
        assert eraser.erase("u1", event(4).time_us) == 0


def test_a_killed_writer_loses_nothing_that_was_appended(store: EventStore, url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        assert ids(store.scan()) == ["w0", "w1", "w2"], "another process reads while the writer runs"
        writer.send_signal(signal.SIGKILL)
    assert ids(store.scan()) == ["w0", "w1", "w2"]
    store.append([event(1)])
    store.compact()
    assert ids(store.scan()) == ["w0", "w1", "w2", "e0001"]


def test_writers_readers_and_an_eraser_at_once_lose_nothing_and_bring_nothing_back(url: str) -> None:
    writers, batches = 3, 40
    acknowledged: list[set[str]] = [set() for _ in range(writers)]
    problems: list[str] = []

    def write(writer: int) -> None:
        with closing(open_event_store(url)) as store:
            for n in range(batches):
                # Every event comes from two writers, as after a restart; the erased user's from the first only.
                numbers = [1_000 * (writer // 2) + 10 * n + k for k in range(10)]
                store.append([event(k, minutes=k % 7 * 600, user=f"u{k % 5}") for k in numbers])
                acknowledged[writer].update(f"e{k:04d}" for k in numbers)
                if writer == 0 and n < batches / 2:
                    store.append([event(9_000 + n, user="gone")])

    def erase() -> None:
        with closing(open_event_store(url)) as store:
            while any(thread.is_alive() for thread in threads[:writers]):
                store.erase("gone", 2**62)

    def read() -> None:
        with closing(open_event_store(url)) as store:
            while any(thread.is_alive() for thread in threads[:writers]):
                before = set().union(*acknowledged)
                found = ids(e for e in store.scan() if e.user_id != "gone")
                if len(set(found)) != len(found) or not before <= set(found):
                    problems.append(f"{len(before)} acknowledged, {len(found)} read, {len(set(found))} distinct")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    threads += [threading.Thread(target=erase), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with closing(open_event_store(url)) as store:
        store.erase("gone", 2**62)
        assert store.count() == 2 * 10 * batches
        assert set(ids(store.scan())) == set().union(*acknowledged)


@pytest.mark.parametrize("url", ["s3://bucket", "events", "file://", "mongodb://", "mongodb://h:port/x"])
def test_a_wrong_url_is_refused_by_the_settings_name(url: str) -> None:
    with pytest.raises(SettingsError, match="EVENT_STORE_URL"):
        open_event_store(url)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(SettingsError, match=r"use file:///folder or mongodb://host/database") as refused:
        open_event_store("postgresql://user:secret@host/db")
    assert "secret" not in str(refused.value)
