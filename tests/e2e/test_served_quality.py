"""What is served is what was measured: events sent, lists taken over HTTP, and the same lists by replay."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_shop import sample_events, sample_items, sample_users

from benchmarks.quality import Data, train
from benchmarks.served_quality import PATIENT, TOLERANCE, Comparison, compare
from infra.settings import Settings
from models.dataset import Moment, moments
from models.recipe import TrainingSettings, silent
from models.training import make_plan

USERS, EACH = 120, 20
JUDGED = 40
TIED = 2
"""Rows are float32 in Redis: items of all but equal scores may change places."""


def acts_before(data: Data, moment: Moment) -> int:
    return sum(event.user_id == moment.user_id and event.time_us < moment.time_us for event in data.events)


@pytest.fixture
def data() -> Data:
    events = sample_events(USERS, EACH)
    return Data(make_plan(events, sample_items(), sample_users(USERS)), events)


@pytest.fixture
def comparison(settings: Settings, start_stack: Callable[..., Any], data: Data, tmp_path: Path) -> Comparison:
    """JUDGED moments of the last tenth of time, on a stack that serves a bundle of the time before."""
    plan = data.plan
    judged = moments(plan.history, plan.split.test_us, plan.split.end_us, JUDGED, seed=1)
    bundle = train(data, TrainingSettings(epochs=4, fine_tune_epochs=1, max_moments=60, threads=1), silent).bundle
    served = settings.model_copy(update={"bundle_dir": bundle.save(tmp_path / "bundle"), **PATIENT})
    stack = start_stack(served, "ingest", "stream", "recommender")
    return compare(stack.settings, data, bundle, judged)


def test_lists_served_are_those_of_the_replay(comparison: Comparison, data: Data) -> None:
    """Of those who have acted and of newcomers, whom the model knows by their profile alone."""
    acted = [acts_before(data, moment) > 0 for moment in comparison.moments]
    assert len(acted) == JUDGED
    assert 0 < sum(acted) < JUDGED
    assert [answer.fallback for answer in comparison.answers] == [None if known else "profile" for known in acted]
    for moment, answer, measured in zip(comparison.moments, comparison.answers, comparison.measured, strict=True):
        assert displaced(answer.items, measured) <= TIED, moment
    everything = np.ones(JUDGED, bool)
    assert comparison.same.mean() >= 0.95
    assert comparison.ratio(everything).ratio == pytest.approx(1, abs=TOLERANCE)
    assert comparison.ndcg(everything)["served"] > 0.2, "and they are good ones: a shelf is walked along"


def displaced(served: Sequence[str], measured: Sequence[str]) -> int:
    """How many places an item is away from its own, at most; both lists hold the same items."""
    assert sorted(served) == sorted(measured)
    place = {item: number for number, item in enumerate(measured)}
    return max(abs(place[item] - number) for number, item in enumerate(served))
