"""A model's life by the real flow: Prefect's server, MLflow's server, PostgreSQL, Redis, the event store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow_server import MlflowServer
from prefect import flow
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from sample_made import sample_made
from sample_shop import sample_events, sample_items, sample_users

import flows.train
from feature_repo.events import Event, Item, UserProfile, pseudonym
from flows.alone import AlreadyRuns, alone
from flows.event_store import open_event_store
from flows.metadata import MetadataStore
from flows.outcome_messages import Listed, Served
from flows.served_store import ServedStore, served_folder
from flows.train import deliver, go_live, train
from infra.settings import Settings, SettingsError
from models import registry
from models.bundle import Bundle
from models.dataset import History, time_split
from models.outcome_store import Outcome, OutcomeStore
from models.ranker import ranker_features
from models.readiness import CannotTrain
from models.registry import RegistryError

USERS, EACH = 60, 20


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture
def trained_by(
    in_prefect: Settings, monkeypatch: pytest.MonkeyPatch, read_definitions: Callable[..., None]
) -> Callable[..., Settings]:
    """Settings of the flow under test, with changes; the flow reads them from the environment."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def trained_by(**changes: object) -> Settings:
        settings = in_prefect.model_copy(update=changes)
        read_definitions(settings, monkeypatch)
        return settings

    return trained_by


def fill(
    settings: Settings,
    events: Sequence[Event] = (),
    items: Sequence[Item] = (),
    users: Sequence[UserProfile] = (),
) -> None:
    """What was loaded before the training."""
    store = open_event_store(settings.event_store_url)
    store.append(events)
    store.close()
    metadata = MetadataStore(settings.database_url)
    metadata.upsert_items(items)
    metadata.upsert_users(users)


def show_lists(settings: Settings, time_us: int) -> None:
    """Three lists that were shown at a time, as the dataflow of outcomes keeps them: two of them were clicked."""
    names, served, outcomes = ranker_features(), [], []
    for n in range(3):
        head = (f"list-{n}", "", pseudonym(f"user-{n}"), time_us)
        listed = Listed(*head, time_us, "a model", "1", "champion", {}, 0, ("garden-1", "music-1"))
        block, scores = np.full((2, len(names)), n, np.float32), np.array([2, 1], np.float32)
        served.append(Served(listed, None, scores, ("popular", "popular"), names, block))
        labels = {"music-1": 1} if n else {}
        outcomes.append(Outcome(*head, "a model", "1", "champion", {}, 2, len(labels), 0, 0.0, labels, True))
    ServedStore(served_folder(settings)).write(served)
    OutcomeStore(settings.database_url).write(outcomes)


def artifacts(client: Any, key: str) -> list[Any]:
    """Prefect's artifacts of a key."""
    return client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))


