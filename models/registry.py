"""Bundles in MLflow: the only file that speaks to it, beside ``history``, which only reads.

A bundle is a run's plain artifacts, a registered version that points at them, and an alias that says which version
serves. MLflow is imported when first asked for: its import costs seconds.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from infra.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

Found = TypeVar("Found")
Curve = Sequence[tuple[int, float]]
"""(step, value) pairs."""

CHALLENGER, PREVIOUS = "challenger", "previous"
"""Aliases beside the one that serves: the newest registered version until it is judged, and the way back."""

EXPERIMENT = "freshet"
ARTIFACTS = "bundle"
SQLITE = "sqlite:///"


class RegistryError(RuntimeError):
    """The registry cannot be reached or has no such version; the message says which."""


class Rollback(NamedTuple):
    """The version that was left, and the one that serves again."""

    left: str
    serves: str


def register(
    settings: Settings,
    bundle_dir: Path,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    *,
    extras: Path | None = None,
    curves: Mapping[str, Curve] | None = None,
    run_tags: Mapping[str, str] | None = None,
    description: str = "",
) -> str:
    """Log a saved bundle as a run and register it as a version of ``settings.model_name``. Returns the version.

    The version comes last: whatever breaks before leaves a run that says so, and no version.

    Args:
        bundle_dir: folder written by ``Bundle.save``.
        params, metrics, tags: of the run; the tags also stand at the version.
        extras: a folder whose files and folders become artifacts beside the bundle.
        curves: metrics with a value at each of many steps.
        run_tags: tags of the run alone.
        description: of the version, in Markdown.

    Raises:
        RegistryError: MLflow does not answer, or refuses; nothing was registered.
    """
    from mlflow.entities import Metric, Param, RunTag

    client = open_client(settings)
    with answering(settings, "nothing was registered"):
        run = client.create_run(_experiment(settings, client), tags=dict(tags))
        run_id, now = run.info.run_id, run.info.start_time
        try:
            values = [Metric(_plain(name), float(value), now, 0) for name, value in metrics.items()]
            values += [
                Metric(name, value, now, step) for name, curve in (curves or {}).items() for step, value in curve
            ]
            for part in _parts(values, 500):
                client.log_batch(run_id, metrics=part)
            for part in _parts([Param(name, str(value)) for name, value in params.items()], 100):
                client.log_batch(run_id, params=part)
            client.log_batch(run_id, tags=[RunTag(name, value) for name, value in (run_tags or {}).items()])
            client.log_artifacts(run_id, str(bundle_dir), ARTIFACTS)
            if extras is not None:
                client.log_artifacts(run_id, str(extras))
            _ensure_model(settings, client)
        except Exception:
            with suppress(Exception):
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
        version = client.create_model_version(
            settings.model_name,
            f"{run.info.artifact_uri}/{ARTIFACTS}",
            run_id,
            tags=dict(tags),
            description=description or None,
        )
    return str(version.version)


def promote(settings: Settings, version: str, alias: str) -> None:
    """Let an alias name a version; what it named before becomes ``previous``, the way back.

    Raises:
        RegistryError: there is no such version.
    """
    client = open_client(settings)
    _existing(settings, version)
    before = champion(settings, alias)
    if before not in (None, version):
        client.set_registered_model_alias(settings.model_name, PREVIOUS, before)
    client.set_registered_model_alias(settings.model_name, alias, version)
    if champion(settings, CHALLENGER) == version:
        client.delete_registered_model_alias(settings.model_name, CHALLENGER)


def roll_back(settings: Settings, reason: str, expected: str | None = None, to: str | None = None) -> Rollback | None:
    """Let the champion alias name the previous version again, and write the reason on the one that it leaves.

    Several may ask at once, as every recommender does when a release is bad: the alias moves once.

    Args:
        reason: stands on the version as tag ``rolled_back``.
        expected: only when the alias still names this version.
        to: the version that shall serve; None: the one that alias ``previous`` names.

    Returns:
        What happened; None when the alias names another version than the expected one already.

    Raises:
        RegistryError: there is no previous version.
    """
    client, alias, name = open_client(settings), settings.model_alias, settings.model_name
    bad, good = champion(settings, alias), to or champion(settings, PREVIOUS)
    if expected is not None and bad != expected:
        return None
    if bad is None or good is None or good == bad:
        if expected is not None and champion(settings, alias) != expected:  # another has just done it
            return None
        raise RegistryError(
            f"{name} at {settings.mlflow_tracking_uri} has no version with alias {PREVIOUS} to go back to; "
            "promote one by its number"
        )
    client.set_registered_model_alias(name, alias, good)
    client.delete_registered_model_alias(name, PREVIOUS)
    annotate(settings, bad, {"rolled_back": reason})
    return Rollback(bad, good)


def challenge(settings: Settings, version: str) -> None:
    """Let the alias ``challenger`` name a version. Raises RegistryError when there is no such version."""
    _existing(settings, version)
    open_client(settings).set_registered_model_alias(settings.model_name, CHALLENGER, version)


def annotate(settings: Settings, version: str, tags: Mapping[str, str], description: str | None = None) -> None:
    """Write tags, and a description, on a version. Raises RegistryError when there is no such version."""
    _existing(settings, version)
    client = open_client(settings)
    for name, value in tags.items():
        client.set_model_version_tag(settings.model_name, version, name, value)
    if description is not None:
        client.update_model_version(settings.model_name, version, description)


def attach(settings: Settings, version: str, files: Mapping[str, str]) -> None:
    """Put texts beside a version's bundle: file name -> text. Raises RegistryError when there is no such version."""
    run_id = _existing(settings, version).run_id
    with answering(settings, f"nothing was written beside version {version}"):
        for name, text in files.items():
            open_client(settings).log_text(run_id, text, name)


