"""The feature services say what the models read: not less, not more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sample_shop import sample_bundle, sample_events

from feature_repo.item_table import ItemTable
from feature_repo.schema import ITEM_FEATURES, USER_FEATURES
from feature_repo.state import States
from infra.settings import Settings
from models.scorer import Scorer
from models.sources import Query


class Watched(dict[str, Any]):
    """A row that remembers which of its features were read."""

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


@pytest.fixture
def states() -> States:
    states = States()
    for event in sample_events():
        states.apply(event)
    return states


@pytest.fixture
def services(definitions: Settings) -> dict[str, dict[str, set[str]]]:
    """Service -> view -> features."""
    from feature_repo import services

    found = (services.user_context, services.item_context)
    return {s.name: {p.name: {f.name for f in p.features} for p in s.feature_view_projections} for s in found}


def test_the_models_read_of_a_user_what_the_service_names(
    services: dict[str, dict[str, set[str]]], states: States
) -> None:
    bundle = sample_bundle()
    table = bundle.new_item_table()
    for item_id, state in states.items.items():
        table.put_features(item_id, state.row())
    scorer = Scorer(bundle, table, candidates=50)
    user = Watched(states.users["user-1"].row())
    now_us, everything = user["last_event_us"] + 1, np.ones(len(table), bool)
    user.read.clear()
    query = Query(user, now_us, ("likes:music",), states.users["user-1"].seen_items)
    scorer.rank(query, scorer.recommend(query, 10, everything).items)
    assert user.read == services["user_context"][USER_FEATURES.name]
    assert services["user_context"]["user_profile"] == {"segments"}


def test_the_item_table_holds_of_an_item_what_the_service_names(
    services: dict[str, dict[str, set[str]]], states: States
) -> None:
    item = Watched(states.items["music-1"].row())
    ItemTable(()).put_features("music-1", item)
    assert item.read == services["item_context"][ITEM_FEATURES.name]
