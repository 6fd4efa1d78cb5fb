"""What became of the model's versions: their aliases, the gate's word, their metrics, as the registry keeps them.

For people who look; what is decided goes through ``registry``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from infra.settings import Settings
from models import registry
from models.registry import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

Word = Literal["passed", "refused", "none"]
"""The gate's on a version: none while it has not been judged."""

GATE = "gate.json"
"""The gate's whole report, beside the bundle."""


class Version(NamedTuple):
    """A registered version.

    Attributes:
        metrics: of its run, by MLflow's names; what is no number is left out.
        gate_report: as ``models.gate.Verdict.as_json`` has it, or ``short_json`` where only that can be read; None:
            there is none, or none that is JSON.
        page: its run's page, below the address of MLflow's own; None when the run is gone.
    """

    version: str
    created_at: datetime
    aliases: tuple[str, ...]
    description: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    gate_report: Mapping[str, Any] | None
    page: str | None


def history(settings: Settings, count: int) -> list[Version]:
    """The newest versions, newest first; none without a registry.

    Raises:
        RegistryError: MLflow does not answer.
    """
    if registry.is_absent(settings):
        return []
    client = registry.open_client(settings)
    with registry.answering(settings, "its versions are not known"):
        found = _newest(settings, client, count)
        named = registry.aliases(settings)
        return [_version(settings, client, each, named) for each in found]


def judged(settings: Settings, count: int) -> list[tuple[Word, datetime]]:
    """The gate's word on the newest versions, newest first, and when each was registered; none without a registry.

    Raises:
        RegistryError: MLflow does not answer.
    """
    if registry.is_absent(settings):
        return []
    client = registry.open_client(settings)
    with registry.answering(settings, "its versions are not known"):
        found = _newest(settings, client, count)
    return [(word(one.tags.get("gate")), datetime.fromtimestamp(one.creation_timestamp / 1_000, UTC)) for one in found]


def _newest(settings: Settings, client: Any, count: int) -> list[Any]:
    found: list[Any] = client.search_model_versions(
        f"name = '{settings.model_name}'", max_results=count, order_by=["version_number DESC"]
    )
    return found


def word(gate: str | None) -> Word:
    """The gate's word, from the tag that it leaves."""
    if gate is None:
        return "none"
    return "passed" if gate == "passed" else "refused"


class _Run(NamedTuple):
    experiment_id: str
    metrics: Mapping[str, float]


def _version(settings: Settings, client: MlflowClient, found: ModelVersion, named: Mapping[str, str]) -> Version:
    version, tags, run_id = str(found.version), dict(found.tags), str(found.run_id)
    run = registry.if_found(lambda: _run(client, run_id))
    return Version(
        version=version,
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1_000, UTC),
        aliases=tuple(sorted(alias for alias, names in named.items() if names == version)),
        description=found.description or "",
        tags=tags,
        metrics=run.metrics if run else {},
        gate_report=_gate_report(settings, version, run_id, tags["gate_report"]) if "gate_report" in tags else None,
        page=f"#/experiments/{run.experiment_id}/runs/{run_id}" if run else None,
    )


@lru_cache(256)  # a run's metrics are final before its version is registered
def _run(client: MlflowClient, run_id: str) -> _Run:
    run = client.get_run(run_id)
    metrics = {name: value for name, value in run.data.metrics.items() if math.isfinite(value)}
    return _Run(str(run.info.experiment_id), metrics)


def _gate_report(settings: Settings, version: str, run_id: str, short: str) -> Mapping[str, Any] | None:
    try:
        return _whole_report(settings, version, run_id, short)
    except (RegistryError, ValueError):  # not kept: where the artifacts are may be away just now
        return _parsed(short)


@lru_cache(256)  # a new judgement changes the short form too: it holds measured times
def _whole_report(settings: Settings, version: str, _run_id: str, _short: str) -> Mapping[str, Any]:
    with TemporaryDirectory() as folder:
        report: Mapping[str, Any] = json.loads(registry.download(settings, version, Path(folder), GATE).read_text())
    return report


def _parsed(short: str) -> Mapping[str, Any] | None:
    try:
        report = json.loads(short)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None
