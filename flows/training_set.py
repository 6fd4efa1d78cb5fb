"""The training frame: labelled pairs joined with the features that serving would have read, and lists that were served.

Feast's point-in-time join does the work; here stand only the two entity frames (users at their moments,
items at the same moments) and the cutting into pieces that bounds memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from feast import FeatureStore

from feature_repo.events import MICROSECONDS
from feature_repo.schema import TIMESTAMP
from flows.console import tracked
from flows.offline import Erased
from flows.served import feature_names, served_rows
from infra.settings import Settings
from models.pairs import RankerData
from models.ranker import ranker_features
from models.served_pairs import served_data
from models.training import Plan

CHUNK_ROWS = 8_000
"""Rows joined at a time: Feast's DuckDB join holds every earlier row of each entity before it drops them."""


def user_rows(store: FeatureStore, pairs: pd.DataFrame) -> pd.DataFrame:
    """The ``user_context`` features of every moment.

    Args:
        store: Feast.
        pairs: with columns user_id and event_timestamp (UTC); a row's features are those at or before it.

    Returns:
        One row for each distinct (user_id, event_timestamp), in that order, features as columns.
    """
    return _joined(store, "user_context", pairs, "user_id")


def item_rows(store: FeatureStore, pairs: pd.DataFrame) -> pd.DataFrame:
    """The ``item_context`` features of every (item_id, event_timestamp) of the pairs; see ``user_rows``."""
    return _joined(store, "item_context", pairs, "item_id")


def served_lists(settings: Settings, plan: Plan, erased: Erased) -> RankerData:
    """Lists that were shown in the ranker's window, as far as what became of them is known before the test begins."""
    until_us = plan.split.test_us - int(settings.attribution_s * MICROSECONDS)
    rows = served_rows(settings, plan.split.validation_us, until_us)
    return served_data(rows, set(feature_names(rows)) - set(ranker_features()), plan, erased())


def _joined(store: FeatureStore, service: str, pairs: pd.DataFrame, key: str) -> pd.DataFrame:
    entities = pairs[[key, TIMESTAMP]].drop_duplicates().sort_values([TIMESTAMP, key], ignore_index=True)
    features = store.get_feature_service(service)
    pieces: Sequence[pd.DataFrame] = [entities[at : at + CHUNK_ROWS] for at in range(0, len(entities), CHUNK_ROWS)]
    joined = [
        store.get_historical_features(entity_df=piece.reset_index(drop=True), features=features).to_df()
        for piece in tracked(pieces, f"join {service}", total=len(pieces), unit="chunks")
    ]
    return pd.concat(joined).sort_values([TIMESTAMP, key], ignore_index=True)
