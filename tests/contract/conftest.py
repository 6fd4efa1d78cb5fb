"""Feast's definitions as of the settings of one test."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

import feature_repo
from infra.settings import Settings


@pytest.fixture(scope="session")
def read_definitions() -> Callable[[Settings, pytest.MonkeyPatch], None]:
    """Let the definitions, which read the settings once a process when they are imported, be imported with these."""

    def read(settings: Settings, patch: pytest.MonkeyPatch) -> None:
        for name, value in settings.environment().items():
            patch.setenv(name, value)
        for name in ("sources", "user_features", "item_features", "services", "definitions"):
            patch.delitem(sys.modules, f"feature_repo.{name}", raising=False)
            patch.delattr(feature_repo, name, raising=False)

    return read


@pytest.fixture
def definitions(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    read_definitions: Callable[[Settings, pytest.MonkeyPatch], None],
) -> Settings:
    """The test's settings, with which the definitions will be imported."""
    read_definitions(settings, monkeypatch)
    return settings
