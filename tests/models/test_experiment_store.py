"""Experiments in a real PostgreSQL: started once, ended once, and never two on one thing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from infra.settings import Settings
from models.experiment_store import ExperimentStore
from models.experiments import Experiment, ExperimentError


@pytest.fixture
def store(settings: Settings) -> Iterator[ExperimentStore]:
    with closing(ExperimentStore(settings.database_url)) as found:
        yield found


def experiment(name: str, **varied: Any) -> Experiment:
    variants = [{"name": "control", "share": 0.5}, {"name": "varied", "share": 0.5, **varied}]
    return Experiment.model_validate({"name": name, "variants": variants})


VARIETY = experiment("more-variety", rules={"diversity": 0.5})
MODEL = experiment("next-model", model="challenger")


def test_an_experiment_runs_from_its_start_to_its_end(store: ExperimentStore) -> None:
    assert store.running() == store.all() == []
    before = datetime.now(UTC) - timedelta(seconds=1)
    started_at = store.put(VARIETY)
    store.put(MODEL)
    assert before < started_at < datetime.now(UTC) + timedelta(seconds=1)
    assert [stored.experiment for stored in store.running()] == [VARIETY, MODEL]
    ended_at = store.end("more-variety")
    assert ended_at > started_at
    assert [stored.experiment.name for stored in store.running()] == ["next-model"]
    assert [(stored.experiment, stored.ended_at, stored.state) for stored in store.all()] == [
        (MODEL, None, "running"),
        (VARIETY, ended_at, "ended"),
    ]


def test_the_same_definition_again_changes_nothing(store: ExperimentStore) -> None:
    assert store.put(VARIETY) == store.put(VARIETY) and len(store.all()) == 1


def test_a_running_definition_cannot_be_changed_but_ended(store: ExperimentStore) -> None:
    store.put(VARIETY)
    with pytest.raises(ExperimentError, match=r"name: experiment more-variety runs with another definition.* end it"):
        store.put(experiment("more-variety", rules={"diversity": 0.6}))
    assert [stored.experiment for stored in store.all()] == [VARIETY]
    store.end("more-variety")
    with pytest.raises(ExperimentError, match=r"name: experiment more-variety has ended, at .*take another name"):
        store.put(VARIETY)


@pytest.mark.parametrize("varied", [{"rules": {"diversity": 0.1}}, {"rules": {"diversity": 0.2, "explore_share": 0}}])
def test_two_that_vary_the_same_rule_do_not_run_together(store: ExperimentStore, varied: dict[str, Any]) -> None:
    store.put(VARIETY)
    with pytest.raises(ExperimentError, match=r"experiment more-variety runs and varies diversity, too; end it first"):
        store.put(experiment("less-variety", **varied))
    store.end("more-variety")
    store.put(experiment("less-variety", **varied))


def test_two_models_do_not_run_together_but_a_shadow_may(store: ExperimentStore) -> None:
    store.put(MODEL)
    with pytest.raises(ExperimentError, match="experiment next-model runs and varies model, too"):
        store.put(experiment("other-model", model="previous"))
    store.put(experiment("beside", share=0.0, model="previous", shadow=True))
    assert len(store.running()) == 2


def test_of_two_that_start_at_once_one_is_refused(settings: Settings) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(4)

    def start(n: int) -> None:
        with closing(ExperimentStore(settings.database_url)) as store:
            store.running()
            ready.wait(10)
            try:
                store.put(experiment(f"variety-{n}", rules={"diversity": 0.5}))
                outcomes.append("started")
            except ExperimentError as error:
                outcomes.append("refused" if "varies diversity" in str(error) else str(error))

    threads = [threading.Thread(target=start, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["refused"] * 3 + ["started"]


def test_ending_what_does_not_run_says_what_does(store: ExperimentStore) -> None:
    store.put(VARIETY)
    with pytest.raises(ExperimentError, match="there is no experiment more-varity; running: more-variety"):
        store.end("more-varity")
    store.end("more-variety")
    with pytest.raises(ExperimentError, match="experiment more-variety has ended already"):
        store.end("more-variety")


def test_a_definition_of_another_version_is_left_out(
    store: ExperimentStore, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    store.put(VARIETY)
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("""INSERT INTO experiments VALUES ('newer', '{"name": "newer", "boost": 2}', now())""")
    for _ in range(2):
        assert [stored.experiment for stored in store.running()] == [VARIETY]
    assert [record.getMessage().partition(":")[0] for record in caplog.records if record.levelname == "ERROR"] == [
        "experiment newer cannot be read and is left out"
    ]
