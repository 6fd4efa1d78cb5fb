"""A run of a flow as a Job of Kubernetes: the job template of the pool, filled in as Prefect's worker fills it in."""

import json

import kubernetes_validate
import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders

from infra.settings import ROOT

TEMPLATE = json.loads((ROOT / "flows" / "kubernetes_pool.json").read_text())
VARIABLES = TEMPLATE["variables"]["properties"]
RUN = {"name": "able-eel", "command": ["prefect", "flow-run", "execute"], "labels": {"a": "b"}, "env": []}


@pytest.fixture
def job():
    """A run's Job, with the pool's defaults."""
    defaults = {name: each["default"] for name, each in VARIABLES.items() if "default" in each}
    return apply_values(TEMPLATE["job_configuration"]["job_manifest"], defaults | RUN)


def test_it_is_a_job_that_kubernetes_takes(job):
    kubernetes_validate.validate(job, "1.33", strict=True)
    assert not find_placeholders(job)


def test_every_variable_is_declared_and_used():
    used = {each.name for each in find_placeholders(json.dumps(TEMPLATE["job_configuration"]))}
    assert used == set(VARIABLES)


def test_a_run_is_as_confined_as_the_worker_and_writes_where_it_does(job):
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert {each["mountPath"] for each in container["volumeMounts"]} == {"/tmp", "/var/lib/freshet"}
    assert job["spec"]["backoffLimit"] == 0, "Prefect tries again, not Kubernetes"


def test_prefect_keeps_the_pool(prefect_client):
    prefect_client.create_work_pool(WorkPoolCreate(name="on-kubernetes", type="kubernetes", base_job_template=TEMPLATE))
    assert prefect_client.read_work_pool("on-kubernetes").base_job_template == TEMPLATE
    prefect_client.delete_work_pool("on-kubernetes")