def test_a_training_from_events_to_champion(
    trained_by: Callable[..., Settings], mlflow: MlflowServer, prefect_client: Any, tmp_path: Path
) -> None:
    settings = trained_by(mlflow_tracking_uri=mlflow.url, model_name="whole")
    fill(settings, sample_events(USERS, EACH), sample_items(), sample_users(USERS))
    show_lists(settings, time_split(History.of(sample_events(USERS, EACH))).validation_us)
    version = train(reason="a first model", epochs=2, served=True)
    assert registry.aliases(settings) == {"champion": version}

    run = registry.open_client(settings).get_run(run_id := registry.run_of(settings, version)[0])
    told = run.data.params
    assert (told["reason"], told["epochs"], told["candidates"]) == ("a first model", "2", str(settings.candidates))
    assert told["gate_segments"] == settings.gate_segments
    assert (told["events"], told["data_events"], told["data_items"]) == (str(USERS * EACH),) * 2 + ("60",)
    assert (told["served_lists"], told["served_rows"]) == ("2", "4")
    assert told["from"] == sample_events(USERS, EACH)[0].timestamp.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len(told["data_hash"]) == 64
    assert told["feast_services"] == "user_context,item_context"
    assert {"feast_registry_version", "feast_user_context_hash", "code_package", "test_from_us"} <= set(told)
    metrics = run.data.metrics
    assert metrics["live.product.segment.cold.ndcg_at_10"] == metrics["live.product.segment.all.ndcg_at_10"]
    assert metrics["live.product.segment.category:garden.moments"] >= 30
    for name in ("retriever_loss.first", "retriever_loss.shipped", "ranker_ndcg_by_trees"):
        history = registry.open_client(settings).get_metric_history(run_id, name)
        assert len(history) > 5
        assert [point.step for point in history] == sorted(point.step for point in history)

    def download(artifact: str) -> Path:
        return registry.download(settings, version, tmp_path / artifact, artifact)

    shipped, twin = (Bundle.load(download(artifact)) for artifact in ("bundle", "judged"))
    assert twin.data_window["until_us"] == int(told["test_from_us"]) < shipped.data_window["until_us"]
    frame = pd.read_parquet(download("reference.parquet"))
    assert list(frame) == [*ranker_features(), "prediction", "label", "rank", "time_us"]
    plots = sorted(path.name for path in download("plots").iterdir())
    assert plots == ["calibration.png", "importance.png", "learning.png", "recall.png"]
    table = json.loads(download("importance.json").read_text())
    assert table["columns"] == ["feature", "gain", "moves"]
    assert {row[0] for row in table["data"]} == set(ranker_features())
    assert json.loads(download("gate.json").read_text())["passed"] is True

    assert registry.tags_of(settings, version)["gate"] == "passed"
    assert json.loads(registry.tags_of(settings, version)["gate_report"])["against"] == "recent popularity"
    text = registry.description_of(settings, version)
    assert "(a first model)" in text
    assert "**Data**: 1,200 events of 60 users and 60 items" in text
    assert "**Gate**: passed against recent popularity: NDCG@10" in text

    segments = json.loads(artifacts(prefect_client, "quality-by-segment")[0].data)
    assert {"all", "cold", "category:garden"} <= {row["segment"] for row in segments}
    found = {key: artifacts(prefect_client, key)[0] for key in ("quality", "training", "gate", "gate-checks")}
    assert f"# Version {version} passed" in found["gate"].data
    assert mlflow.url in artifacts(prefect_client, "mlflow-run")[0].data
    assert artifacts(prefect_client, "plot-recall")[0].data.startswith("data:image/png;base64,")


@flow(name="delivery")
def delivery(settings: Settings) -> str:
    """The second half of the training flow, on what a training of the sample shop makes."""
    data, made = sample_made()
    with alone(settings, "train") as held:
        return deliver(settings, made, data, True, held)


