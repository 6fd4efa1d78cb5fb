"""Feast's definitions as of the settings of one test."""

from __future__ import annotations

import sys

import pytest

import feature_repo
from infra.settings import Settings


@pytest.fixture
def definitions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings, which the definitions read once a process when they are imported: here, anew for each test."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("sources", "user_features", "item_features", "services", "definitions"):
        monkeypatch.delitem(sys.modules, f"feature_repo.{name}", raising=False)
        monkeypatch.delattr(feature_repo, name, raising=False)
    return settings
