"""Served rows: each item of each list that was shown, with the feature values that it was ranked by.

The dataflow of outcomes keeps them (``flows.served_store``); what became of each list, the labels, stands in
PostgreSQL's ``outcomes`` and is joined here.
"""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa

from flows.served_store import SCHEMA, ServedStore, served_folder
from infra.settings import Settings
from models.outcome_store import OutcomeStore

LABEL = "label"
KEYS: tuple[str, ...] = (*SCHEMA.names, LABEL)
"""Columns of ``served_rows`` before the features."""


def served_rows(settings: Settings, since_us: int, until_us: int) -> pd.DataFrame:
    """Served rows with ``since_us <= time_us < until_us`` in order of time, list and position, each once.

    Args:
        settings: home and database_url.
        since_us, until_us: microseconds since the epoch, by the clock that the features were computed for.

    Returns:
        Columns KEYS, then every feature that any of the rows has as float32: NaN in a row without it, or of an item
        that was not ranked. ``label`` (Int64): 0 no act, 1 view, click or rating, 2 put into the cart, 3 bought;
        missing while the attribution window is open. ``registered_version`` and ``fallback`` may be None.

    Raises:
        psycopg.OperationalError: PostgreSQL is away.
    """
    tables = [SCHEMA.empty_table(), *ServedStore(served_folder(settings)).tables(since_us, until_us)]
    frame = pa.concat_tables(tables, promote_options="default").to_pandas()
    frame = frame.drop_duplicates(["recommendation_id", "position"])
    frame = frame.sort_values(["time_us", "recommendation_id", "position"], ignore_index=True)
    frame.insert(len(SCHEMA), LABEL, _labels(settings, frame, since_us, until_us))
    return frame


def feature_names(frame: pd.DataFrame) -> list[str]:
    """The feature columns of served rows."""
    return [name for name in frame.columns if name not in KEYS]


def _labels(settings: Settings, frame: pd.DataFrame, since_us: int, until_us: int) -> pd.Series:
    if frame.empty:
        return pd.Series(dtype="Int64")
    with closing(OutcomeStore(settings.database_url)) as store:
        known = store.labels(since_us, until_us)
    lists, items = frame["recommendation_id"], frame["item_id"]
    values = [known[r].get(i, 0) if r in known else -1 for r, i in zip(lists, items, strict=True)]
    labels = pd.Series(np.array(values, np.int64), frame.index)
    return labels.astype("Int64").mask(labels < 0)
