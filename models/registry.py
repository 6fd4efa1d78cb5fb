"""Bundles in MLflow: the only file that speaks to it.

A bundle is a run's plain artifacts, a registered version that points at them, and an alias that says which version
serves. MLflow is imported when first asked for: its import costs seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infra.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

Found = TypeVar("Found")

EXPERIMENT = "freshet"
ARTIFACTS = "bundle"
SQLITE = "sqlite:///"


class RegistryError(RuntimeError):
    """The registry cannot be reached or has no such version; the message says which."""


def register(
    settings: Settings,
    bundle_dir: Path,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> str:
    """Log a saved bundle as a run and register it as a version of ``settings.model_name``. Returns the version.

    Args:
        bundle_dir: folder written by ``Bundle.save``.
        params, metrics, tags: of the run; the tags also stand at the version.
    """
    from mlflow.entities import Metric, Param, RunTag

    client = _client(settings)
    run = client.create_run(_experiment(settings, client), tags=dict(tags))
    now = run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, float(value), now, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    client.log_artifacts(run.info.run_id, str(bundle_dir), ARTIFACTS)
    client.set_terminated(run.info.run_id)
    _ensure_model(settings, client)
    version = client.create_model_version(
        settings.model_name, f"{run.info.artifact_uri}/{ARTIFACTS}", run.info.run_id, tags=dict(tags)
    )
    return str(version.version)


def promote(settings: Settings, version: str, alias: str) -> None:
    """Let an alias name a version. Raises RegistryError when there is no such version."""
    client = _client(settings)
    if _found(lambda: client.get_model_version(settings.model_name, version)) is None:
        raise RegistryError(f"{settings.model_name} has no version {version} at {settings.mlflow_tracking_uri}")
    client.set_registered_model_alias(settings.model_name, alias, version)


def champion(settings: Settings, alias: str) -> str | None:
    """The version that an alias names; None when it names none. A few milliseconds: made to be polled."""
    uri = settings.mlflow_tracking_uri
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():
        return None  # looking must not create the database: that takes seconds, and two who look would collide
    client = _client(settings)
    found = _found(lambda: client.get_model_version_by_alias(settings.model_name, alias))
    return None if found is None else str(found.version)


def download(settings: Settings, version: str, to: Path) -> Path:
    """Copy a version's bundle into a folder (made when absent). Returns the folder of the bundle.

    Raises:
        RegistryError: no such version, or it has no bundle.
    """
    from mlflow.artifacts import download_artifacts

    client = _client(settings)
    found = _found(lambda: client.get_model_version(settings.model_name, version))
    if found is None:
        raise RegistryError(f"{settings.model_name} has no version {version} at {settings.mlflow_tracking_uri}")
    to.mkdir(parents=True, exist_ok=True)
    uri = settings.mlflow_tracking_uri
    try:
        return Path(download_artifacts(artifact_uri=found.source, dst_path=str(to), tracking_uri=uri))
    except Exception as error:  # each artifact store has errors of its own
        raise RegistryError(
            f"{settings.model_name} version {version}: no bundle at {found.source} ({error})"
        ) from error


def _client(settings: Settings) -> MlflowClient:
    return _open(settings.mlflow_tracking_uri)


@lru_cache(maxsize=8)
def _open(uri: str) -> MlflowClient:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    if uri.startswith(SQLITE):
        Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _found(ask: Callable[[], Found]) -> Found | None:
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        # MLflow says of an alias that is not there that the parameter is invalid.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _experiment(settings: Settings, client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    local = settings.mlflow_tracking_uri.startswith("sqlite:")
    # A tracking server knows where its artifacts go; a local store would put them into the working directory.
    location = (settings.home / "mlflow" / "artifacts").as_uri() if local else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _ensure_model(settings: Settings, client: MlflowClient) -> None:
    if _found(lambda: client.get_registered_model(settings.model_name)) is None:
        client.create_registered_model(settings.model_name)
