"""Served rows at rest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flows.outcome_messages import Listed, Served
from flows.served import feature_names, served_rows
from flows.served_store import DAY_US, PARTS_PER_DAY, ServedStore, served_folder
from infra.settings import Settings
from models.outcome_store import Outcome, OutcomeStore

NOON_US = time.time_ns() // 1_000 // DAY_US * DAY_US + DAY_US // 2


def served(
    number: int, user: str = "ann", after_s: float = 0.0, names: tuple[str, ...] = ("x",), **fields: Any
) -> Served:
    time_us = NOON_US + round(after_s * 1e6)
    listed = Listed(f"r{number}", "", user, time_us, time_us, "m", "1", "champion", {}, 0, ("a", "b", "c"))
    block = np.array([[number + 0.1] * len(names), [np.nan] * len(names)], np.float32)
    scores = np.array([3, 2, 1], np.float32)
    return Served(listed._replace(**fields), None, scores, ("new", "popular", "new"), names, block)


def rows(store: ServedStore, since_us: int = 0, until_us: int = 2 * NOON_US) -> pa.Table:
    return pa.concat_tables(store.tables(since_us, until_us), promote_options="default")


@pytest.fixture
def store(tmp_path: Path) -> ServedStore:
    return ServedStore(tmp_path / "served")


def test_rows_are_kept_bit_by_bit(store: ServedStore) -> None:
    assert store.write([]) == 0
    assert store.write([served(1), served(2, after_s=1)]) == 6
    found = rows(store).to_pandas()
    assert found["item_id"].tolist() == ["a", "b", "c"] * 2
    assert found["source"].tolist() == ["new", "popular", "new"] * 2
    assert found["x"].to_numpy()[[0, 3]].tobytes() == np.array([1.1, 2.1], np.float32).tobytes()
    assert found["x"].isna().tolist() == [False, True, True] * 2


def test_models_of_different_features_lie_side_by_side(store: ServedStore) -> None:
    store.write(
        [served(1), served(2, names=("x", "y")), served(3, names=(), offset=3)._replace(features=np.empty((0, 1)))]
    )
    found = rows(store).to_pandas().set_index("recommendation_id")
    assert found.loc["r1", "y"].isna().all()
    assert found.loc["r2", "y"].iloc[0] == np.float32(2.1)
    assert found.loc["r3", "position"].tolist() == [3, 4, 5]


def test_only_the_time_that_was_asked_for_is_read(store: ServedStore) -> None:
    store.write([served(n, after_s=n * 86_400) for n in range(3)])
    day = NOON_US + DAY_US
    assert set(rows(store, day, day + 1)["recommendation_id"].to_pylist()) == {"r1"}
    assert list(store.tables(day + 1, day + 2)) == []


def test_many_small_files_become_one(store: ServedStore, tmp_path: Path) -> None:
    for n in range(PARTS_PER_DAY + 3):
        store.write([served(n, names=("x",) if n % 2 else ("y",))])
    assert len(list(tmp_path.rglob("*.parquet"))) == 3
    assert sorted(set(rows(store)["recommendation_id"].to_pylist())) == sorted(
        f"r{n}" for n in range(PARTS_PER_DAY + 3)
    )


def test_a_user_is_forgotten_up_to_a_time(store: ServedStore) -> None:
    store.write([served(1), served(2, "bob"), served(3, after_s=10)])
    store.write([served(4, "bob")])
    assert len(store.forget("ann", NOON_US + 1)) == 1
    assert store.forget("ann", NOON_US + 1) == []
    assert sorted(set(rows(store)["recommendation_id"].to_pylist())) == ["r2", "r3", "r4"]


def test_an_erased_user_is_not_published(tmp_path: Path) -> None:
    store = ServedStore(tmp_path, lambda: {"ann": NOON_US + 1})
    assert store.write([served(1), served(2, "bob"), served(3, after_s=1)]) == 6
    assert sorted(set(rows(store)["recommendation_id"].to_pylist())) == ["r2", "r3"]


def test_old_days_go(store: ServedStore, tmp_path: Path) -> None:
    assert store.drop_before(NOON_US) == 0
    store.write([served(1, after_s=-86_400), served(2)])
    assert store.drop_before(NOON_US) == 1
    assert set(rows(store)["recommendation_id"].to_pylist()) == {"r2"}


def test_readers_get_each_row_once_with_its_label(settings: Settings) -> None:
    store = ServedStore(served_folder(settings))
    assert served_rows(settings, 0, 2 * NOON_US).empty
    store.write([served(2, after_s=1), served(1)])
    store.write([served(1)])  # as after a restart
    head = ("r1", "", "ann", NOON_US, "m", "1", "champion", {})
    OutcomeStore(settings.database_url).write([Outcome(*head, 3, 1, 1, 1.0, {"b": 3}, True)])
    found = served_rows(settings, NOON_US, NOON_US + 2_000_000)
    assert found["recommendation_id"].tolist() == ["r1"] * 3 + ["r2"] * 3
    assert found["label"].tolist()[:3] == [0, 3, 0]
    assert found["label"].isna().tolist() == [False] * 3 + [True] * 3
    assert feature_names(found) == ["x"]
    assert found["x"].dtype == np.float32
