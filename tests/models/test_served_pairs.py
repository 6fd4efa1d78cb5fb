"""Shown lists as groups of the ranker's training: which are taken, and how they are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_shop import sample_events, sample_items, sample_users

from feature_repo.events import pseudonym
from models.pairs import replayed_rows
from models.ranker import FUSION, ranker_features
from models.recipe import TrainingSettings, first_retriever, fit_ranker, make_pairs
from models.served_pairs import joined, served_data
from models.training import Plan, fold_of, make_plan

FEATURES = list(ranker_features())


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(sample_events(), sample_items(), sample_users())


def shown(name: str, user_id: str, labels: list[int | None], time_us: int = 1, **changes: object) -> pd.DataFrame:
    """One list; the n-th feature of the item at place p is 100 p + n."""
    frame = pd.DataFrame(
        {
            "recommendation_id": name,
            "user_key": pseudonym(user_id),
            "position": range(len(labels)),
            "time_us": time_us,
            "fallback": None,
            "label": pd.array(labels, "Int64"),
        }
    )
    values = np.arange(len(FEATURES)) + 100 * np.arange(len(labels))[:, None]
    return pd.concat([frame, pd.DataFrame(values.astype(np.float32), columns=FEATURES)], axis=1).assign(**changes)


def rows(*lists: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(lists, ignore_index=True)


def test_a_list_becomes_a_group_with_the_values_that_were_served(plan: Plan) -> None:
    later, sooner = shown("b", "user-1", [0, 3], time_us=9), shown("a", "user-2", [2, 0, 1], time_us=5)
    data = served_data(rows(later, sooner), (), plan)
    assert data.groups.tolist() == [3, 2]
    assert data.labels.tolist() == [3, 0, 2, 0, 4]  # as grades: a click is 2, the cart 3, a purchase 4
    assert data.folds.tolist() == [fold_of("user-2"), fold_of("user-1")]
    assert data.matrix.dtype == np.float32
    assert (data.matrix == sooner[FEATURES].to_numpy().tolist() + later[FEATURES].to_numpy().tolist()).all()


@pytest.mark.parametrize(
    "left_out",
    [
        shown("x", "user-1", [0, 0]),  # teaches nothing
        shown("x", "user-1", [1, 1]),
        shown("x", "user-1", [None, None]),  # not known yet
        shown("x", "user-1", [1, 0], fallback="popular"),
        shown("x", "user-1", [1, 0], **{FEATURES[3]: np.nan}),  # a model without this feature
        shown("x", "user-1", [1, 0], mood=0.5),  # a model with another one
        shown("x", "user-7", [1, 0]),  # to be forgotten
    ],
)
def test_what_is_left_out(plan: Plan, left_out: pd.DataFrame) -> None:
    kept = shown("a", "user-2", [1, 0])
    other = [name for name in left_out if name == "mood"]
    data = served_data(rows(kept, left_out), other, plan, {pseudonym("user-7")})
    assert data.groups.tolist() == [2]


def test_items_that_were_not_ranked_leave_their_list(plan: Plan) -> None:
    frame = shown("a", "user-2", [1, 0, 0])
    frame.loc[2, FEATURES] = np.nan
    assert served_data(frame, (), plan).groups.tolist() == [2]


def test_nothing_shown_is_nothing_to_learn(plan: Plan) -> None:
    empty = served_data(shown("a", "user-1", [])[["recommendation_id"]], (), plan)
    assert (empty.matrix.shape, len(empty.groups)) == ((0, len(FEATURES)), 0)


def test_the_ranker_learns_from_both(plan: Plan) -> None:
    events, how = sample_events(), TrainingSettings(epochs=1, max_moments=30, seed=1, threads=1)
    work = make_pairs(plan, first_retriever(plan, how), events, how)
    point_in_time = replayed_rows(work.pairs, events)
    names = [f"user-{n}" for n in range(60)]
    # All start alike, so that only the other features tell the third item from the rest.
    lists = [shown(f"list-{n}", user, [0, 0, 1, 0], n, **{FUSION: 0.0}) for n, user in enumerate(names * 5)]
    served = served_data(rows(*lists), (), plan)
    assert len(joined(served, served).groups) == 2 * len(served.groups) == 600
    alone = fit_ranker(plan, work, *point_in_time, how)
    both = fit_ranker(plan, work, *point_in_time, how, served=served)
    rows_of_one = lists[0][FEATURES].to_numpy(np.float32)
    lift = both.ranker.correct(rows_of_one) - alone.ranker.correct(rows_of_one)
    assert lift.argmax() == 2
