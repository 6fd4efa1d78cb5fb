"""Which tests share a worker where several run side by side (`pytest -n 2`), and which begin first.

Each worker has servers of its own: it is a whole session. Tests of one file stay together, and so do files that share
a system, so that what is slow to start is started once. (xdist's own way to say so, `--dist loadgroup`, groups nothing
with pytest 9.2: github.com/pytest-dev/pytest-xdist/issues/1386.)
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

SHARED = {
    "tests/page/": "the page",
    "tests/bento/test_console_": "the console",
    **dict.fromkeys(
        [f"tests/flows/test_{name}.py" for name in ("deployments", "drift", "erase", "kubernetes_pool", "train")],
        "Prefect",
    ),
}
"""Beginning of a path -> the system that these tests share: fixtures of the session."""

FIRST = (
    "tests/docs/test_readme.py",
    "tests/bento/",  # waits more than it works: it leaves the processor to the README's commands
    "tests/e2e/",
)
LAST = "tests/page/"
"""Its system runs until the end of the session."""


class Lanes(LoadScopeScheduling):
    """Hands out files, and those that share a system as one."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def group(nodeid: str) -> str:
    """The name of all tests that share a worker with this one."""
    return next((name for begin, name in SHARED.items() if nodeid.startswith(begin)), nodeid.partition("::")[0])


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests as workers are handed them, what takes longest first; within a file they stay as they were."""

    def place(item: pytest.Item) -> int:
        first = next((n for n, begin in enumerate(FIRST) if item.nodeid.startswith(begin)), len(FIRST))
        return first + item.nodeid.startswith(LAST)

    return sorted(items, key=place)
