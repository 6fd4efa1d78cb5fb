"""The rows that drift compares served ones with, from an evaluation of the sample shop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_shop import sample_items, sample_users

from feature_repo.events import Event
from models.dataset import moments
from models.evaluate import evaluate
from models.ranker import ranker_features
from models.reference import SHOWN, Reference
from models.training import Plan, assemble, fit_retriever, make_plan


@pytest.fixture(scope="module")
def plan(events: list[Event]) -> Plan:
    return make_plan(events, sample_items(), sample_users())


@pytest.fixture(scope="module")
def frame(plan: Plan, events: list[Event]) -> pd.DataFrame:
    reference, split = Reference(), plan.split
    bundle = assemble(plan, fit_retriever(plan, split.test_us, 4, seed=1), split.test_us)
    evaluation = evaluate(bundle, plan, events, since_us=split.test_us, until_us=split.end_us, watch=reference)
    frame = reference.frame()
    frame.attrs["recall"] = evaluation.results["live"]["product"].means["recall@10"]
    return frame


def test_ten_items_of_every_moment_in_order(plan: Plan, frame: pd.DataFrame) -> None:
    judged = moments(plan.history, plan.split.test_us, plan.split.end_us)
    assert len(frame) == SHOWN * len(judged)
    assert frame["rank"].tolist() == list(range(SHOWN)) * len(judged)
    assert frame["time_us"].tolist() == [moment.now_us for moment in judged for _ in range(SHOWN)]
    for _, part in frame.groupby(frame.index // SHOWN):
        assert part["prediction"].is_monotonic_decreasing


def test_labels_are_what_the_evaluation_counted(frame: pd.DataFrame) -> None:
    """Each moment of the sample shop has one relevant item, so that recall is the share of moments with a label."""
    assert frame["label"].sum() / (len(frame) / SHOWN) == pytest.approx(frame.attrs["recall"])


def test_columns_and_types_are_the_contracts_also_without_a_row(frame: pd.DataFrame) -> None:
    types = dict.fromkeys([*ranker_features(), "prediction"], np.dtype("float32"))
    types |= dict.fromkeys(["label", "rank", "time_us"], np.dtype("int64"))
    assert frame.dtypes.to_dict() == types
    assert Reference().frame().dtypes.to_dict() == types
