"""A user is forgotten: after DELETE a scan of every store finds his id nowhere, and nothing brings him back."""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pyarrow.parquet as pq
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from sample_shop import sample_events, sample_items, sample_users

from feature_repo import schema
from feature_repo.erasures import STORES
from feature_repo.online import OnlineStore
from flows.backfill import write_history
from flows.dataset import write_dataset
from flows.event_store import open_event_store
from flows.loader import load_dataset
from flows.metadata import MetadataStore
from flows.replay import replay
from infra.local import Stack
from infra.settings import any_ports, load_settings

PARTS = ("kafka", "redis", "postgres", "ingest", "stream", "eraser")
USERS, EACH = 9, 20
ERASED = "user-3"
ANOTHER = "user-5"
OTHERS = [f"user-{n}" for n in range(USERS) if f"user-{n}" != ERASED]
WITHIN_S = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A loaded shop, with offline rows."""
    folder = tmp_path_factory.mktemp("erasure")
    with Stack(load_settings(home=folder / "home", **any_ports()), PARTS) as stack:
        events = sample_events(USERS, EACH)
        load_dataset(stack.settings, write_dataset(folder / "shop", sample_items(), sample_users(USERS), events))
        backfill(stack.settings)
        yield stack


@pytest.fixture(scope="module")
def ingest(stack):
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.settings.ingest_port}", trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def client(stack):
    """redis-py's client of the stack's Redis."""
    with redis.Redis.from_url(stack.settings.redis_url) as client:
        yield client


def backfill(settings):
    store, metadata = open_event_store(settings.event_store_url), MetadataStore(settings.database_url)
    with closing(store), closing(metadata):
        write_history(settings.offline_dir, store.scan(), metadata.items(), metadata.users())


def until(what, wanted, within_s=WITHIN_S):
    """Wait until something is what it should be, and see that it stays so."""
    deadline = time.monotonic() + within_s
    while (found := what()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    time.sleep(0.3)
    assert what() == wanted


def places(settings, client, needle):
    """Every place that holds a text: keys and values of Redis, tables of PostgreSQL, files."""
    return [
        *in_redis(client, needle.encode()),
        *in_postgres(settings, needle),
        *(place for folder in ("events", "offline", "recovery") for place in in_files(settings.home / folder, needle)),
    ]


def in_redis(client, needle):
    for key in client.scan_iter():
        kind = client.type(key)
        read = {b"hash": client.hgetall, b"zset": lambda key: dict(client.zrange(key, 0, -1, withscores=True))}[kind]
        values = read(key)
        if any(needle in part for part in (key, *values, *(v for v in values.values() if isinstance(v, bytes)))):
            yield f"redis {kind.decode()}"


def in_postgres(settings, needle):
    with psycopg.connect(settings.database_url) as connection:
        tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in tables.fetchall():
            found = connection.execute(f"SELECT 1 FROM {table} AS r WHERE strpos(r::text, %s) > 0", (needle,))
            if found.fetchone():
                yield f"postgres {table}"


def in_files(folder, needle):
    assert any(path.is_file() for path in folder.rglob("*")), folder
    for path in filter(lambda path: path.is_file(), folder.rglob("*")):
        # Parquet's pages are compressed: bytes alone would show nothing.
        rows = pq.read_table(path, partitioning=None).to_pylist() if path.suffix == ".parquet" else ()
        if needle.encode() in path.read_bytes() or needle in str(rows):
            yield f"file {path.parent.name}/{path.name}"


def what_others_have(settings, client):
    """Online rows, profiles and raw events of everybody else, and all offline rows of theirs."""
    online = OnlineStore(client, schema.VIEWS)
    views = (schema.USER_FEATURES, schema.USER_SEEN, schema.USER_PROFILE)
    with closing(MetadataStore(settings.database_url)) as metadata:
        profiles = [user for user in metadata.users() if user.user_id != ERASED]
    events = [e for e in open_event_store(settings.event_store_url).scan() if e.user_id != ERASED]
    offline = {view.name: [row for row in offline_rows(settings, view) if row["user_id"] != ERASED] for view in views}
    return {view.name: online.read(view.name, OTHERS) for view in views}, profiles, events, offline


def offline_rows(settings, view):
    return pq.read_table(settings.offline_dir / f"{view.name}.parquet").to_pylist()


def events_by_result(settings):
    text = httpx.get(f"http://127.0.0.1:{settings.stream_metrics_port}/metrics", trust_env=False).text
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == "freshet_stream_events"]
    return {sample.labels["result"]: sample.value for sample in family.samples if sample.name.endswith("_total")}


def test_an_erased_user_is_nowhere_and_does_not_come_back(stack, ingest, client):
    settings, online = stack.settings, OnlineStore(client, schema.VIEWS)

    def event_count():
        (row,) = online.read("user_features", [ERASED])
        return row and row.features["event_count"]

    def send(moment):
        event = {"user_id": ERASED, "item_id": "garden-1", "event_type": "click", "timestamp": moment.isoformat()}
        assert ingest.post("/events", json=event).status_code == 201

    until(event_count, EACH)
    before = what_others_have(settings, client)
    kinds = {place.partition(" ")[0] for place in places(settings, client, ERASED)}
    assert kinds == {"redis", "postgres", "file"}, "the scan finds what is there"

    asked = time.monotonic()
    answer = ingest.delete(f"/users/{ERASED}")
    assert answer.status_code == 202
    receipt = f"/erasures/{answer.json()['erasure_id']}"
    until(lambda: ingest.get(receipt).json()["status"], "done", asked + WITHIN_S - time.monotonic())
    stores = ingest.get(receipt).json()["stores"]
    assert [store["store"] for store in stores] == list(STORES)
    requested = datetime.fromisoformat(ingest.get(receipt).json()["requested_at"])
    assert all(datetime.fromisoformat(store["at"]) > requested for store in stores)
    assert places(settings, client, ERASED) == []
    assert what_others_have(settings, client) == before

    # A new training set, a replay, a late act and a dataflow that starts again do not bring him back; a new act does.
    backfill(settings)
    assert {row["user_id"] for row in offline_rows(settings, schema.USER_FEATURES)} == set(OTHERS)
    assert replay(settings) > 0
    send(requested - timedelta(seconds=1))
    until(lambda: events_by_result(settings).get("erased"), 1)
    assert places(settings, client, ERASED) == []
    send(datetime.now(UTC))
    until(event_count, 1)
    stack.kill("stream")
    stack.restart("stream")
    send(datetime.now(UTC))
    until(event_count, 2)
    stored = list(open_event_store(settings.event_store_url).scan(user_id=ERASED))
    assert len(stored) == 2 and all(event.timestamp > requested for event in stored)
    assert ingest.get(receipt).json()["status"] == "done"
    assert what_others_have(settings, client)[:3] == before[:3]


def test_a_receipt_waits_for_a_dataflow_that_is_away(stack, ingest, client):
    stack.kill("stream")
    receipt = f"/erasures/{ingest.delete(f'/users/{ANOTHER}').json()['erasure_id']}"
    time.sleep(2)
    told = ingest.get(receipt).json()
    assert told["status"] == "pending" and {store["status"] for store in told["stores"]} == {"pending"}
    stack.restart("stream")
    until(lambda: ingest.get(receipt).json()["status"], "done")
    assert places(stack.settings, client, ANOTHER) == []
