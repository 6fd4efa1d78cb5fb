"""The drift flow with real servers: Prefect, MLflow's registry, PostgreSQL, served rows as the dataflow keeps them."""

from __future__ import annotations

import json
import time
from contextlib import closing, suppress
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter
from prefect.exceptions import ObjectNotFound

from feature_repo.events import Event, Item
from flows.alone import alone
from flows.drift import drift
from flows.drift_report import LIST, thresholds
from flows.event_store import open_event_store
from flows.metadata import MetadataStore
from flows.outcome_messages import Listed, Served
from flows.served_store import ServedStore, served_folder
from models import registry
from models.drift_store import DriftStore
from models.outcome_store import Outcome, OutcomeStore
from models.readiness import CannotTrain

LISTS, SHOWN = 40, 10
NAMES = ("item_rising", "category_affinity", "item_log_7d", "user_log_events", "fusion_score")
ITEMS = [f"i{n}" for n in range(SHOWN)]


def values(random, lists, moved=()):
    """float32 [lists, SHOWN, len(NAMES)], with some features moved by two standard deviations."""
    return random.normal(0, 1, (lists, SHOWN, len(NAMES))).astype(np.float32) + np.float32(
        [2.0 * (name in moved) for name in NAMES]
    )


@pytest.fixture(scope="module")
def tracking(tmp_path_factory):
    """MLflow's database, which takes seconds to make."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def world(in_prefect, tracking, monkeypatch, tmp_path):
    """A champion with reference rows, and a shop that lives."""
    changes = {"mlflow_tracking_uri": tracking, "model_name": f"freshet-{tmp_path.name}", "drift_min_rows": 200}
    settings = in_prefect.model_copy(update=changes)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    random = np.random.default_rng(0)
    reference = pd.DataFrame(values(random, 3 * LISTS).reshape(-1, len(NAMES)), columns=list(NAMES))
    reference["prediction"] = random.normal(0, 1, len(reference)).astype(np.float32)
    reference["label"] = random.integers(0, 2, len(reference))
    reference["rank"] = np.tile(np.arange(SHOWN), 3 * LISTS)
    reference["time_us"] = np.repeat(np.arange(3 * LISTS), SHOWN)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    (tmp_path / "extras").mkdir()
    reference.to_parquet(tmp_path / "extras" / "reference.parquet")
    version = registry.register(settings, tmp_path / "bundle", {}, {}, {}, extras=tmp_path / "extras")
    registry.promote(settings, version, settings.model_alias)
    act = Event(user_id="u", item_id="i0", event_type="click", timestamp=datetime.now(UTC))
    open_event_store(settings.event_store_url).append([act])
    with closing(MetadataStore(settings.database_url)) as metadata:
        metadata.upsert_items([Item(item_id=item, title=item) for item in ITEMS])
    return settings, version


def serve(settings, version, features, sources=("retriever",) * SHOWN):
    """Keep lists as served a moment ago, and half of their first items as acted upon."""
    now_us, random = time.time_ns() // 1_000 - 60_000_000, np.random.default_rng(1)
    lists, outcomes = [], []
    for number, rows in enumerate(features):
        name = ("r" + str(number), "", "user-key", now_us + number)
        listed = Listed(*name, now_us, "m1", version, "champion", {}, 0, tuple(ITEMS))
        scores = random.normal(0, 1, SHOWN).astype(np.float32)
        lists.append(Served(listed, None, scores, tuple(sources), NAMES, rows))
        labels = {item: 1 for item in ITEMS if random.random() < 0.5}
        outcomes.append(Outcome(*name, "m1", version, "champion", {}, SHOWN, len(labels), 0, 1.0, labels, final=True))
    ServedStore(served_folder(settings)).write(lists)
    with closing(OutcomeStore(settings.database_url)) as store:
        store.write(outcomes)


@pytest.fixture
def deployment(prefect_client):
    """``train/freshet`` without a work pool: nobody runs what is started."""
    with suppress(ObjectNotFound):
        prefect_client.delete_deployment(prefect_client.read_deployment_by_name("train/freshet").id)
    flow = prefect_client.create_flow_from_name("train")
    made = prefect_client.create_deployment(flow, name="freshet", parameter_openapi_schema={"type": "object"})
    yield made
    prefect_client.delete_deployment(made)


def newest(settings):
    with closing(DriftStore(settings.database_url)) as store:
        (report,) = store.latest()
    return report


def artifacts(client, state):
    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    return {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=chosen)}


def test_served_rows_like_the_reference_are_no_drift(world, prefect_client, tmp_path):
    settings, version = world
    serve(settings, version, values(np.random.default_rng(2), LISTS))
    state = drift(return_state=True)
    assert (state.name, state.message) == ("Completed", "no drift: 0 of 4 features")
    report = newest(settings)
    assert (report.verdict, report.version, report.share, report.rows) == ("no drift", version, 0.0, LISTS * SHOWN)
    assert report.features.keys() == {*NAMES, "prediction", "label"}
    assert not report.features["label"]["drifted"] and not report.features["label"]["counts"]
    folder = registry.download(settings, version, tmp_path / "copy", "drift")
    (page,), (figures,) = folder.glob("*.html"), folder.glob("*.json")
    assert "<html" in page.read_text()[:200]
    assert len(json.loads(figures.read_text())["metrics"]) == len(NAMES) + 3
    found = artifacts(prefect_client, state)
    assert {row["column"] for row in json.loads(found["drift"].data)} == report.features.keys()
    assert page.name in found["drift-report"].data


def test_a_real_shift_starts_one_training_with_its_reason(world, prefect_client, deployment):
    settings, version = world
    serve(settings, version, values(np.random.default_rng(3), LISTS, ("item_rising", "category_affinity")))
    with alone(settings, "train"):
        state = drift(return_state=True)
    assert "drift: 2 of 4 features, most " in state.message and "a training is under way" in state.message
    assert newest(settings).training is None

    drift()
    run = prefect_client.read_flow_run(newest(settings).training)
    assert run.deployment_id == deployment
    assert run.tags == ["drift"] and run.parameters["reason"].startswith("drift: 2 of 4 features, most ")

    state = drift(return_state=True)
    assert f"run {run.name} is " in state.message
    assert newest(settings).training is None
    runs = prefect_client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"tags": {"all_": ["drift"]}}))
    assert [each.id for each in runs if each.deployment_id == deployment] == [run.id]


def test_a_training_here_that_fails_fails_the_run_and_is_told(world):
    settings, version = world
    serve(settings, version, values(np.random.default_rng(9), LISTS, ("item_rising", "category_affinity")))
    with pytest.raises(CannotTrain):  # one event makes no model
        drift(train_here=True)
    report = newest(settings)
    assert report.verdict == "drift" and report.training is None
    assert "2 of 4 features" in report.reason and "no training: " in report.reason


def test_what_grows_with_age_does_not_count(world):
    settings, version = world
    serve(settings, version, values(np.random.default_rng(4), LISTS, ("user_log_events",)))
    assert drift() == "no drift"
    aged = newest(settings).features["user_log_events"]
    assert (aged["drifted"], aged["counts"]) == (True, False)


def test_data_of_bad_quality_fail_the_run_and_train_nothing(world, prefect_client, deployment):
    settings, version = world
    features = values(np.random.default_rng(5), LISTS, ("item_rising", "category_affinity"))
    features[: LISTS // 2, :, 0] = np.nan
    features[:, :, 4] = 7
    serve(settings, version, features, ("moon", *("retriever",) * (SHOWN - 1)))
    state = drift(return_state=True)
    assert state.is_failed()
    assert "item_rising is missing in 50.0% of 400 rows" in state.message
    report = newest(settings)
    assert report.verdict == "bad data" and report.training is None
    assert {(alert["check"], alert["feature"]) for alert in report.alerts} == {
        ("nulls", "item_rising"),
        ("constant", "fusion_score"),
        ("unknown source", "source"),
    }
    assert len(json.loads(artifacts(prefect_client, state)["quality"].data)) == 3
    runs = prefect_client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"tags": {"all_": ["drift"]}}))
    assert not [run for run in runs if run.deployment_id == deployment]


def test_silence_is_an_alert_and_few_rows_are_not_judged(world):
    settings, version = world
    with pytest.raises(RuntimeError, match="no served row at all"):
        drift()
    serve(settings, version, values(np.random.default_rng(6), 3))
    state = drift(return_state=True)
    assert state.is_completed()
    assert "not judged: 30 comparable rows among 30 served ones" in state.message
    assert (newest(settings).verdict, newest(settings).share) == ("not judged", None)


def test_few_lists_need_a_larger_distance():
    random = np.random.default_rng(7)
    of_the_user = np.repeat(random.normal(0, 1, 300), SHOWN)  # alike in a list
    frame = pd.DataFrame({"user": of_the_user, "item": random.normal(0, 1, 300 * SHOWN)})
    frame[LIST] = np.repeat(np.arange(300), SHOWN)
    few, many = (thresholds(frame, ["user", "item"], lists, np.random.default_rng(8)) for lists in (20, 1_000))
    assert few["user"] > 2 * many["user"] > 0.2
    assert few["user"] > 2 * few["item"]