def run_of(settings: Settings, version: str) -> tuple[str, str | None]:
    """The run that a version came from: its id, and its page in MLflow when a server serves one."""
    run = open_client(settings).get_run(_existing(settings, version).run_id)
    uri, run_id = settings.mlflow_tracking_uri.rstrip("/"), str(run.info.run_id)
    page = f"{uri}/#/experiments/{run.info.experiment_id}/runs/{run_id}"
    return run_id, page if uri.startswith("http") else None


def description_of(settings: Settings, version: str) -> str:
    """The text on a version. Raises RegistryError when there is no such version."""
    return _existing(settings, version).description or ""


def tags_of(settings: Settings, version: str) -> dict[str, str]:
    """The tags on a version. Raises RegistryError when there is no such version."""
    return dict(_existing(settings, version).tags)


def aliases(settings: Settings) -> dict[str, str]:
    """Alias -> version, of every alias; empty without a registry."""
    if is_absent(settings):
        return {}
    client = open_client(settings)
    found = if_found(lambda: client.get_registered_model(settings.model_name))
    return {} if found is None else {name: str(version) for name, version in found.aliases.items()}


def champion(settings: Settings, alias: str) -> str | None:
    """The version that an alias names; None when it names none. A few milliseconds: made to be polled."""
    if is_absent(settings):
        return None
    client = open_client(settings)
    found = if_found(lambda: client.get_model_version_by_alias(settings.model_name, alias))
    return None if found is None else str(found.version)


def bundle_of(settings: Settings, version: str) -> str | None:
    """The bundle's own version of a registered one, by its tag; None when there is no such version or tag."""
    client = open_client(settings)
    found = if_found(lambda: client.get_model_version(settings.model_name, version))
    return None if found is None else found.tags.get("bundle")


def download(settings: Settings, version: str, to: Path, artifact: str = ARTIFACTS) -> Path:
    """Copy a version's bundle, or another of its artifacts, into a folder (made when absent). Returns the copy's path.

    Args:
        artifact: a folder or file of the run: ``bundle``, ``judged``, ``reference.parquet``, ...

    Raises:
        RegistryError: no such version, or it has no such artifact.
    """
    from mlflow.artifacts import download_artifacts

    found = _existing(settings, version)
    to.mkdir(parents=True, exist_ok=True)
    source = found.source if artifact == ARTIFACTS else f"{found.source.rpartition('/')[0]}/{artifact}"
    try:
        copy = Path(
            download_artifacts(artifact_uri=source, dst_path=str(to), tracking_uri=settings.mlflow_tracking_uri)
        )
    except Exception as error:  # each artifact store has errors of its own
        raise RegistryError(f"{settings.model_name} version {version}: no {artifact} at {source} ({error})") from error
    if not copy.exists() or (copy.is_dir() and not any(copy.iterdir())):  # a server lists what is not there as empty
        raise RegistryError(f"{settings.model_name} version {version}: no {artifact} at {source}")
    return copy


@contextmanager
def answering(settings: Settings, consequence: str) -> Iterator[None]:
    """Turn the errors of an MLflow that is away into a RegistryError that says what follows from it."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise RegistryError(f"MLflow at {settings.mlflow_tracking_uri}: {consequence} ({error})") from error


def _plain(name: str) -> str:
    """A metric's name in the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def _parts(values: Sequence[Found], size: int) -> Iterator[Sequence[Found]]:
    return (values[at : at + size] for at in range(0, len(values), size))


def _existing(settings: Settings, version: str) -> ModelVersion:
    client = open_client(settings)
    found = if_found(lambda: client.get_model_version(settings.model_name, version))
    if found is None:
        raise RegistryError(f"{settings.model_name} has no version {version} at {settings.mlflow_tracking_uri}")
    return found


def is_absent(settings: Settings) -> bool:
    """Whether nobody has made the local database: looking must not; it takes seconds, and two would collide."""
    uri = settings.mlflow_tracking_uri
    return uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists()


def open_client(settings: Settings) -> MlflowClient:
    """MLflow's client of these settings, the same at every call. The first imports MLflow, which takes seconds."""
    return _open(settings.mlflow_tracking_uri)


@lru_cache(maxsize=8)
def _open(uri: str) -> MlflowClient:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own 7 take minutes; who asks tries again
    from mlflow import MlflowClient

    if not uri.startswith(SQLITE):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    path = Path(uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The first client makes the tables; two at once would be in each other's way.
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def if_found(ask: Callable[[], Found]) -> Found | None:
    """What MLflow answers; None when it says that there is no such thing."""
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
    if if_found(lambda: client.get_registered_model(settings.model_name)) is None:
        client.create_registered_model(settings.model_name)
