"""Our promises to Feast: its SDK reads what we write, we read what it writes, and its joins see what we saw."""

import random

import pandas as pd
import pytest

from feature_repo.events import EVENT_TYPES, Event, Item, UserProfile
from feature_repo.online import OnlineStore, if_fresh
from feature_repo.schema import ITEM_CATALOG, TIMESTAMP, USER_FEATURES, USER_SEEN, VIEWS
from feature_repo.state import States, decayed_names
from feature_repo.store import apply_definitions, open_store
from flows.backfill import write_history
from flows.batch_views import restore_batch_views
from flows.training_set import item_rows, user_rows

START = 1_790_000_000


def random_events(count, seed=0):
    """Events with ties in time, several users, items and types, in order of time."""
    chance = random.Random(seed)
    seconds = [chance.choice((START + chance.randrange(40 * 86_400), START + 77)) for _ in range(count)]
    times = sorted(second + chance.choice((0, 0.25, 0.123457)) for second in seconds)
    return [
        Event(
            user_id=f"u{chance.randrange(12)}",
            item_id=f"ü{chance.randrange(30)}",
            event_type=chance.choice(EVENT_TYPES),
            timestamp=time,
            value=chance.choice((None, 1, 4.5)),
        )
        for time in times
    ]


@pytest.fixture
def store(definitions):
    store = open_store(definitions)
    apply_definitions(store)
    return store


@pytest.fixture
def online(redis_client):
    return OnlineStore(redis_client, VIEWS)


@pytest.fixture
def states():
    states = States()
    for event in random_events(400):
        states.apply(event)
    return states


def every_feature(view):
    return [f"{view.name}:{name}" for name in view.fields]


def test_the_sdk_reads_what_we_write(store, online, states):
    users = {user: (state.row(), state.last_us) for user, state in states.users.items()}
    seen = {user: (state.seen_row(), state.last_us) for user, state in states.users.items()}
    online.write({USER_FEATURES.name: users, USER_SEEN.name: seen})
    refs = every_feature(USER_FEATURES) + every_feature(USER_SEEN)
    asked = [*users, "nobody"]
    answer = store.get_online_features(refs, [{"user_id": user} for user in asked]).to_dict()
    given = dict(zip(answer.pop("user_id"), zip(*answer.values(), strict=True), strict=True))
    for user in asked:
        ours = online.read_entity(user, [USER_FEATURES.name, USER_SEEN.name])
        rows = [ours[view.name].features if ours[view.name] else {} for view in (USER_FEATURES, USER_SEEN)]
        assert dict(zip(answer, given[user], strict=True)) == {name: (rows[0] | rows[1]).get(name) for name in answer}


def test_we_write_the_bytes_that_push_writes(store, online, states, redis_client):
    user, state = next(iter(states.users.items()))
    moment = pd.Timestamp(state.last_us, unit="us", tz="UTC")
    frame = pd.DataFrame([{"user_id": user, TIMESTAMP: moment, **state.row()}])
    store.push(f"{USER_FEATURES.name}_push", frame)
    key = online.codecs[USER_FEATURES.name].key(user)
    pushed = redis_client.hgetall(key)
    redis_client.delete(key)
    online.write({USER_FEATURES.name: {user: (state.row(), state.last_us)}})
    assert pushed
    assert redis_client.hgetall(key) == pushed


def test_catalogue_rows_agree_for_every_type_of_field(store, online):
    entry = Item(
        item_id="ü1",
        title="Ünter",
        categories=["a", "b"],
        published_at="1931-05-01",
        price=3.5,
        in_stock=False,
        expires_at="2099-01-01",
    )
    bare = Item(item_id="bare")
    online.write({ITEM_CATALOG.name: {item.item_id: (item.row(), START * 10**6) for item in (entry, bare)}})
    answer = store.get_online_features(every_feature(ITEM_CATALOG), [{"item_id": "ü1"}, {"item_id": "bare"}]).to_dict()
    by_id = {answer["item_id"][n]: {name: answer[name][n] for name in ITEM_CATALOG.fields} for n in range(2)}
    assert by_id == {item.item_id: item.row() for item in (entry, bare)}
    assert entry.row()["published_us"] < 0


