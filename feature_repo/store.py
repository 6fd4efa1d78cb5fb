"""Feast's own store object, opened as the shell commands open it. Importing this imports Feast (seconds)."""

from __future__ import annotations

import os
from pathlib import Path

from feast import FeatureStore

from infra.settings import Settings

REPO = Path(__file__).resolve().parent


def open_store(settings: Settings) -> FeatureStore:
    """The feature store of these settings, through ``feature_store.yaml``."""
    os.environ.update(settings.environment())
    if "://" not in settings.feast_registry:
        Path(settings.feast_registry).parent.mkdir(parents=True, exist_ok=True)
    return FeatureStore(repo_path=str(REPO))


def apply_definitions(store: FeatureStore) -> None:
    """What ``feast apply`` does, in process."""
    from feature_repo import definitions

    store.apply([getattr(definitions, name) for name in definitions.__all__])
