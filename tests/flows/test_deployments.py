"""The deployments of flows/prefect.yaml on a real Prefect server, on PostgreSQL, with a real process worker."""

import json
import subprocess
import time

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.deployments import run_deployment
from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError
from sample_shop import sample_events, sample_items

from flows.event_store import open_event_store
from flows.materialize import materialize
from flows.metadata import MetadataStore
from flows.rollback_flow import rollback
from infra.servers import script
from infra.settings import ROOT
from models import registry
from models.registry import RegistryError

SCHEDULED = {"train": ["23 3 * * *"], "materialize": ["17 * * * *"], "drift": ["53 2 * * *"]}
ON_DEMAND = {"backfill", "rollback", "erase", "load"}
PATIENCE_S = 120


@pytest.fixture(scope="module")
def deployed(prefect_server):
    """Every deployment, by Prefect's own command."""
    done = subprocess.run(
        [script("prefect"), "--no-prompt", "deploy", "--all", "--prefect-file", "flows/prefect.yaml"],
        env=prefect_server.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return prefect_server


@pytest.fixture
def start(deployed, in_prefect):
    """``start("backfill", **parameters)``: a run for the worker, in the settings of this test."""

    def start(flow, **parameters):
        return run_deployment(
            f"{flow}/freshet",
            parameters=parameters,
            job_variables={"env": in_prefect.environment()},
            timeout=0,
            as_subflow=False,
        )

    return start


@pytest.fixture
def ended(prefect_client):
    """``ended(run)``: the same run at its end."""

    def ended(run):
        deadline = time.monotonic() + PATIENCE_S
        while not (now := prefect_client.read_flow_run(run.id)).state.is_final():
            assert time.monotonic() < deadline, now.state
            time.sleep(0.1)
        return now

    return ended


def test_every_flow_is_deployed_as_the_file_says(deployed, prefect_client):
    found = {d.entrypoint.rsplit(".", 1)[1]: d for d in prefect_client.read_deployments()}
    assert found.keys() == SCHEDULED.keys() | ON_DEMAND
    for name, deployment in found.items():
        assert deployment.name == "freshet" and deployment.description and deployment.tags, name
        assert [s.schedule.cron for s in deployment.schedules] == SCHEDULED.get(name, [])
        assert deployment.enforce_parameter_schema
        if name != "erase":
            assert deployment.global_concurrency_limit.limit == 1
    assert found["train"].concurrency_options.collision_strategy == "ENQUEUE"
    assert prefect_client.read_deployment_by_name("train/freshet").id == found["train"].id


def test_two_backfills_at_once_run_one_after_the_other_and_leave_a_table(start, ended, in_prefect, prefect_client):
    events = sample_events(6, 4)
    open_event_store(in_prefect.event_store_url).append(events)
    metadata = MetadataStore(in_prefect.database_url)
    metadata.upsert_items(sample_items())
    runs = [ended(run) for run in [start("backfill"), start("backfill")]]
    assert [run.state.name for run in runs] == ["Completed", "Completed"]
    first, second = sorted(runs, key=lambda run: run.start_time)
    assert first.end_time <= second.start_time
    (artifact,) = artifacts(prefect_client, first)
    rows = {row["view"]: row["rows"] for row in json.loads(artifact.data)}
    assert (artifact.type, rows["user_features"], rows["item_catalog"]) == ("table", len(events), len(sample_items()))


def test_a_rollback_goes_back_and_one_without_a_way_says_so(start, ended, in_prefect, prefect_client, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    old, new = (registry.register(in_prefect, bundle, {}, {}, {}) for _ in range(2))
    for version in (old, new):
        registry.promote(in_prefect, version, in_prefect.model_alias)
    run = ended(start("rollback", reason="clicks fell"))
    assert run.state.name == "Completed"
    assert registry.champion(in_prefect, in_prefect.model_alias) == old
    assert registry.tags_of(in_prefect, new)["rolled_back"] == "clicks fell"
    (artifact,) = artifacts(prefect_client, run)
    assert f"Version {new} of `freshet` was left: clicks fell" in artifact.data
    with pytest.raises(RegistryError, match="no version with alias previous to go back to; promote one by its number"):
        rollback("once more")
    assert rollback("not that bad", version=new) == new
    with pytest.raises(ParameterTypeError, match="version"):
        rollback("typing error", version="champion")


def test_bad_parameters_are_refused_before_a_run_exists(start):
    for flow, parameters in {
        "rollback": {},
        "erase": {"user_id": "two words"},
        "drift": {"hours": -1},
        "train": {"promote": "perhaps"},
    }.items():
        with pytest.raises(PrefectHTTPStatusError, match=r"40\d|42\d"):
            start(flow, **parameters)


def test_a_view_that_does_not_exist_is_named_and_none_at_all_is_no_failure(in_prefect):
    with pytest.raises(ValueError, match="views: 'users' is no feature view; there are user_features, "):
        materialize(["users"])
    with pytest.raises(ValueError, match=r"views: user_seen has no rows in .*; run the backfill first"):
        materialize(["user_seen"])
    state = materialize(return_state=True)
    assert state.is_completed(), state.message


def artifacts(client, run):
    return client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])))
