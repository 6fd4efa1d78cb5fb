"""Bundles in a real MLflow on SQLite: registered, promoted, rolled back, downloaded."""

from __future__ import annotations

import fcntl
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from infra.settings import Settings
from models import registry
from models.bundle import Bundle
from models.registry import RegistryError


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("registry"))


def register(settings: Settings, bundle: Bundle, folder: Path, **params: object) -> str:
    return registry.register(
        settings, bundle.save(folder), params, {"live.product.ndcg_at_10": 0.125}, {"bundle": bundle.version}
    )


def test_nothing_is_champion_at_first(settings: Settings) -> None:
    assert registry.champion(settings, "champion") is None


def test_tables_are_made_by_one_at_a_time(settings: Settings, tmp_path: Path) -> None:
    registry.open_client(settings)  # MLflow is imported
    fresh = Settings(home=tmp_path)
    (tmp_path / "mlflow").mkdir()
    with (tmp_path / "mlflow" / "mlflow.db.lock").open("w") as lock, ThreadPoolExecutor(1) as beside:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asked = beside.submit(registry.open_client, fresh)
        assert not wait([asked], timeout=1).done
        assert not (tmp_path / "mlflow" / "mlflow.db").exists()
        fcntl.flock(lock, fcntl.LOCK_UN)
        asked.result()
    assert (tmp_path / "mlflow" / "mlflow.db").exists()


def test_a_bundle_goes_in_is_promoted_and_comes_back(settings: Settings, bundle: Bundle, tmp_path: Path) -> None:
    version = register(settings, bundle, tmp_path / "out", epochs=3)
    assert registry.champion(settings, "champion") is None
    registry.promote(settings, version, "champion")
    assert registry.champion(settings, "champion") == version
    back = Bundle.load(registry.download(settings, version, tmp_path / "in"))
    assert back.version == bundle.version
    metrics = (
        sqlite3.connect(settings.home / "mlflow" / "mlflow.db").execute("select key, value from metrics").fetchall()
    )
    assert metrics == [("live.product.ndcg_at_10", 0.125)]
    assert any((settings.home / "mlflow" / "artifacts").rglob("manifest.json"))


def test_the_alias_moves_forth_and_back(settings: Settings, bundle: Bundle, tmp_path: Path) -> None:
    old, new = (register(settings, bundle, tmp_path / name) for name in ("old", "new"))
    assert old != new
    for version in (old, new, old):
        registry.promote(settings, version, "champion")
        assert registry.champion(settings, "champion") == version
    assert registry.champion(settings, "challenger") is None


def test_a_version_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="freshet has no version 99"):
        registry.promote(settings, "99", "champion")
    with pytest.raises(RegistryError, match="freshet has no version 99"):
        registry.download(settings, "99", tmp_path)


def test_a_rollback_goes_to_what_was_champion_before_and_says_why(
    settings: Settings, bundle: Bundle, tmp_path: Path
) -> None:
    good, bad = (register(settings, bundle, tmp_path / name) for name in ("good", "bad"))
    registry.promote(settings, good, "champion")
    registry.challenge(settings, bad)
    registry.promote(settings, bad, "champion")
    assert registry.aliases(settings) == {"champion": bad, "previous": good}
    assert registry.roll_back(settings, "answers NaN", expected=bad) == (bad, good)
    assert registry.aliases(settings) == {"champion": good}
    assert registry.tags_of(settings, bad)["rolled_back"] == "answers NaN"
    assert registry.roll_back(settings, "late", expected=bad) is None
    assert registry.tags_of(settings, bad)["rolled_back"] == "answers NaN"
    with pytest.raises(RegistryError, match="no version with alias previous to go back to"):
        registry.roll_back(settings, "once more")
    registry.promote(settings, bad, "champion")
    client = registry.open_client(settings)
    client.delete_registered_model_alias(settings.model_name, registry.PREVIOUS)
    assert registry.roll_back(settings, "by name", expected=bad, to=good) == (bad, good)
    assert registry.aliases(settings) == {"champion": good}
