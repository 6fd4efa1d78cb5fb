"""docs/security.md: every test that it leans on exists, and no item of the list is without one."""

from __future__ import annotations

import ast
import re

import pytest

from infra.settings import ROOT

TEXT = (ROOT / "docs" / "security.md").read_text()
ROWS = re.findall(r"^\| (API\d+) .*\|(.*)\|$", TEXT, re.MULTILINE)
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)


def test_all_ten_items_name_what_proves_the_answer() -> None:
    assert [item for item, _ in ROWS] == [f"API{number}" for number in range(1, 11)]
    assert all("`tests/" in tests for _, tests in ROWS)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    found = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    assert found and (not name or name in found), f"{file} has no {name}"
