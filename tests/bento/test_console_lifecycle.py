"""What became of models, out of a real MLflow store, and the looks for drift, out of a real PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento.console import lifecycle
from infra.settings import Settings
from models import registry
from models.drift_store import DriftReport, DriftStore
from models.gate import Check, Verdict
from models.history import GATE
from models.metrics import Ratio

pytest_plugins = ["tests.bento.console_fixtures"]

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
VERDICT = Verdict(
    "1",
    None,
    "recent popularity",
    [Check("quality", True, "NDCG@10 0.15 beats 0.05"), Check("latency", False, "9 ms; at most 5")],
    {"all": Ratio(1.2, 1.1, float("inf"))},
    {"latency_ms": 9.0, "unknown": float("nan")},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store with one version; it costs seconds to make."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "manifest.json").write_text("{}")
    return folder


def with_store(settings: Settings, folder: Path) -> Settings:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return settings.model_copy(update={"mlflow_tracking_uri": uri, "home": folder, "uis": False})


def register(settings: Settings, folder: Path, number: int, **tags: str) -> str:
    metrics = {"live.product.ndcg_at_10": number / 8, "broken": float("nan")}
    return registry.register(settings, folder / "bundle", {}, metrics, {"bundle": f"b{number}"} | tags)


def models(client: httpx.Client, count: int = 20) -> dict[str, Any]:
    answer = client.get("/api/console/models", params={"count": count})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def made(store: Path, servers: Any) -> Iterator[Settings]:
    """Settings of a store with three versions: promoted and judged, refused, with a short report, only registered."""
    settings = with_store(servers.settings, store)
    first, second = (register(settings, store, number) for number in (1, 2))
    short = json.dumps(VERDICT.short_json())
    registry.annotate(settings, first, {"gate": "passed", "gate_report": short, "release": "champion"}, "**first**")
    registry.attach(settings, first, {GATE: json.dumps(VERDICT.as_json())})
    registry.promote(settings, first, "champion")
    registry.annotate(settings, second, {"gate": "refused: latency", "gate_report": short, "rolled_back": "slow"})
    register(settings, store, 3)
    registry.challenge(settings, "3")
    yield settings


def test_versions_come_with_all_that_became_of_them(made: Settings, serve_console: Callable[..., httpx.Client]) -> None:
    answer = models(serve_console(made.model_copy(update={"mlflow_ui_url": "http://mlflow.example/"})))
    assert answer["trouble"] is None
    third, second, first = answer["versions"]
    assert [each["version"] for each in (first, second, third)] == ["1", "2", "3"]
    assert (first["aliases"], third["aliases"], second["aliases"]) == (["champion"], ["challenger"], [])
    assert (first["bundle"], first["gate"], first["release"], first["description"]) == (
        "b1",
        "passed",
        "champion",
        "**first**",
    )
    assert first["metrics"] == {"live.product.ndcg_at_10": 0.125}
    assert first["run_url"].startswith("http://mlflow.example/#/experiments/")
    assert first["gate_report"] == {
        "passed": False,
        "against": "recent popularity",
        "summary": VERDICT.summary,
        "checks": [check._asdict() for check in VERDICT.checks],
        "ratios": {"all": {"ratio": 1.2, "low": 1.1, "high": None}},
        "numbers": {"latency_ms": 9.0, "unknown": None},
    }
    assert (second["gate"], second["rolled_back"]) == ("refused", "slow")
    short = second["gate_report"]
    assert (short["passed"], short["summary"], short["checks"]) == (False, "refused: latency", [])
    assert short["ratios"] == {"all": {"ratio": 1.2, "low": 1.1, "high": None}}
    assert short["numbers"] == {"latency_ms": 9.0, "unknown": None}
    assert (third["gate"], third["gate_report"], third["release"]) == (None, None, None)
    assert [each["version"] for each in models(serve_console(made), 2)["versions"]] == ["3", "2"]


def test_one_report_that_nobody_can_read_hides_no_version(
    made: Settings, serve_console: Callable[..., httpx.Client]
) -> None:
    client = serve_console(made)
    for text in ("no JSON", "[]", '{"passed": true}', '{"checks": 7}'):
        registry.annotate(made, "3", {"gate": "passed", "gate_report": text})
        answer = models(client)
        assert answer["trouble"] is None
        assert [each["gate_report"] is None for each in answer["versions"]] == [True, False, False]
    for tag in ("gate", "gate_report"):
        registry.open_client(made).delete_model_version_tag(made.model_name, "3", tag)


def test_without_a_store_there_are_no_versions(home: Settings, serve_console: Callable[..., httpx.Client]) -> None:
    assert models(serve_console(home)) == {"versions": [], "trouble": None}
    assert not (home.home / "mlflow").exists(), "who only looks makes no store"


def test_an_mlflow_that_hangs_leaves_what_was_known_and_says_so(
    made: Settings, serve_console: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    client = serve_console(made)
    assert len(models(client)["versions"]) == 3
    assert len(models(client, 1)["versions"]) == 1, "who asks for few must not make the others forgotten"
    monkeypatch.setattr(lifecycle, "WITHIN_S", 0.3)
    with closing(sqlite3.connect(made.mlflow_tracking_uri.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN EXCLUSIVE")
        for count in (20, 2):
            answer = models(client, count)
            assert [each["version"] for each in answer["versions"]] == ["3", "2", "1"][:count]
            assert "MLflow" in answer["trouble"] and "0.3 s" in answer["trouble"]
        other.rollback()
    monkeypatch.undo()
    eventually(lambda: models(client)["trouble"] is None, 30)


def test_an_mlflow_that_is_away_is_named(
    home: Settings, serve_console: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "WITHIN_S", 0.5)
    client = serve_console(home.model_copy(update={"mlflow_tracking_uri": "http://user:secret@127.0.0.1:1"}))
    answer = models(client)
    assert answer["versions"] == []
    assert "MLflow at http://127.0.0.1:1" in answer["trouble"]
    assert "secret" not in answer["trouble"]


# Drift


def drift(client: httpx.Client, count: int = 10) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/api/console/drift", params={"count": count}).json()["reports"]
    return found


def test_drift_is_told_as_it_was_found_newest_first(
    settings: Settings, serve_console: Callable[..., httpx.Client]
) -> None:
    client = serve_console(settings)
    assert drift(client) == []
    with closing(DriftStore(settings.database_url)) as reports:
        reports.add(DriftReport(AT, None, "not judged", "too few rows", rows=3))
        features = {
            "clicks_1h": {"distance": 0.3, "threshold": 0.1, "drifted": True, "counts": True},
            "label": {"distance": None, "threshold": None, "drifted": False, "counts": False},
        }
        alerts = [{"check": "nulls", "feature": "price", "message": "half are missing"}]
        full = DriftReport(AT.replace(hour=13), "7", "drift", "a half has drifted", 900, 0.5, features, alerts, "here")
        reports.add(full)
    newest, oldest = drift(client)
    assert newest == full._asdict() | {"at": "2026-05-04T13:00:00Z"}
    assert (oldest["version"], oldest["share"], oldest["features"], oldest["alerts"]) == (None, None, {}, [])
    assert drift(client, 1) == [newest]


def test_without_postgresql_drift_is_503_and_well_again_when_it_is_back(
    settings: Settings, serve_console: Callable[..., httpx.Client], servers: Any
) -> None:
    import psycopg

    client = serve_console(settings)
    assert drift(client) == []
    name = settings.database_url.rsplit("/", 1)[1]
    with psycopg.connect(servers.settings.database_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        answer = client.get("/api/console/drift")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert "PostgreSQL" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) > 0
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert drift(client) == []
