"""Writes the reference pages: ``python -m docs.reference``. A test compares them with what the code says today."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference import api, commands, features, metrics, settings

FOLDER = Path(__file__).parent
PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings.page,
    "metrics.md": metrics.page,
    "api.md": api.page,
    "features.md": features.page,
    "commands.md": commands.page,
}
"""File -> what makes its text."""


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
