"""The versions of the model as people look at them, out of a real MLflow on SQLite."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from infra.settings import Settings
from models import registry
from models.history import GATE, history


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def versions(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three versions, the oldest first."""
    bundle = tmp_path_factory.mktemp("bundle")
    (bundle / "manifest.json").write_text("{}")
    metrics = {"live.product.ndcg_at_10": 0.125, "nothing": math.nan}
    return [
        registry.register(settings, bundle, {}, metrics, {"bundle": f"b{n}"}, description="*new*") for n in range(3)
    ]


def test_without_a_store_there_is_none_and_none_is_made(tmp_path: Path) -> None:
    assert history(Settings(home=tmp_path), 10) == []
    assert list(tmp_path.iterdir()) == []


def test_the_newest_come_first_with_their_aliases_and_finite_metrics(settings: Settings, versions: list[str]) -> None:
    first, second, third = versions
    registry.promote(settings, second, "champion")
    registry.promote(settings, third, "champion")
    found = history(settings, 10)
    assert [each.version for each in found] == [third, second, first]
    assert [each.aliases for each in found] == [("champion",), ("previous",), ()]
    assert found[0].metrics == {"live.product.ndcg_at_10": 0.125}
    assert (found[0].tags["bundle"], found[0].description, found[0].gate_report) == ("b2", "*new*", None)
    assert (found[0].page or "").startswith("#/experiments/")
    assert [each.version for each in history(settings, 2)] == [third, second]


def test_the_whole_report_is_found_as_soon_as_it_is_there(settings: Settings, versions: list[str]) -> None:
    def report() -> object:
        return next(each.gate_report for each in history(settings, 10) if each.version == versions[0])

    registry.annotate(settings, versions[0], {"gate_report": json.dumps({"passed": True})})
    assert report() == {"passed": True}, "the short form will do while there is no other"
    registry.attach(settings, versions[0], {GATE: json.dumps({"passed": True, "checks": []})})
    assert report() == {"passed": True, "checks": []}
    registry.attach(settings, versions[0], {GATE: json.dumps({"passed": False, "checks": []})})
    registry.annotate(settings, versions[0], {"gate_report": json.dumps({"passed": False})})
    assert report() == {"passed": False, "checks": []}, "a new judgement is seen"


def test_what_is_no_json_is_no_report(settings: Settings, versions: list[str]) -> None:
    for text in ("", "{", "[1]", "7"):
        registry.annotate(settings, versions[1], {"gate_report": text or "-"})
        assert history(settings, 2)[1].gate_report is None


def test_a_version_whose_run_is_gone_is_still_told(settings: Settings, versions: list[str]) -> None:
    run_id, _ = registry.run_of(settings, versions[1])
    registry.open_client(settings).delete_run(run_id)
    assert versions[1] in [each.version for each in history(settings, 10)]
