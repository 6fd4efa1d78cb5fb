"""What is told of a training: hashes that mean something, names that MLflow takes, pictures with content."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from sample_made import sample_made
from sample_shop import sample_events, sample_items, sample_users

from flows.plots import importance_plot, png, reliability
from flows.tracking import Made, code_facts, curves_of, data_hash, describe, importance, metrics_of, params_of
from infra.settings import Settings


@pytest.fixture(scope="module")
def made() -> Made:
    return sample_made()[1]


def test_the_hash_is_that_of_the_data_whatever_their_order() -> None:
    events, items, users = sample_events(), sample_items(), sample_users()
    whole = data_hash(events, items, users)
    assert data_hash(events[::-1], items[::-1], users[::-1]) == whole
    changed = [events[0].model_copy(update={"value": 3.0}), *events[1:]]
    others = [(events[1:], items, users), (changed, items, users), (events, items[1:], users), (events, items, [])]
    assert len({whole, *(data_hash(*other) for other in others)}) == 5


def test_code_is_a_commit_in_a_checkout_and_a_package_elsewhere(tmp_path: Path) -> None:
    def git(*command: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *who, *command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert list(code_facts(tmp_path)) == ["code_package"]
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "a")
    facts = code_facts(tmp_path)
    assert (facts["code_commit"], facts["code_dirty"]) == (git("rev-parse", "HEAD").strip(), False)
    (tmp_path / "a").write_text("2")
    assert code_facts(tmp_path)["code_dirty"] is True


def test_parameters_hold_what_the_training_and_the_gate_went_by(made: Made) -> None:
    told = params_of(made, Settings(gate_margin=0.02))
    assert told["gate_margin"] == 0.02
    assert (told["epochs"], told["seed"], told["reason"]) == (made.how.epochs, made.how.seed, made.reason)
    assert told["events"] == len(made.plan.history)
    assert "curve" not in told
    paths = [name for name, value in told.items() if str(value).startswith("/")]
    assert not paths


def test_metrics_by_segment_are_the_evaluations(made: Made) -> None:
    figures, quality = metrics_of(made), made.evaluation.judgements["live"]["product"].quality["next"]
    assert figures["live.product.segment.all.ndcg_at_10"] == pytest.approx(figures["live.product.ndcg_at_10"], abs=1e-6)
    assert {"warm", "cold"} <= set(quality)
    for name, each in quality.items():
        assert figures[f"live.product.segment.{name}.moments"] == each.moments


def test_curves_end_where_the_training_ended(made: Made) -> None:
    curves, report = curves_of(made), made.learned.report
    losses = [loss for _, loss in curves["retriever_loss.shipped"]]
    assert losses[-1] < losses[0]
    assert curves["ranker_ndcg_by_trees"][0] == (0, report.validation_ndcg_fusion)
    assert max(value for _, value in curves["ranker_ndcg_by_trees"][1:]) == report.validation_ndcg_ranker


def test_importance_names_every_feature_and_what_moves_the_score(made: Made) -> None:
    table = importance(made)
    assert sorted(table["feature"]) == sorted(made.shipped.feature_names)
    assert (table["moves"] > 0).any()


def test_the_text_says_what_when_and_how_good(made: Made) -> None:
    text = describe(made)
    assert "(a test)" in text
    assert "720 events of 60 users and 60 items" in text
    assert f"NDCG@10 {made.evaluation.results['live']['product'].means['ndcg@10']:.4f}" in text


def test_reliability_is_the_share_relevant_by_tenths_of_score() -> None:
    scores = np.arange(100, dtype=np.float32)
    table = reliability(pd.DataFrame({"prediction": scores, "label": (scores >= 95).astype(int)}).sample(frac=1))
    assert table["relevant"].tolist() == [0] * 9 + [0.5]
    assert table["score"].tolist() == [4.5 + 10 * n for n in range(10)]
    assert table["items"].tolist() == [10] * 10
    assert table["error"].iloc[-1] == pytest.approx(np.sqrt(0.25 / 10))
    assert reliability(pd.DataFrame({"prediction": [], "label": []})).empty


def pixels(picture: bytes, folder: Path) -> np.ndarray:
    (folder / "a.png").write_bytes(picture)
    return imread(folder / "a.png")


@pytest.fixture
def drawn(made: Made, tmp_path: Path) -> Iterator[dict[str, np.ndarray]]:
    return {name: pixels(picture, tmp_path) for name, picture in made.pictures.items()}


def test_every_picture_shows_something_and_is_small(made: Made, drawn: dict[str, np.ndarray]) -> None:
    assert set(drawn) == {"recall", "calibration", "learning", "importance"}
    for name, picture in drawn.items():
        colours = np.unique(picture.reshape(-1, picture.shape[2]), axis=0)
        assert len(colours) > 20, name
        assert len(made.pictures[name]) < 100_000


def test_importance_without_a_tree_says_so(tmp_path: Path) -> None:
    nothing = pd.DataFrame({"feature": ["a", "b"], "gain": [0.0, 0.0], "moves": [0.0, 0.0]})
    something = nothing.assign(gain=[1.0, 3.0])
    assert (pixels(png(importance_plot(nothing)), tmp_path) != pixels(png(importance_plot(something)), tmp_path)).any()
