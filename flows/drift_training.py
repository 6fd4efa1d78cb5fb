"""Drift starts a training: through Prefect's server where it has the deployment, or here."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter
from prefect.client.schemas.objects import StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from flows.alone import holder
from infra.settings import Settings
from models.drift_store import DriftStore

DEPLOYMENT = "train/freshet"
HERE = "here"
LONGEST_REASON = 500
"""The train flow takes no longer one."""

IN_VAIN = (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)


class Training(NamedTuple):
    """What became of the wish for a training; ``run``: Prefect's id of it, HERE, or None when none was started."""

    run: str | None
    message: str


def start(settings: Settings, version: str, reason: str, here: bool) -> Training:
    """Start a training because of drift under a version, unless one is under way or was started for it already.

    Args:
        version: the champion.
        reason: stands on the training's run and version.
        here: train in this process.
    """
    reason = reason[:LONGEST_REASON]
    if other := holder(settings, "train"):
        return Training(None, f"a training is under way: {other.process}, since {other.since:%Y-%m-%d %H:%M} UTC")
    if here:
        from flows.train import train  # PyTorch: seconds

        return Training(HERE, f"trained version {train(reason=reason)} here")
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return Training(None, f"Prefect's server has no {DEPLOYMENT}; to train: python -m flows.train")
        if waiting := _waiting(client, deployment.id):
            return Training(None, f"a training is under way: run {waiting[0].name} is {waiting[0].state.name}")
        if before := _former(client, settings, version):
            return Training(None, f"run {before.name} was started for version {version} already: {before.state.name}")
    run = run_deployment(DEPLOYMENT, parameters={"reason": reason}, tags=["drift"], timeout=0, as_subflow=False)
    return Training(str(run.id), f"started {DEPLOYMENT} as run {run.name}")


def _waiting(client: SyncPrefectClient, deployment: UUID) -> list[Any]:
    """Runs of a deployment that run, or whose time has come: those of its schedule lie ahead."""
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(
            {"state": {"type": {"any_": ["RUNNING", "PENDING", "SCHEDULED", "PAUSED", "CANCELLING"]}}}
        ),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
    )
    now = datetime.now(UTC)
    return [run for run in runs if run.state_type != StateType.SCHEDULED or run.expected_start_time <= now]


def _former(client: SyncPrefectClient, settings: Settings, version: str) -> Any | None:
    """The run that drift started for this version before, unless it was in vain."""
    with closing(DriftStore(settings.database_url)) as store:
        known = store.training_for(version)
    if known is None or known == HERE:
        return None
    try:
        run = client.read_flow_run(UUID(known))
    except ObjectNotFound:  # Prefect's database was begun anew
        return None
    return None if run.state_type in IN_VAIN else run
