"""The dataflow of outcomes as it runs: Bytewax on a real log, rows in a real PostgreSQL and in Parquet files."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import psycopg
import pytest

from feature_repo.erasures import DATAFLOW, Erasures
from feature_repo.events import Event, pseudonym
from flows.served import served_rows
from infra.settings import Settings
from models.experiment_store import ExperimentStore
from models.experiments import Experiment, Variant
from models.outcome_store import OutcomeStore

NAMES = ["user_log_events", "item_log_1d", "fusion_score"]
ITEMS = [f"i{n}" for n in range(12)]
COLUMNS = "recommendation_id, shadow, clicks, conversions, round(ndcg::numeric, 4)::text, items, final"


def impression(number: int, user: str = "u1", items: list[str] | None = None, **fields: object) -> tuple[str, bytes]:
    """Key and value of the message of one list, as the recommender writes it."""
    shown = ITEMS[:10] if items is None else items
    now_us = time.time_ns() // 1_000
    message = {
        "recommendation_id": f"r{number}",
        "user_key": pseudonym(user),
        "model_version": "m1",
        "variant": "champion",
        "fallback": None,
        "feature_age_ms": 1.0,
        "timestamp": datetime.now(UTC).isoformat(),
        "time_us": now_us,
        "registered_version": "3",
        "experiments": {},
        "shadow": None,
        "offset": 0,
        "items": [{"item_id": item, "score": 0.5, "source": "retriever"} for item in shown],
        "feature_names": NAMES,
        "features": [[0.1 * n, None, n] for n in range(len(shown))],
    }
    return pseudonym(user), orjson.dumps(message | fields)


def act(number: int, item: str, user: str = "u1", kind: str = "click", **fields: object) -> Event:
    """An act on an item of that list."""
    values = {"user_id": user, "item_id": item, "event_type": kind, "recommendation_id": f"r{number}"}
    return Event.model_validate(values | {"event_id": f"e{number}-{item}-{kind}"} | fields)


def send_lists(log: Any, *messages: tuple[str, bytes]) -> None:
    log.send_raw((log.settings.topic_impressions, key, value) for key, value in messages)


def rows(settings: Settings) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.database_url) as connection:
        try:
            return connection.execute(f"SELECT {COLUMNS} FROM outcomes ORDER BY 1, 2").fetchall()
        except psycopg.errors.UndefinedTable:
            return []


def metrics(stack: Any) -> dict[str, float]:
    url = f"http://{stack.settings.host}:{stack.settings.outcomes_metrics_port}/metrics"
    with closing(urllib.request.urlopen(url, timeout=5)) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"attribution_s": 3.0, "outcomes_every_s": 0.2, "snapshot_interval_s": 1.0})


def test_a_list_and_what_it_led_to_become_rows(settings: Settings, log: Any, start_stack: Callable[..., Any]) -> None:
    stack = start_stack(settings, "outcomes")
    log.send([act(1, "i0")])
    log.wait_for(lambda: metrics(stack)["freshet_outcomes_open_states"], 1)  # waits for its list
    send_lists(log, impression(1), impression(2), impression(1, items=["i10", "i11"], offset=10, features=[]))
    log.wait_for(lambda: metrics(stack)['freshet_outcomes_impressions_total{kind="shown"}'], 3)  # no other act is early
    log.send([act(1, "i10", kind="purchase"), act(1, "i0"), act(2, "i99"), act(1, "i1", user="u2")])
    log.send([act(2, "i3", kind="remove_from_cart"), act(2, "i3", recommendation_id=None)])
    send_lists(log, ("x", b"{}"))
    log.wait_for(lambda: rows(settings), [("r1", "", 2, 1, "0.6131", 12, False), ("r2", "", 0, 0, "0.0000", 10, False)])
    log.wait_for(lambda: [row[-1] for row in rows(settings)], [True, True])
    found = metrics(stack)
    told = {
        name: found[f'freshet_outcomes_acts_total{{result="{name}"}}'] for name in ("early", "duplicate", "foreign")
    }
    assert told == {"early": 1, "duplicate": 1, "foreign": 2}
    assert found["freshet_outcomes_open_states"] == 0
    ((value, headers),) = log.dead_letters(1)
    assert (value, headers["reason"]) == (b"{}", "impression")
    log.send([act(1, "i2")])
    late = 'freshet_outcomes_acts_total{result="late"}'
    log.wait_for(lambda: metrics(stack)[late], 1)
    assert rows(settings)[0][2] == 2, "what comes late changes nothing"


def test_served_rows_are_kept_as_they_were_served(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    before_us = time.time_ns() // 1_000
    start_stack(settings, "outcomes")
    first = impression(1)
    page = impression(1, items=["i10"], offset=10, features=[], feature_names=[], fallback="last_known")
    send_lists(log, first, page, impression(1, shadow="e:s"))
    log.send([act(1, "i3", kind="add_to_cart")])
    log.wait_for(lambda: len(served_rows(settings, before_us, before_us + 60_000_000)), 11)
    frame = served_rows(settings, before_us, before_us + 60_000_000)
    assert frame["item_id"].tolist() == ITEMS[:11]
    assert frame["position"].tolist() == list(range(11))
    assert frame["fusion_score"].tolist()[:10] == list(range(10))
    assert frame["user_log_events"].dtype == "float32"
    assert frame["item_log_1d"].isna().all()
    assert frame["fusion_score"].isna().tolist() == [False] * 10 + [True]
    log.wait_for(lambda: served_rows(settings, before_us, before_us + 60_000_000)["label"].isna().sum(), 0)
    frame = served_rows(settings, before_us, before_us + 60_000_000)
    assert frame["label"].tolist() == [0, 0, 0, 2, *[0] * 7]
    assert served_rows(settings, before_us - 60_000_000, before_us).empty


def test_results_follow_the_acts(settings: Settings, log: Any, start_stack: Callable[..., Any]) -> None:
    variants = (Variant(name="as-is", share=0.5), Variant(name="new", share=0.5), Variant(name="dark", shadow=True))
    ExperimentStore(settings.database_url).put(Experiment(name="e", variants=variants))
    stack = start_stack(settings, "outcomes")
    store = OutcomeStore(settings.database_url)
    log.wait_for(lambda: [row["result"]["impressions"] for row in store.results()], [0, 0, 0])
    lists, acts = [], []
    for n in range(300):
        user, given = f"u{n // 2}", "as-is" if n % 4 < 2 else "new"
        lists.append(impression(n, user, experiments={"e": given}))
        if n % 3 == 0:
            lists.append(impression(n, user, items=ITEMS[2:12], experiments={"e": given}, shadow="e:dark"))
        if given == "new" or n % 8 == 0:
            acts.append(act(n, "i2", user, kind="purchase" if n % 8 == 0 else "click"))
    send_lists(log, *lists)
    log.send(acts)

    def counts() -> dict[str, tuple[int, int, int, int]]:
        results = {row["variant"]: row["result"] for row in store.results()}
        return {
            name: tuple(r[k] for k in ("impressions", "users", "clicks", "conversions")) for name, r in results.items()
        }

    log.wait_for(counts, {"as-is": (150, 75, 38, 38), "dark": (100, 100, 63, 13), "new": (150, 75, 150, 0)})
    results = {row["variant"]: row["result"] for row in store.results()}
    versus = results["new"]["versus_control"]
    assert versus["decided"]
    assert versus["low"] > 0
    assert results["dark"]["shadow"]
    assert results["dark"]["versus_control"] is results["as-is"]["versus_control"] is None
    assert results["dark"]["ndcg"] == pytest.approx(0.63), "what was clicked stands first in the shadow's list"
    found = metrics(stack)
    assert found['freshet_experiment_lists{experiment="e",variant="new"}'] == 150
    assert found['freshet_experiment_rate{bound="mean",experiment="e",metric="ctr",variant="new"}'] == 1.0
    assert found['freshet_experiment_p_value{experiment="e",variant="new"}'] < 0.01


def test_kills_change_nothing(settings: Settings, log: Any, start_stack: Callable[..., Any]) -> None:
    random, before_us = Random(3), time.time_ns() // 1_000
    stack = start_stack(settings, "outcomes")
    wanted = []
    for first in range(0, 400, 40):
        numbers = range(first, first + 40)
        send_lists(log, *(impression(n, f"u{n % 7}") for n in numbers))
        clicked = {n: random.sample(ITEMS[:10], random.randrange(4)) for n in numbers}
        log.send([act(n, item, f"u{n % 7}") for n in numbers for item in clicked[n]])
        wanted += [(f"r{n}", len(clicked[n]), True) for n in numbers]
        time.sleep(0.3)
        if first in (120, 280):
            stack.kill("outcomes")
            stack.restart("outcomes")
    log.wait_for(lambda: [(row[0], row[2], row[6]) for row in rows(settings)], sorted(wanted))
    frame = served_rows(settings, before_us, time.time_ns() // 1_000)
    assert len(frame) == 4_000
    assert int((frame["label"] > 0).sum()) == sum(clicks for _, clicks, _ in wanted)


def test_what_waits_in_memory_of_an_erased_user_is_not_written(
    settings: Settings, log: Any, start_stack: Callable[..., Any]
) -> None:
    before_us = time.time_ns() // 1_000
    send_lists(log, impression(1, "ann"), impression(2, "bob"))
    receipts = Erasures(settings.database_url)
    wish = receipts.request("ann")
    receipts.done(wish.erasure_id, DATAFLOW, time.time_ns() // 1_000)
    start_stack(settings, "outcomes")
    log.wait_for(lambda: [row[0] for row in rows(settings)], ["r2"])
    log.wait_for(lambda: set(served_rows(settings, before_us, before_us + 60_000_000)["recommendation_id"]), {"r2"})


def test_the_dataflow_imports_nothing_heavy() -> None:
    heavy = "[name for name in ('feast', 'torch', 'prefect', 'mlflow', 'bentoml') if name in sys.modules]"
    code = f"import sys, json; import flows.outcomes; print(json.dumps({heavy}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(found.stdout) == []
