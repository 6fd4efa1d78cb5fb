"""Data that make no model, and what is said of them."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from sample_shop import START, sample_events, sample_items, sample_users

from feature_repo.events import Event
from models.readiness import CannotTrain, check_data, check_labels, check_windows
from models.training import make_plan


def acts(*items: str) -> list[Event]:
    """One user's clicks, a minute apart."""
    return [
        Event(user_id="anna", item_id=item, event_type="click", timestamp=START + timedelta(minutes=n), event_id=str(n))
        for n, item in enumerate(items)
    ]


def test_good_data_are_let_through() -> None:
    events, items, users = sample_events(), sample_items(), sample_users()
    check_data(events, items, users)
    check_windows(make_plan(events, items, users))
    check_labels(pd.DataFrame({"label": [0, 2]}))


def test_too_few_events_and_no_catalogue() -> None:
    with pytest.raises(CannotTrain, match="events: 0 events, 0 items and 60 profiles were read; at least 50 events"):
        check_data([], [], sample_users())
    with pytest.raises(CannotTrain, match="items: 720 events, 0 items and 60 profiles were read"):
        check_data(sample_events(), [], sample_users())


@pytest.mark.parametrize(
    ("items", "window"),
    [
        ([f"garden-{n % 10}" for n in range(100)], r"the ranker's window \(85-90 %\)"),
        ([f"garden-{n if n < 88 else 0}" for n in range(100)], r"the test window \(last 10 %\)"),
    ],
)
def test_a_window_in_which_nobody_meets_anything_new(items: list[str], window: str) -> None:
    with pytest.raises(CannotTrain, match=f"{window}, 20.*Z, is empty: no user met an item for the first time"):
        check_windows(make_plan(acts(*items), sample_items(), []))


@pytest.mark.parametrize("labels", [[], [1, 3]])
def test_labels_of_one_class(labels: list[int]) -> None:
    with pytest.raises(CannotTrain, match="labels: all of one class"):
        check_labels(pd.DataFrame({"label": labels}))
