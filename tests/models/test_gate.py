"""The gate's checks, each on numbers whose answer can be seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from feature_repo.request_features import empty_user
from infra.settings import SettingsError
from models.bundle import Bundle
from models.canary import Answer, Asked
from models.evaluate import PRODUCT, RIVAL
from models.gate import (
    Check,
    Verdict,
    better_check,
    guarded_segments,
    latency_check,
    popularity_check,
    sanity_checks,
    segment_checks,
    size_check,
    weights_check,
)
from models.judging import Evaluation, Judgement
from models.metrics import METRICS, Ratio, quality
from models.sources import Query

USERS = 40


def evaluation(ours: Sequence[float], theirs: Sequence[float], **segments: Sequence[bool]) -> Evaluation:
    """A moment for each of some users, with these NDCG values."""
    user = np.arange(len(ours))
    masks = {"all": np.ones(len(ours), bool)} | {name: np.array(mask, bool) for name, mask in segments.items()}
    lists = np.full((len(ours), 50), -1)

    def judgement(values: Sequence[float]) -> Judgement:
        ndcg = np.array(values, np.float64)
        each = np.zeros((len(ours), len(METRICS)))
        each[:, 0] = ndcg
        return Judgement({"next": {"all": quality(each, user, lists, 10)}}, {"next": ndcg})

    return Evaluation({"live": {PRODUCT: judgement(ours), RIVAL: judgement(theirs)}}, 10, user, masks)


def answer(items: str, scores: Sequence[float] = (2.0, 1.0), category: str | None = None) -> Answer:
    asked = Asked(Query(empty_user(), 0.0), category, personal=True)
    return Answer(asked, tuple(items), np.array(scores, np.float32), possible=2, scored=True)


def failed(checks: Sequence[Check]) -> list[str]:
    return [check.name for check in checks if not check.passed]


def test_only_who_is_better_beyond_chance_and_margin_passes() -> None:
    ours, theirs = [0.6] * USERS, [0.5] * USERS
    check, ratio = better_check(evaluation(ours, theirs), margin=0.0)
    assert check.passed
    assert ratio == pytest.approx((1.2, 1.2, 1.2))
    assert "NDCG@10 0.6000 against the champion's 0.5000 on 40 moments of 40 users" in check.detail
    assert better_check(evaluation(ours, theirs), margin=0.19)[0].passed
    assert not better_check(evaluation(ours, theirs), margin=0.21)[0].passed
    by_luck = [0.6, 0.3] * (USERS // 2), [0.3, 0.55] * (USERS // 2)
    found, ratio = better_check(evaluation(*by_luck), margin=0.0)
    assert ratio.ratio > 1 > ratio.low
    assert not found.passed


def test_the_champions_equal_passes_only_where_a_loss_is_allowed() -> None:
    same = evaluation([0.5] * USERS, [0.5] * USERS)
    assert not better_check(same, margin=0.0)[0].passed
    assert better_check(same, margin=-0.01)[0].passed


def test_nothing_passes_on_no_moment() -> None:
    assert not better_check(evaluation([], []), margin=-0.5)[0].passed


def test_a_guarded_segment_fails_when_it_is_worse_by_more_than_the_margin_and_not_by_chance() -> None:
    half = [n < USERS / 2 for n in range(USERS)]
    judged = evaluation([0.4 if new else 0.9 for new in half], [0.5] * USERS, cold=half)
    checks, ratios = segment_checks(judged, ["cold", "warm", "category:tea"], margin=0.05)
    assert failed(checks) == ["segment cold"]
    assert ratios["cold"] == pytest.approx((0.8, 0.8, 0.8))
    assert [check.detail for check in checks[1:]] == [
        "no moment in the window: not judged",
        "fewer than 30 moments in the window: not judged",
    ]
    assert not failed(segment_checks(judged, ["cold"], margin=0.25)[0])
    noisy = evaluation([0.9, 0.0] * (USERS // 2), [0.0, 1.0] * (USERS // 2), cold=[True] * USERS)
    checks, ratios = segment_checks(noisy, ["cold"], margin=0.05)
    assert ratios["cold"].ratio == pytest.approx(0.9)
    assert not failed(checks)


def test_segments_are_named_as_they_are() -> None:
    assert guarded_segments(" warm, cold,warm ,category:Film Noir,") == ("warm", "cold", "category:Film Noir")
    assert guarded_segments("") == ()
    assert guarded_segments("category:tea", ["tea"]) == ("category:tea",)
    with pytest.raises(SettingsError, match="FRESHET_GATE_SEGMENTS: 'wram' is no segment; did you mean warm"):
        guarded_segments("wram")
    with pytest.raises(SettingsError, match="'category:tee' is no segment; did you mean category:tea"):
        guarded_segments("category:tee", ["tea", "wine"])
    with pytest.raises(SettingsError, match="there are all, warm, cold and category:NAME"):
        guarded_segments("people of Rome")


def test_latency_and_size_have_limits() -> None:
    assert latency_check(2.0, 1.0, 2.0).passed
    assert latency_check(2.1, 1.0, 2.0) == Check(
        "latency", False, "2.10 ms a request, the champion 1.00 ms: 2.10 times, at most 2"
    )
    assert size_check(8.0, 8.0).passed
    assert not size_check(8.1, 8.0).passed


def test_without_a_champion_popularity_is_to_be_beaten() -> None:
    assert popularity_check(0.2, 0.1).passed
    assert not popularity_check(0.1, 0.1).passed


def test_sane_answers_pass() -> None:
    assert not failed(sanity_checks([answer("ab"), answer("bc")], catalog=3, fewest=20))


@pytest.mark.parametrize(
    ("answers", "names"),
    [
        ([answer("ab"), answer("bc", (1.0, np.nan))], ["finite scores"]),
        ([answer("ab"), answer("bc", (np.inf, 1.0))], ["finite scores"]),
        ([answer("ab"), answer("bc", ())], ["finite scores"]),
        ([answer("ab"), answer("c")], ["full lists"]),
        ([answer("ab"), answer("ba")], ["distinct items"]),
        ([answer("ab"), answer("ab"), answer("bc", category="tea")], ["personal lists"]),
    ],
)
def test_answers_that_make_no_sense_fail(answers: list[Answer], names: list[str]) -> None:
    assert failed(sanity_checks(answers, catalog=3, fewest=20)) == names


def test_weights_that_are_no_numbers_are_named(bundle: Bundle) -> None:
    assert weights_check(bundle).passed
    weights = dict(bundle.weights) | {"item_vectors": np.full_like(bundle.weights["item_vectors"], np.nan)}
    fusion = replace(bundle.fusion, weights=bundle.fusion.weights * np.inf)
    check = weights_check(replace(bundle, weights=weights, fusion=fusion))
    assert check == Check("finite weights", False, "NaN or infinite in retriever item_vectors, fusion")


def test_a_verdict_lists_all_that_failed_and_goes_into_json() -> None:
    checks = [Check("size", False, "9 MB"), Check("latency", True, "fine"), Check("lists", False, "short")]
    verdict = Verdict("7", "6", "version 6", checks, {"all": Ratio(1.5, 1.0, float("inf"))}, {"challenger_ms": 2.0})
    assert not verdict.passed
    assert verdict.summary == "refused: size: 9 MB; lists: short"
    told = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert told["checks"][1] == {"name": "latency", "passed": True, "detail": "fine"}
    assert told["ratios"]["all"] == {"ratio": 1.5, "low": 1.0, "high": None}
    assert json.loads(json.dumps(verdict.short_json(), allow_nan=False)) == {
        "passed": False,
        "against": "version 6",
        "failed": ["size", "lists"],
        "ndcg_ratio": [1.5, 1.0, None],
        "challenger_ms": 2.0,
    }
    assert replace(verdict, checks=checks[1:2]).summary == "passed"
