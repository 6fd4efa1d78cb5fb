"""What is served is what was measured: events sent, lists taken over HTTP, and the same lists by replay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_shop import sample_events, sample_items, sample_users

from benchmarks.quality import Data, train
from benchmarks.served_quality import PATIENT, Comparison, compare
from infra.settings import Settings
from models.dataset import Moment, moments
from models.recipe import TrainingSettings, silent
from models.training import make_plan

USERS, EACH = 120, 20
JUDGED = 40


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
        assert answer.items == measured, moment
    everything = np.ones(JUDGED, bool)
    assert comparison.ratio(everything) == (1, 1, 1)
    assert comparison.ndcg(everything)["served"] > 0.2, "and they are good ones: a shelf is walked along"
