"""The benchmark of quality on the sample shop, with two peers whose rank is known: one knows all, one says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console
from sample_shop import sample_events, sample_items, sample_users

from benchmarks.quality import Data, data_of, measure, no_peers
from benchmarks.quality_plots import write_plots
from benchmarks.quality_report import PRODUCT, Report
from flows.dataset import Dataset, write_dataset
from models.dataset import Moment
from models.judging import TRUTHS
from models.recipe import Steps, TrainingSettings
from models.training import Plan

HOW = TrainingSettings(epochs=2, fine_tune_epochs=1, max_moments=30, seed=1, threads=1)


class Run(NamedTuple):
    """What a peer gives."""

    name: str
    settings: Mapping[str, object]
    fit_cpu_s: float
    request_cpu_ms: float
    lists: Mapping[str, list[list[str]]]


def two_peers(plan: Plan, judged: Sequence[Moment], steps: Steps) -> list[Run]:
    right = [sorted(moment.relevant) for moment in judged]
    none: list[list[str]] = [[] for _ in judged]
    return [
        Run("oracle", {"crystal balls": 1}, 1.5, 0.25, {"live": right, "frozen": right}),
        Run("silence", {}, 0.0, 0.0, {"live": none, "frozen": none}),
    ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("shop") / "dataset"
    return write_dataset(folder, sample_items(), sample_users(), sample_events())


@pytest.fixture(scope="module")
def last(shop: Dataset) -> Data:
    return data_of(shop, "test")


@pytest.fixture(scope="module")
def report(last: Data) -> Report:
    return measure(last, 40, HOW, two_peers)


def test_windows_follow_one_another(shop: Dataset, last: Data) -> None:
    """Where validation ends, the test begins; the former has never heard of the latter."""
    validation = data_of(shop, "validation")
    early, late = validation.plan.split, last.plan.split
    assert (early.test_us, early.end_us) == (late.validation_us, late.test_us)
    times = [event.time_us for event in last.events]
    assert sum(time < early.validation_us for time in times) / len(times) == pytest.approx(0.8, abs=0.01)
    assert max(event.time_us for event in validation.events) < early.end_us
    assert validation.plan.history.time_us.max() < early.end_us


def test_everyone_is_judged_on_the_same_moments(report: Report) -> None:
    assert report.peers == ("oracle", "silence")
    assert PRODUCT in report.own
    everyone = {report.quality(name).moments for name in (*report.own, *report.peers)}
    assert everyone == {40}
    assert report.quality("oracle").means["ndcg@10"] == 1
    assert report.quality("silence").means["recall@50"] == 0
    assert report.ratios["live"]["next"]["oracle"].ratio == pytest.approx(report.quality(PRODUCT).means["ndcg@10"])
    assert report.best_frozen == "oracle"


def test_the_product_has_its_cost(report: Report) -> None:
    assert report.costs[PRODUCT].fit_cpu_s > 0
    assert report.costs[PRODUCT].request_cpu_ms > 0
    assert report.costs["oracle"].request_cpu_ms == 0.25


def test_tables_name_everyone(report: Report) -> None:
    out = StringIO()
    Console(file=out, width=130).print(*report.tables(), sep="\n")
    for name in (*report.own, *report.peers):
        assert out.getvalue().count(name) >= 3
    assert "crystal balls 1" in out.getvalue()


def test_all_figures_go_into_json(report: Report) -> None:
    read = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert set(read["quality"]["frozen"]["silence"]) == set(TRUTHS)
    assert read["product_over"]["live"]["next"]["silence"]["ratio"] is None  # better than nothing: no number
    assert read["costs"]["oracle"]["settings"] == {"crystal balls": 1}


def test_plots_are_small_pictures(report: Report, tmp_path: Path) -> None:
    paths = write_plots(report, tmp_path / "plots")
    assert len({path.name for path in paths}) == 4
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert 5_000 < path.stat().st_size < 100_000


def test_a_peer_may_not_stand_in_for_the_product(last: Data) -> None:
    def impostor(plan: Plan, judged: Sequence[Moment], steps: Steps) -> list[Run]:
        return [two_peers(plan, judged, steps)[0]._replace(name=PRODUCT)]

    with pytest.raises(ValueError, match="product: a peer has the name"):
        measure(last, 5, HOW, impostor)


def test_without_peers_the_product_is_judged_alone(last: Data, report: Report) -> None:
    alone = measure(last, 40, HOW, no_peers)
    assert alone.evaluation.results["live"] == {name: report.quality(name) for name in alone.own}
