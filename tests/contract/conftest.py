"""Feast's definitions as of the settings of one test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from infra.settings import Settings


@pytest.fixture
def definitions(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    read_definitions: Callable[[Settings, pytest.MonkeyPatch], None],
) -> Settings:
    """The test's settings, with which the definitions will be imported."""
    read_definitions(settings, monkeypatch)
    return settings
