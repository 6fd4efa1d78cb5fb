"""Feast imports every file of its folder that .feastignore does not name."""

from pathlib import Path

import feature_repo

FOLDER = Path(feature_repo.__file__).parent


def test_feast_loads_definitions_and_nothing_else():
    ignored = set((FOLDER / ".feastignore").read_text().split())
    assert {path.name for path in FOLDER.glob("*.py")} - ignored == {"definitions.py"}
    assert all((FOLDER / name).exists() for name in ignored)
