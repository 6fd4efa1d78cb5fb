"""Which tests share a worker where several run side by side (`pytest -n 2 --dist loadgroup`), and which begin first.

Each worker has servers of its own, so a worker is a whole session. What costs most to start is started once: tests of
one file stay together, and so do files that share a system. The longest begin first, so that none of them is left
alone at the end.
"""

from __future__ import annotations

import pytest

SHARED = {"tests/page/": "page", "prefect_server": "prefect", "console": "console"}
"""A folder, or a fixture of the session -> the name of all that use it."""

ORDER = (
    "tests/docs/test_readme.py",
    "tests/bento/",  # waits more than it works: it leaves the processor to the README's commands
    "console",
    "page",
    "tests/e2e/",
    "prefect",
    "tests/infra/test_dashboards.py",
)
"""Beginnings of groups' names; the others, which are short, come after them."""


def arrange(items: list[pytest.Item]) -> None:
    """Mark every test with its group, and put the groups in order; within a group it stays as it was."""
    files: dict[str, set[str]] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        files.setdefault(file, set()).update(getattr(item, "fixturenames", ()))
    groups = {file: _group(file, fixtures) for file, fixtures in files.items()}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.nodeid.partition("::")[0]]))
    items.sort(key=lambda item: _place(groups[item.nodeid.partition("::")[0]]))


def _group(file: str, fixtures: set[str]) -> str:
    return next((name for what, name in SHARED.items() if file.startswith(what) or what in fixtures), file)


def _place(group: str) -> int:
    return next((n for n, begin in enumerate(ORDER) if group.startswith(begin)), len(ORDER))
