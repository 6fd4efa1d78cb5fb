"""The comparison of served values with joined ones, on rows whose answer can be seen; tests/e2e has the whole way."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.console import Console

from feature_repo.events import pseudonym
from feature_repo.request_features import REQUEST_FEATURES
from flows.skew import FeatureSkew, History, comparable, compared, table_of

NOW_US = 1_700_000_000_000_000
SECOND_US = 1_000_000


def rows(count: int, **fields: object) -> pd.DataFrame:
    keys = {
        "recommendation_id": "r",
        "user_key": pseudonym("ann"),
        "item_id": [f"i{n}" for n in range(count)],
        "position": range(count),
        "time_us": NOW_US,
        "registered_version": "1",
        "fallback": None,
    }
    return pd.DataFrame(keys | dict.fromkeys(REQUEST_FEATURES, np.float32(1)) | fields)


def history(user_acts: list[int] | None = None, item_acts: list[int] | None = None, entry_us: int = 0) -> History:
    """Acts of ann, and on i0, seconds from NOW_US."""
    users, items = (NOW_US + SECOND_US * np.array(acts or [-999], np.int64) for acts in (user_acts, item_acts))
    return History({pseudonym("ann"): "ann"}, {"ann": users}, {"i0": items}, {"i1": entry_us}, ())


def test_a_single_bit_is_a_difference_and_two_missing_values_are_none() -> None:
    ours = np.ones((4, len(REQUEST_FEATURES)), np.float32)
    ours[0, 5], joined = np.nan, ours.copy()
    joined[0, 5] = np.nan
    joined[1, 3] = np.nextafter(np.float32(1), np.float32(2))
    joined[2, 4], joined[3, 4] = 7, 8
    found = compared(rows(4), ours, joined, np.array([False, False, False, True]), {"fallback": 2})
    assert (found.rows, found.differ, found.in_flight) == (4, 2, 1)
    assert found.features == {
        REQUEST_FEATURES[3]: FeatureSkew(1, float(np.float32(joined[1, 3])) - 1),
        REQUEST_FEATURES[4]: FeatureSkew(1, 6.0),
    }
    assert found.examples["item_id"].tolist() == ["i1", "i2"]
    assert found.examples["features"].iloc[1] == f"{REQUEST_FEATURES[4]}: 1, 7"


def test_an_act_of_the_user_or_on_the_item_excuses_only_near_its_time() -> None:
    served = rows(2).assign(user_id="ann")
    near = history().near(served, 2 * SECOND_US)
    assert near.tolist() == [False, False]
    assert history(user_acts=[-2]).near(served, 2 * SECOND_US).tolist() == [True, True]
    assert history(item_acts=[1]).near(served, 2 * SECOND_US).tolist() == [True, False]
    assert history(user_acts=[-3, 3]).near(served, 2 * SECOND_US).tolist() == [False, False]
    assert history(entry_us=NOW_US - SECOND_US).near(served, 2 * SECOND_US).tolist() == [False, True]


def test_what_cannot_be_compared_is_left_out_with_its_reason() -> None:
    none = dict.fromkeys(REQUEST_FEATURES, np.float32("nan"))
    served = pd.concat(
        [rows(2), rows(1, **none), rows(1, fallback="last_known"), rows(1, user_key=pseudonym("anonymous"))],
        ignore_index=True,
    )
    kept, left_out = comparable(served, history())
    assert kept["user_id"].tolist() == ["ann", "ann"]
    assert left_out == {"not ranked": 1, "fallback": 1, "a visitor's session, of which nothing is stored": 1}
    stranger, _ = comparable(rows(1, user_key="unknown", registered_version=None), history())
    assert stranger[["user_id", "release"]].iloc[0].tolist() == ["unknown", ""]


def test_the_report_names_the_features_and_the_share_in_flight() -> None:
    ours = np.ones((2, len(REQUEST_FEATURES)), np.float32)
    found = compared(rows(2), ours, ours + np.float32(0.5), np.array([True, False]), {"fallback": 3})
    console = Console(width=100)
    with console.capture() as text:
        console.print(table_of(found))
    lines = text.get().splitlines()
    assert any("an act was in flight" in line and "1 (50.00%)" in line for line in lines)
    assert any(REQUEST_FEATURES[0] in line and "0.5" in line for line in lines)
    assert any("not compared: fallback" in line and "3" in line for line in lines)
