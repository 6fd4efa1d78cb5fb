"""Feature logging closes the loop: what was served is what the point-in-time join gives, bit by bit."""

import json
import subprocess
import sys
import threading
import time

import httpx
import pytest
from sample_shop import sample_bundle, sample_events, sample_items, sample_users

from flows.dataset import write_dataset
from flows.loader import load_dataset
from flows.served import served_rows
from infra.local import Stack
from infra.settings import any_ports, load_settings

PARTS = ("kafka", "redis", "postgres", "ingest", "stream", "recommender", "outcomes")
USERS, EACH = 30, 12
WITHIN_S = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skew")
    settings = load_settings(
        home=folder / "home",
        bundle_dir=sample_bundle().save(folder / "bundle"),
        snapshot_interval_s=1.0,
        attribution_s=2.0,
        **any_ports(),
    )
    with Stack(settings, PARTS) as stack:
        shop = write_dataset(folder / "shop", sample_items(), sample_users(USERS), sample_events(USERS, EACH))
        load_dataset(stack.settings, shop)
        yield stack


@pytest.fixture(scope="module")
def ingest(stack):
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.settings.ingest_port}", trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def recommender(stack):
    url = f"http://127.0.0.1:{stack.settings.recommender_port}"
    with httpx.Client(base_url=url, trust_env=False) as client:
        until(lambda: client.get("/ready").status_code == 200)
        yield client


def until(what):
    deadline = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def now_us():
    return time.time_ns() // 1_000


def ask(recommender, **parameters):
    response = recommender.get("/recommend", params=parameters)
    response.raise_for_status()
    return response.json()


def act(ingest, answer, place, kind="click", **fields):
    item_id = answer["recommendations"][place]["item_id"]
    names = {"user_id": answer["user_id"], "recommendation_id": answer["recommendation_id"]}
    event = {**names, "item_id": item_id, "event_type": kind, **fields}
    assert ingest.post("/events", json=event).status_code == 201


def settled(stack, recommender, user_id, count):
    """Wait until a user's acts are in the online store, and in the recommender's item table."""
    until(lambda: recommender.get(f"/users/{user_id}/features").json().get("features", {}).get("event_count") == count)
    time.sleep(4 * stack.settings.item_refresh_s)


def kept(stack, since_us, lists):
    until(lambda: served_rows(stack.settings, since_us, now_us())["recommendation_id"].nunique() >= lists)


MEASURE = """
import json, sys
from flows.skew import measure
from infra.settings import load_settings
begun, over, end = map(int, sys.argv[1:])
settled = measure(load_settings(), begun, over, under_way_s=0.0)
loaded = measure(load_settings(), over, end)
print(json.dumps([settled.as_json(), loaded.as_json()]))
"""


@pytest.fixture(scope="module")
def found(stack, ingest, recommender):
    """What ``flows.skew`` finds in rows that were served in peace, and in those served under load."""
    settled(stack, recommender, "user-0", EACH)
    begun = now_us()
    in_peace(stack, ingest, recommender)
    over = now_us()
    under_load(stack, recommender)
    kept(stack, begun, 2 * USERS + 105)
    # A process of its own: Feast's definitions are read once, with the settings of the first who asks.
    command = [sys.executable, "-c", MEASURE, str(begun), str(over), str(now_us())]
    done = subprocess.run(command, env=stack.environment(), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def in_peace(stack, ingest, recommender):
    """Lists, pages and sessions, then some acts; and, when these have settled, lists again."""
    for n in range(USERS):
        answer = ask(recommender, user_id=f"user-{n}", k=20)
        if n % 3 == 0:
            ask(recommender, user_id=f"user-{n}", recommendation_id=answer["recommendation_id"], offset=20)
    ask(recommender, user_id="nobody-yet")
    ask(recommender, user_id="user-1", k=30, diversity=0.5)
    ask(recommender, user_id="user-2", category="music")
    visitor = {"events": [{"item_id": "garden-1", "event_type": "click"}]}
    assert recommender.post("/recommend", json=visitor).status_code == 200
    answer = ask(recommender, user_id="user-4")
    for place, kind in enumerate(("click", "purchase", "rate", "add_to_cart")):
        act(ingest, answer, place, kind, value=2.5 if kind == "rate" else None)
    settled(stack, recommender, "user-4", EACH + 4)
    for n in range(USERS):
        ask(recommender, user_id=f"user-{n}", k=20)


def under_load(stack, recommender):
    """Lists of users who click twenty times a second meanwhile."""
    over = threading.Event()

    def visitor(number):
        event = {"user_id": f"user-{number}", "item_id": f"music-{number}", "event_type": "click"}
        with httpx.Client(base_url=f"http://127.0.0.1:{stack.settings.ingest_port}", trust_env=False) as own:
            while not over.wait(0.05):
                own.post("/events", json=event)

    visitors = [threading.Thread(target=visitor, args=(n,)) for n in range(4)]
    for each in visitors:
        each.start()
    for n in range(120):
        ask(recommender, user_id=f"user-{n % 8}")
    over.set()
    for each in visitors:
        each.join()


def test_after_the_acts_have_settled_no_row_differs(found):
    settled, _ = found
    assert settled["examples"] == []
    assert (settled["differ"], settled["in_flight"]) == (0, 0)
    assert settled["rows"] > 1_000
    assert set(settled["left_out"]) == {"not ranked", "a visitor's session, of which nothing is stored"}


def test_under_load_only_acts_in_flight_make_a_difference(found):
    _, loaded = found
    print(f"{loaded['in_flight']} of {loaded['rows']} rows met an act in flight")
    assert loaded["examples"] == []
    assert loaded["rows"] > 500


def test_a_click_is_the_label_of_the_row_that_led_to_it(stack, ingest, recommender):
    since_us = now_us()
    answer = ask(recommender, user_id="user-7")
    act(ingest, answer, 2, "purchase")
    until(lambda: (frame := served_rows(stack.settings, since_us, now_us())).size and frame["label"].notna().all())
    frame = served_rows(stack.settings, since_us, now_us())
    assert frame["label"].tolist() == [3 if n == 2 else 0 for n in range(10)]
    assert frame["item_id"].tolist() == [each["item_id"] for each in answer["recommendations"]]