def test_changed_entities_are_told_once_and_in_order(online):
    online.write({ITEM_CATALOG.name: {"a": (Item(item_id="a").row(), 1)}})
    first = online.changed_since("item_id", 0)
    online.write({ITEM_CATALOG.name: {"b": (Item(item_id="b").row(), 1)}})
    second = online.changed_since("item_id", first[-1][1])
    assert [name for name, _ in first] == ["a"]
    assert [name for name, _ in second] == ["a", "b"]


def test_an_old_row_is_stale_although_feast_still_serves_it(online, states):
    user, state = next(iter(states.users.items()))
    online.write({USER_FEATURES.name: {user: (state.row(), state.last_us)}})
    (row,) = online.read(USER_FEATURES.name, [user])
    assert if_fresh(USER_FEATURES, row, state.last_us + 59 * 10**6, ttl_s=60) == row
    assert if_fresh(USER_FEATURES, row, state.last_us + 61 * 10**6, ttl_s=60) is None
    assert if_fresh(USER_FEATURES, None, 0, ttl_s=60) is None
    assert if_fresh(ITEM_CATALOG, row, state.last_us + 61 * 10**6, ttl_s=60) == row


def test_the_join_finds_what_serving_would_have_read_just_before(store, settings):
    events = random_events(300, seed=1)
    write_history(settings.offline_dir, events, [Item(item_id="ü1")], [UserProfile(user_id="u1", segments=["s"])])
    pairs = pd.DataFrame(
        [
            {"user_id": e.user_id, "item_id": e.item_id, TIMESTAMP: pd.Timestamp(e.time_us - 1, unit="us", tz="UTC")}
            for e in random.Random(2).sample(events, 80)
        ]
    )
    joined = {"user_id": user_rows(store, pairs), "item_id": item_rows(store, pairs)}
    for key, frame in joined.items():
        assert len(frame) == len(pairs[[key, TIMESTAMP]].drop_duplicates())
        assert {"event_count", "last_event_us", *decayed_names()} < set(frame.columns)
        for row in frame.to_dict("records"):
            states = States()
            for event in events:
                if event.time_us <= pd.Timestamp(row[TIMESTAMP]).value // 1_000:
                    states.apply(event)
            state = (states.users if key == "user_id" else states.items).get(row[key])
            assert_same(row, state.row() if state else None)


def assert_same(joined, expected):
    if expected is None:
        assert pd.isna(joined["event_count"])
        return
    for name in joined.keys() & expected.keys():
        value = expected[name]
        got = list(joined[name]) if isinstance(value, list) else joined[name]
        assert got == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value), name


def test_materialize_brings_offline_rows_online_and_never_over_newer_ones(store, settings, online):
    events = random_events(100, seed=3)
    write_history(settings.offline_dir, events, [Item(item_id="ü1", title="T")], [])
    states = States()
    for event in events:
        states.apply(event)
    newer, state = next(iter(states.users.items()))
    live = {**state.row(), "event_count": 10**6}
    online.write({USER_FEATURES.name: {newer: (live, state.last_us + 1)}})
    store.materialize_incremental(end_date=pd.Timestamp.now(tz="UTC").to_pydatetime())
    for user, row in zip(states.users, online.read(USER_FEATURES.name, list(states.users)), strict=True):
        expected = 10**6 if user == newer else states.users[user].event_count
        assert row.features["event_count"] == expected


def test_batch_rows_that_redis_lost_come_back_as_materialize_wrote_them(store, settings, redis_client):
    users = [UserProfile(user_id=f"u{n}", segments=[f"s{n % 3}", "ünder"]) for n in range(12)]
    write_history(settings.offline_dir, random_events(100, seed=4), [Item(item_id="ü1")], users)
    assert restore_batch_views(settings) == 4
    redis_client.flushall()
    store.materialize_incremental(
        end_date=pd.Timestamp.now(tz="UTC").to_pydatetime(), feature_views=["segment_favourites"]
    )
    written = {key: redis_client.hgetall(key) for key in redis_client.scan_iter()}
    assert len(written) == 4
    redis_client.flushall()
    assert restore_batch_views(settings) == 4
    assert {key: redis_client.hgetall(key) for key in written} == written


def test_the_registry_can_live_in_postgresql(settings):
    url = settings.database_url.replace("postgresql://", "postgresql+psycopg://")
    sql = settings.model_copy(update={"feast_registry": url})
    apply_definitions(open_store(sql))
    assert {view.name for view in open_store(sql).list_feature_views()} == {view.name for view in VIEWS}
