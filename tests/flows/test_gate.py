"""The gate on registered versions, in a real MLflow: who passes, who does not, and every reason at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sample_made import HOW, sample_made

from feature_repo.events import Event
from flows.gate import judge_challenger, markdown
from infra.settings import Settings, load_settings
from models import registry
from models.bundle import Bundle
from models.gate import Verdict
from models.training import Plan

HIGH, LOW = {"live.product.ndcg_at_10": 0.5}, {"live.product.ndcg_at_10": 0.05}
POPULAR = {"live.recent_popularity.ndcg_at_10": 0.1}


class Shop(NamedTuple):
    """The sample shop's training: its data, the bundle that ships and the judged twin."""

    events: list[Event]
    plan: Plan
    shipped: Bundle
    twin: Bundle


@pytest.fixture(scope="module")
def shop() -> Shop:
    data, made = sample_made()
    return Shop(data.events, made.plan, replace(made.shipped, metrics=HIGH | POPULAR), made.twin)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One MLflow for all tests; each has a model of its own there."""
    return tmp_path_factory.mktemp("gate")


@pytest.fixture
def settings(home: Path, request: pytest.FixtureRequest) -> Settings:
    return load_settings(home=home, model_name=request.node.name)


@pytest.fixture
def register(settings: Settings, tmp_path: Path) -> Callable[..., str]:
    """Register a bundle and its twin (None: without one) as a version."""

    def register(bundle: Bundle, twin: Bundle | None, spoil: Callable[[Path], object] | None = None) -> str:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        (folder / "extras").mkdir(parents=True)
        bundle.save(folder / "bundle")
        if twin is not None:
            twin.save(folder / "extras" / "judged")
        if spoil is not None:
            spoil(folder)
        return registry.register(settings, folder / "bundle", {}, {}, {}, extras=folder / "extras")

    return register


def worse(bundle: Bundle) -> Bundle:
    """It ranks what it should rank first last."""
    return replace(bundle, fusion=replace(bundle.fusion, weights=-bundle.fusion.weights))


def judge(settings: Settings, shop: Shop, version: str, **changes: object) -> Verdict:
    return judge_challenger.fn(settings.model_copy(update=changes), version, shop.plan, shop.events, HOW)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_the_first_model_has_popularity_to_beat(settings: Settings, shop: Shop, register: Callable[..., str]) -> None:
    verdict = judge(settings, shop, register(shop.shipped, shop.twin))
    assert verdict.passed, verdict.summary
    assert (verdict.champion, verdict.against) == (None, "recent popularity")
    poor = replace(shop.shipped, metrics=LOW | POPULAR)
    refused = judge(settings, shop, register(poor, shop.twin))
    assert refused.summary == (
        "refused: better than popularity: NDCG@10 0.0500 does not beat recent popularity's 0.1000"
    )


def test_who_beats_the_champion_passes_and_who_loses_to_it_does_not(
    settings: Settings, shop: Shop, register: Callable[..., str]
) -> None:
    good, bad = register(shop.shipped, shop.twin), register(worse(shop.shipped), worse(shop.twin))
    registry.promote(settings, bad, settings.model_alias)
    verdict = judge(settings, shop, good, gate_latency_ratio=100.0)
    assert verdict.passed, verdict.summary
    assert (verdict.champion, verdict.against) == (bad, f"version {bad}")
    assert verdict.ratios["all"].low > 1.5
    registry.promote(settings, good, settings.model_alias)
    refused = judge(settings, shop, bad, gate_latency_ratio=100.0)
    assert failed(refused) == ["better than the champion", "segment warm", "segment cold"]
    assert refused.ratios["all"].high < 0.7
    report = markdown(refused)
    assert "| segment cold | **failed** |" in report
    assert "| bundle size | passed |" in report


def test_the_champions_equal_is_refused_unless_the_margin_allows_it(
    settings: Settings, shop: Shop, register: Callable[..., str]
) -> None:
    first, second = (register(shop.shipped, shop.twin) for _ in range(2))
    registry.promote(settings, first, settings.model_alias)
    assert failed(judge(settings, shop, second, gate_latency_ratio=100.0)) == ["better than the champion"]
    assert judge(settings, shop, second, gate_margin=-0.02, gate_latency_ratio=100.0).passed


def test_a_champion_without_a_twin_leaves_popularity_to_be_beaten(
    settings: Settings, shop: Shop, register: Callable[..., str]
) -> None:
    registry.promote(settings, old := register(shop.shipped, None), settings.model_alias)
    verdict = judge(settings, shop, register(shop.shipped, shop.twin), gate_latency_ratio=100.0)
    assert verdict.passed, verdict.summary
    assert (verdict.champion, verdict.against) == (old, "recent popularity")
    assert f"version {old} cannot be compared with in full: " in verdict.checks[-1].detail


def cut(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-1])

    return spoil


def test_a_file_that_was_altered_is_named(settings: Settings, shop: Shop, register: Callable[..., str]) -> None:
    verdict = judge(settings, shop, register(shop.shipped, shop.twin, cut("bundle/retriever.safetensors")))
    assert verdict.summary.startswith("refused: bundle artifact: retriever.safetensors: its sha256 is not the manifest")
    verdict = judge(settings, shop, register(shop.shipped, shop.twin, cut("extras/judged/fusion.json")))
    assert failed(verdict) == ["judged artifact"]


def test_everything_that_is_wrong_is_listed(settings: Settings, shop: Shop, register: Callable[..., str]) -> None:
    broken = replace(shop.shipped, fusion=replace(shop.shipped.fusion, weights=shop.shipped.fusion.weights * np.nan))
    verdict = judge(settings, shop, register(broken, None), gate_max_bundle_mb=0.001)
    assert failed(verdict) == ["judged artifact", "bundle size", "finite weights", "finite scores"]


def test_a_bundle_of_another_shape_is_refused_and_not_an_error(
    settings: Settings, shop: Shop, register: Callable[..., str]
) -> None:
    whole = shop.shipped.weights["content_vectors"]
    for part in (whole[:-3], whole[:, :-3]):
        cut_off = replace(shop.shipped, weights={**shop.shipped.weights, "content_vectors": part})
        assert failed(judge(settings, shop, register(cut_off, shop.twin))) == ["canary requests"]
    other = replace(shop.shipped, feature_names=(*shop.shipped.feature_names[:-1], "mood"))
    assert failed(judge(settings, shop, register(other, shop.twin))) == ["bundle artifact"]


def test_moments_that_the_champion_has_seen_are_not_judged(
    settings: Settings, shop: Shop, register: Callable[..., str]
) -> None:
    """A champion whose twin has seen the whole window cannot lose on it, and nothing passes on no moment."""
    registry.promote(settings, register(shop.shipped, shop.shipped), settings.model_alias)
    verdict = judge(settings, shop, register(shop.shipped, shop.twin), gate_margin=-0.5, gate_latency_ratio=100.0)
    assert failed(verdict) == ["better than the champion"]
    assert "on 0 moments of 0 users" in verdict.summary
