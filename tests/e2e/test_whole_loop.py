"""The whole system as a first run leaves it: loaded, trained; a click, a new item, one event followed, the demo.

What is done to it from a shell, by Feast's, Prefect's and MLflow's own commands, is in tests/docs/test_readme.py.
"""

import time
from datetime import UTC, datetime

import httpx
import pytest
from sample_shop import CATEGORIES, sample_events, sample_items, sample_users

from flows.dataset import write_dataset
from infra import demo
from infra.firstrun import first_run
from infra.follow import follow
from infra.local import Stack
from infra.settings import any_ports, load_settings

PARTS = ("kafka", "redis", "postgres", "prefect", "feast", "ingest", "recommender", "stream")
USERS, EACH = 120, 20
PATIENCE_S = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    shop = write_dataset(folder / "shop", sample_items(), sample_users(USERS), sample_events(USERS, EACH))
    settings = load_settings(
        explore_share=0.0,
        home=folder / "home",
        dataset=str(shop.folder),
        retriever_epochs=2,
        release_poll_s=0.5,
        **any_ports(),
    )
    with Stack(settings, PARTS) as stack:
        first_run(stack)
        yield stack


@pytest.fixture(scope="module")
def ingest(stack):
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.settings.ingest_port}", trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def recommender(stack):
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.settings.recommender_port}", trust_env=False) as client:
        yield client


def ids(answer):
    return [entry["item_id"] for entry in answer["recommendations"]]


def taken(response):
    """The answer of a request that succeeded."""
    return response.json() if response.status_code == 200 else None


def until(what, within_s=PATIENCE_S):
    """The first true answer of ``what``."""
    deadline = time.monotonic() + within_s
    while not (answer := what()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
    return answer


def test_one_event_is_followed_from_its_request_to_the_row_and_the_next_list(stack):
    spans = {f"{span.service} {span.told['span']}": span.told for span in follow(stack.settings, "followed")}
    act, listed = spans["ingest POST /events"], spans["recommender GET /recommend"]
    rows = [spans[f"stream row {view}_features"] for view in ("user", "item")]
    assert {told["trace_id"] for told in (act, listed, *rows)} == {act["trace_id"]}
    assert [row["parent_id"] for row in rows] == [act["span_id"]] * 2, "by the header of its message in the log"
    assert [[row["event_id"]] for row in rows] == [act["event_id"]] * 2
    assert [stage["stage"] for stage in act["stages"]] == ["check", "log"]
    assert [stage["stage"] for stage in rows[0]["stages"]] == ["log", "apply", "write"]
    assert "read" in [stage["stage"] for stage in listed["stages"]]
    assert listed["began_us"] > rows[0]["began_us"] >= act["began_us"] // 1_000 * 1_000, "the log counts milliseconds"


def test_the_demos_visitors_come_by_url_alone(stack, monkeypatch, capsys):
    monkeypatch.setattr(demo, "ROUND_TRIPS", 20)
    monkeypatch.setenv("FRESHET_INGEST_URL", f"http://127.0.0.1:{stack.settings.ingest_port}")
    monkeypatch.setenv("FRESHET_RECOMMENDER_URL", f"http://127.0.0.1:{stack.settings.recommender_port}/")
    assert demo.main(["--against-running"]) == 0, capsys.readouterr().out
    told = capsys.readouterr().out
    assert "after 5 clicks on" in told and "click accepted -> changed answer" in told


def test_the_demo_says_what_a_system_lacks(stack, monkeypatch, capsys):
    monkeypatch.setenv("FRESHET_INGEST_URL", f"http://127.0.0.1:{stack.settings.ingest_port}")
    monkeypatch.setenv("FRESHET_RECOMMENDER_URL", "http://127.0.0.1:1")
    assert demo.main(["--against-running"]) == 1
    assert "FRESHET_RECOMMENDER_URL" in capsys.readouterr().out.replace("\n", " ")


def test_both_services_are_ready_and_say_which_model_answers(ingest, recommender):
    assert ingest.get("/ready").status_code == 200
    assert recommender.get("/ready").status_code == 200
    model = recommender.get("/model").json()
    assert model["registered_version"] == "1"
    assert model["metrics"]["live.product.ndcg_at_10"] > 2 * model["metrics"]["live.recent_popularity.ndcg_at_10"]


def test_a_visitors_clicks_change_his_next_recommendations(ingest, recommender):
    before = recommender.get("/recommend", params={"user_id": "visitor"}).json()
    assert before["fallback"] == "popular"
    shelf = [f"kitchen-{n}" for n in range(3, 8)]
    for item in shelf:
        event = {"user_id": "visitor", "item_id": item, "event_type": "click"}
        assert ingest.post("/events", json=event).status_code == 201

    def counted():
        features = recommender.get("/users/visitor/features").json().get("features", {})
        return features.get("event_count") == len(shelf)

    until(counted)
    after = recommender.get("/recommend", params={"user_id": "visitor"}).json()
    assert after["fallback"] is None
    kitchen = [item for item in ids(after) if item.startswith("kitchen-")]
    assert len(kitchen) > sum(item.startswith("kitchen-") for item in ids(before))
    assert "kitchen-8" in ids(after)[:5]
    assert set(shelf).isdisjoint(ids(after))
    assert after["feature_age_ms"] < 1e3 * PATIENCE_S


def test_a_new_item_is_recommendable_from_its_first_minute(ingest, recommender):
    entry = {"title": "Garden new", "categories": [CATEGORIES[0]], "published_at": datetime.now(UTC).isoformat()}
    assert ingest.put("/items/garden-new", json=entry).status_code in (200, 201, 202)
    answer = until(lambda: recommender.get("/items/garden-new/features").json().get("features"))
    assert answer["title"] == "Garden new"
    answer = until(lambda: taken(recommender.get("/items/garden-new/similar", params={"k": 10})))
    similar = ids(answer)
    assert sum(item.startswith("garden-") for item in similar) > len(similar) / 2
