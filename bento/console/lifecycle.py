"""The model's versions and the looks for drift, out of MLflow and PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from bento.console import schemas
from bento.console.aside import Aside, Busy
from bento.console.links import bare, places
from bento.errors import Unavailable
from infra.settings import Settings
from models.drift_store import DriftStore
from models.history import Version, history, word

log = logging.getLogger(__name__)

WITHIN_S = 6.0
"""Longest wait for either; the first answer of MLflow's waits for its import too."""

CLOSE_S = 1.0

LOAD_S = 60.0
"""Longest wait for the import of MLflow's client, beside the requests."""


class Lifecycle:
    """Answers what became of models.

    Args:
        settings: the registry, the database.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry, self._database = Aside("registry"), Aside("drift")
        self._reports = DriftStore(settings.database_url)
        self._mlflow = next((place.url for place in places(settings) if place.name == "MLflow"), None)
        self._last: list[schemas.ModelVersion] = []

    async def load(self) -> None:
        """Import MLflow's client and ask it once, in a thread. Never raises: who asks next will hear what is wrong."""
        try:
            await self._registry.call(lambda: history(self._settings, 1), LOAD_S)
        except Exception as error:
            log.warning("MLflow cannot be asked yet: %s", error)

    async def models(self, count: int) -> schemas.ModelsAnswer:
        """The newest versions; those of the last look, and why, when MLflow does not answer."""
        try:
            found = await self._registry.call(lambda: history(self._settings, count), WITHIN_S)
        except Exception as error:  # MLflow's stores each have errors of their own
            log.warning("MLflow does not answer", exc_info=None if isinstance(error, Busy) else error)
            uri = self._settings.mlflow_tracking_uri
            trouble = f"MLflow at {uri}: {error}" if isinstance(error, Busy) else str(error)
            return schemas.ModelsAnswer(versions=self._last[:count], trouble=trouble.replace(uri, bare(uri) or ""))
        versions = [self._version(each) for each in found]
        self._last = [*versions, *self._older_than(versions, count)]
        return schemas.ModelsAnswer(versions=versions, trouble=None)

    def _older_than(self, versions: Sequence[schemas.ModelVersion], count: int) -> list[schemas.ModelVersion]:
        """Those of former looks that a look at so many could not see."""
        if len(versions) < count:
            return []
        return [each for each in self._last if int(each.version) < int(versions[-1].version)]

    async def drift(self, count: int) -> list[schemas.DriftReport]:
        """The newest looks for drift. Raises Unavailable when PostgreSQL gives no answer."""
        try:
            reports = await self._database.call(lambda: self._reports.latest(count), WITHIN_S)
        except (Busy, psycopg.Error) as error:
            log.warning("the drift reports cannot be read: %s", error)
            raise Unavailable("the database (PostgreSQL) gives no answer; see DATABASE_URL, and try again") from None
        return [schemas.DriftReport.model_validate(report._asdict()) for report in reports]

    async def close(self) -> None:
        """Close the connection to PostgreSQL, unless it hangs."""
        with suppress(Busy, psycopg.Error):
            await self._database.call(self._reports.close, CLOSE_S)

    def _version(self, found: Version) -> schemas.ModelVersion:
        tags = found.tags
        return schemas.ModelVersion(
            version=found.version,
            bundle=tags.get("bundle"),
            created_at=found.created_at,
            aliases=list(found.aliases),
            description=found.description or None,
            gate=None if (said := word(tags.get("gate"))) == "none" else said,
            gate_report=_readable(found),
            release=tags.get("release"),
            rolled_back=tags.get("rolled_back"),
            metrics=dict(found.metrics),
            run_url=f"{self._mlflow.rstrip('/')}/{found.page}" if self._mlflow and found.page else None,
            tags=dict(tags),
        )


def _readable(found: Version) -> schemas.GateReport | None:
    """The gate's report; None also when it is in a form that is not today's: one version must not hide the others."""
    if found.gate_report is None:
        return None
    try:
        return _report(found.gate_report, found.tags.get("gate", ""))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning("version %s: its gate report cannot be read: %s", found.version, error)
        return None


def _report(report: Mapping[str, Any], gate: str) -> schemas.GateReport:
    """The gate's report, from its whole form or from the short one that its tag holds."""
    if "checks" in report:
        return schemas.GateReport.model_validate(report)
    ratio = report.get("ndcg_ratio")
    numbers = {
        name: value for name, value in report.items() if name not in ("passed", "against", "failed", "ndcg_ratio")
    }
    return schemas.GateReport(
        passed=report["passed"],
        against=report["against"],
        summary=gate,
        checks=[],
        ratios={"all": schemas.GateRatio(**dict(zip(("ratio", "low", "high"), ratio, strict=True)))} if ratio else {},
        numbers=numbers,
    )
