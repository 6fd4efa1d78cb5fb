"""What flows have come to, as metrics, out of real stores; Prefect's runs: tests/infra/test_dashboards.py."""

from __future__ import annotations

import asyncio
import math
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from bento.console import watcher
from bento.console.life_metrics import LifeMetrics
from bento.console.watcher import Watcher
from infra.settings import Settings
from models import registry
from models.drift_store import DriftReport, DriftStore

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Seen:
    """A watcher, and what its page of metrics says."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        self._watcher = Watcher(settings, LifeMetrics(self.registry))

    def look(self) -> None:
        async def once() -> None:
            async with httpx.AsyncClient(trust_env=False) as client:
                await self._watcher.look(client)
            await self._watcher.close()

        asyncio.run(once())

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"freshet_{name}", labels)


@pytest.fixture
def shop(settings: Settings, tmp_path: Path) -> Settings:
    """A database of its own, a model store that is made when it is needed, and no Prefect."""
    store = {"mlflow_tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}", "home": tmp_path}
    return settings.model_copy(update=store | {"prefect_api_url": "http://127.0.0.1:1/api"})


def test_the_gates_words_and_the_looks_for_drift_are_told(shop: Settings, tmp_path: Path) -> None:
    seen = Seen(shop)
    seen.look()
    assert [seen.value("model_versions", gate=word) for word in ("passed", "refused", "none")] == [0, 0, 0]
    assert seen.value("drift_last_report_timestamp_seconds", verdict="bad data") == 0
    assert math.isnan(seen.value("drift_share") or 0), "nothing was compared"
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    for gate in ("passed", "refused: latency", "refused: quality", None):
        version = registry.register(shop, tmp_path / "bundle", {}, {}, {})
        if gate:
            registry.annotate(shop, version, {"gate": gate}, "")
    columns: dict[str, Any] = {
        "clicks_1h": {"distance": 0.3, "threshold": 0.1, "drifted": True, "counts": True},
        "label": {"distance": None, "threshold": None, "drifted": False, "counts": False},
    }
    with closing(DriftStore(shop.database_url)) as reports:
        reports.add(DriftReport(AT, "1", "drift", "much", 900, 0.5, columns))
        reports.add(DriftReport(AT.replace(hour=13), "2", "not judged", "too few rows", 3))
    seen.look()
    assert [seen.value("model_versions", gate=word) for word in ("passed", "refused", "none")] == [1, 2, 1]
    times = [seen.value("model_last_version_timestamp_seconds", gate=word) for word in ("passed", "refused", "none")]
    assert times == sorted(times) and times[0]
    assert seen.value("drift_reports", verdict="drift") == seen.value("drift_reports", verdict="not judged") == 1
    assert seen.value("drift_last_report_timestamp_seconds", verdict="drift") == AT.timestamp()
    assert seen.value("drift_share") == 0.5
    assert seen.value("drift_distance_ratio", column="clicks_1h") == pytest.approx(3.0)
    assert math.isnan(seen.value("drift_distance_ratio", column="label") or 0)
    with closing(DriftStore(shop.database_url)) as reports:
        reports.add(DriftReport(AT.replace(hour=14), "2", "no drift", "little", 900, 0.0, {"label": columns["label"]}))
    seen.look()
    assert seen.value("drift_share") == 0
    assert math.isnan(seen.value("drift_distance_ratio", column="clicks_1h") or 0), "the new model has no such column"


def test_a_source_that_is_away_is_told_and_keeps_nobody_else(
    shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "WITHIN_S", 1.0)
    away = {"mlflow_tracking_uri": "http://127.0.0.1:1"}
    seen = Seen(shop.model_copy(update=away))
    assert seen.value("lifecycle_known", source="postgres") == 0, "before the first look"
    seen.look()
    assert [seen.value("lifecycle_known", source=name) for name in ("prefect", "mlflow", "postgres")] == [0, 0, 1]
    assert seen.value("flow_last_run_timestamp_seconds", flow="train", result="failed") is None, "nobody knows"
    assert seen.value("drift_reports", verdict="drift") == 0
