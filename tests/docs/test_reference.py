"""The reference pages say what the code says today, and leave nothing out."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from docs.reference import api, features, metrics
from docs.reference.__main__ import FOLDER, PAGES
from feature_repo.state import ItemState, UserState
from infra.settings import ROOT, Settings


def text(name: str) -> str:
    return (FOLDER / name).read_text()


@pytest.mark.parametrize(("name", "page"), PAGES.items())
def test_a_page_is_what_the_code_writes(name: str, page: Callable[[], str]) -> None:
    assert text(name) == page(), "write it again: make docs"


def test_no_other_page_lies_among_them() -> None:
    assert {path.name for path in FOLDER.glob("*.md")} == set(PAGES)


def test_every_setting_has_a_line() -> None:
    missing = [name for name in Settings.variables() if f"| `{name}` |" not in text("settings.md")]
    assert not missing


def test_every_metric_that_a_process_answers_with_has_a_line() -> None:
    said = [
        line.split()[2]
        for registry in metrics.registries().values()
        for line in generate_latest(registry).decode().splitlines()
        if line.startswith("# TYPE freshet_") and not line.split()[2].endswith("_created")
    ]
    assert len(said) > 40
    assert [name for name in said if f"| `{name}` |" not in text("metrics.md")] == []


def test_every_endpoint_has_a_heading() -> None:
    found = [f"### {method} {path}\n" for service in api.PREFIXES for method, path, _ in api.endpoints(service)]
    assert len(found) > 30
    assert [heading for heading in found if heading not in text("api.md")] == []


def test_every_feature_has_a_line() -> None:
    assert {*UserState.FEATURES, *UserState.SEEN_FEATURES, *ItemState.FEATURES} <= set(features.names())
    assert [name for name in features.names() if f"| `{name}` |" not in text("features.md")] == []


def test_every_target_that_make_tells_of_has_a_line() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^make ([a-z-]+)", told, re.MULTILINE)
    assert "demo" in targets
    assert [name for name in targets if f"| `make {name}` |" not in text("commands.md")] == []


def test_every_target_that_is_no_file_has_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split()
    assert [name for name in phony if f"| `make {name}` |" not in text("commands.md")] == []


def test_the_command_writes_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from docs.reference import __main__ as command

    monkeypatch.setattr(command, "FOLDER", tmp_path)
    command.main()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: text(name) for name in PAGES}