def test_an_mlflow_that_dies_leaves_the_champion_alone(
    trained_by: Callable[..., Settings], mlflow: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = trained_by(mlflow_tracking_uri=mlflow.url, model_name="mortal")
    kept = settings.model_copy(update={"mlflow_tracking_uri": mlflow.store})
    first = delivery(settings)
    assert registry.aliases(kept) == {"champion": first}

    def die(*_: object) -> None:
        mlflow.kill()
        really(*_)

    for task in (flows.train.register, flows.train.go_live):
        monkeypatch.setattr(task, "retry_delay_seconds", 0.1)  # tried as often, only sooner
    really = flows.train.go_live
    monkeypatch.setattr(flows.train, "go_live", die)
    eager = settings.model_copy(update={"gate_margin": -0.5, "gate_latency_ratio": 100.0})
    with pytest.raises(RegistryError, match=f"MLflow at {mlflow.url}: the promotion of version 2 broke off"):
        delivery(eager)
    second = str(int(first) + 1)
    assert registry.aliases(kept) == {"champion": first, "challenger": second}
    assert registry.tags_of(kept, second)["gate"] == "passed"

    with pytest.raises(RegistryError, match=f"MLflow at {mlflow.url}: nothing was registered"):
        delivery(eager)
    assert registry.aliases(kept) == {"champion": first, "challenger": second}
    with pytest.raises(RegistryError, match="no version 3"):
        registry.tags_of(kept, str(int(second) + 1))


def repeats() -> list[Event]:
    """Events of which the last 10 % are all repeats of what their users did before."""
    events = sample_events()
    start = events[-1].timestamp
    return events + [
        event.model_copy(update={"timestamp": start + timedelta(minutes=n), "event_id": f"again-{n}"})
        for n, event in enumerate(events[:90])
    ]


def unheard_of() -> list[Event]:
    """Events that after 85 % of time are all of items outside the catalogue."""
    events = sample_events()
    return [
        event if n < 0.84 * len(events) else event.model_copy(update={"item_id": f"unheard-of-{n}"})
        for n, event in enumerate(events)
    ]


BAD = {
    "nothing at all": ([], [], [], "events: 0 events, 0 items and 0 profiles were read"),
    "users only": ([], [], sample_users(), "events: 0 events, 0 items and 60 profiles were read"),
    "no catalogue": (sample_events(), [], [], "items: 720 events, 0 items and 0 profiles were read"),
    "an empty test window": (repeats(), sample_items(), [], r"the test window \(last 10 %\), .* is empty"),
    "labels of one class": (unheard_of(), sample_items(), [], "labels: all of one class"),
}


@pytest.mark.parametrize("case", BAD)
def test_data_that_make_no_model_end_the_flow_with_a_reason(
    trained_by: Callable[..., Settings], prefect_client: Any, case: str
) -> None:
    events, items, users, reason = BAD[case]
    settings = trained_by()
    fill(settings, events, items, users)
    state = train(epochs=1, return_state=True)
    assert state.is_failed()
    with pytest.raises(CannotTrain, match=reason):
        state.result()
    kept = prefect_client.read_flow_run(state.state_details.flow_run_id).state
    assert re.search(f"CannotTrain: {reason}", kept.message)
    assert registry.aliases(settings) == {}


def test_a_second_training_ends_at_once_and_names_the_first(trained_by: Callable[..., Settings]) -> None:
    settings = trained_by()
    with alone(settings, "train"), pytest.raises(AlreadyRuns, match="train already runs"):
        train()
    assert registry.aliases(settings) == {}


def test_a_guarded_segment_that_is_none_is_named_before_the_training(trained_by: Callable[..., Settings]) -> None:
    settings = trained_by(gate_segments="warm,category:gardn")
    fill(settings, sample_events(), sample_items(), sample_users())
    with pytest.raises(SettingsError, match=r"FRESHET_GATE_SEGMENTS: 'category:gardn' .* mean category:garden"):
        train()


@pytest.mark.parametrize("given", [{"epochs": 0}, {"epochs": "many"}, {"reason": ""}, {"promote": "perhaps"}])
def test_parameters_have_types_and_bounds(trained_by: Callable[..., Settings], given: dict[str, Any]) -> None:
    trained_by()
    (name,) = given
    with pytest.raises(Exception, match=name):
        train(**given)


def test_a_champion_that_moved_while_a_version_was_judged_stays(home: Settings, tmp_path: Path) -> None:
    """A rollback in the meantime, say: the verdict was about another champion."""
    _, made = sample_made()
    versions = [registry.register(home, made.shipped.save(tmp_path / name), {}, {}, {}) for name in ("a", "b", "c")]
    registry.promote(home, versions[0], home.model_alias)
    judged_against = registry.champion(home, home.model_alias)
    registry.promote(home, versions[1], home.model_alias)
    with pytest.raises(RegistryError, match="champion was version 1 when version 3 was judged and is 2 now"):
        go_live.fn(home, versions[2], judged_against)
    assert registry.aliases(home) == {"champion": versions[1], "previous": versions[0]}
