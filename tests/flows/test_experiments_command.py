"""``python -m flows.experiments``: what it prints, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flows import experiments
from infra.settings import Settings
from models.experiment_store import ExperimentStore

VARIETY: dict[str, Any] = {
    "name": "more-variety",
    "variants": [
        {"name": "control", "share": 0.4},
        {"name": "varied", "share": 0.4, "rules": {"diversity": 0.5, "max_per_category": 3}},
        {"name": "next", "model": "challenger", "shadow": True},
    ],
}


@pytest.fixture
def run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """``run("end", "name")``: exit status and what was printed. A dict stands for a file that holds it."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(experiments.console, "width", 200)

    def file_of(definition: dict[str, Any]) -> str:
        path = tmp_path / "experiment.json"
        path.write_text(json.dumps(definition))
        return str(path)

    def command(*arguments: Any) -> tuple[int, str]:
        status = experiments.main([file_of(each) if isinstance(each, dict) else each for each in arguments])
        printed = capsys.readouterr()
        return status, " ".join((printed.err if status else printed.out).split())

    return command


def test_an_experiment_is_started_listed_and_ended(run: Callable[..., tuple[int, str]], settings: Settings) -> None:
    status, told = run("put", VARIETY)
    assert status == 0 and "experiment more-variety runs since" in told
    assert "control 40.0%, varied 40.0%; 20.0% of users outside" in told
    with closing(ExperimentStore(settings.database_url)) as store:
        assert [stored.experiment.name for stored in store.running()] == ["more-variety"]
        status, told = run("list")
        for words in ("more-variety", "running", "diversity=0.5, max_per_category=3", "shadow", "challenger", "40.0%"):
            assert words in told, told
        assert run("end", "more-variety")[0] == 0
        assert store.running() == []
    assert "ended" in run("list")[1]


def test_what_is_wrong_is_named_and_nothing_starts(run: Callable[..., tuple[int, str]], settings: Settings) -> None:
    wrong = VARIETY | {"variants": [{"name": "control", "share": 0.5}, {"name": "b", "share": 0.5, "rules": {"k": 5}}]}
    assert run("put", wrong) == (1, "error: variants.1.rules.k: Extra inputs are not permitted")
    assert run("put", "nowhere.json")[1].startswith("error: [Errno 2] No such file or directory: 'nowhere.json'")
    assert run("end", "more-variety") == (1, "error: name: there is no experiment more-variety; running: none")
    with closing(ExperimentStore(settings.database_url)) as store:
        assert store.all() == []
    assert run("put", VARIETY)[0] == 0
    status, told = run("put", VARIETY | {"name": "again", "metric": "ndcg"})
    assert status == 1 and "experiment more-variety runs and varies diversity and max_per_category, too" in told


def test_a_postgresql_that_is_away_is_an_error(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:1/postgres")
    status, told = run("list")
    assert status == 1 and told.startswith("error: connection failed") and "127.0.0.1" in told
