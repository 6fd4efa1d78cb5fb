"""Lists that were shown, as further groups for the ranker: with the very feature values that were served.

The joined pairs say what would have been offered; these say what was. A shown list is judged by what became of it, and
starts from the fusion score that it was shown with.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from feature_repo.events import pseudonym
from models.dataset import TYPE_WEIGHT
from models.pairs import RankerData, grade
from models.ranker import ranker_features
from models.training import Plan, fold_of

GRADES = grade(np.array([0, *(TYPE_WEIGHT[act] for act in ("click", "add_to_cart", "purchase"))], np.float32))
"""The ranker's grade of each label of served rows: nothing, view or click or rating, cart, purchase."""


def served_data(
    rows: pd.DataFrame, other_features: Collection[str], plan: Plan, erased: Collection[str] = ()
) -> RankerData:
    """Shown lists of which something is to be learned: chosen from, but not whole.

    Args:
        rows: columns recommendation_id, user_key, position, fallback, label (missing: not known yet), and the features
            as far as any of them has them (NaN: the item was not ranked, or the model that served had no such feature).
        other_features: columns that are features of other models than the running code's; rows that have one are left
            out, because all their values may mean something else.
        plan: its users' folds hold for their pseudonyms, too.
        erased: pseudonyms of users who are to be forgotten.
    """
    names = list(ranker_features())
    if not set(names) <= set(rows.columns):
        return _nothing()
    known = rows["label"].notna() & rows["fallback"].isna() & ~rows["user_key"].isin(list(erased))
    same = rows[names].notna().all(axis=1) & rows[list(other_features)].isna().all(axis=1)
    kept = rows[known & same].sort_values(["time_us", "recommendation_id", "position"], kind="stable")
    chosen = kept["label"].astype(np.int64) > 0
    lists = chosen.groupby(kept["recommendation_id"], sort=False)
    kept = kept[lists.transform("any") & ~lists.transform("all")]
    if kept.empty:
        return _nothing()
    number = kept.groupby("recommendation_id", sort=False).ngroup().to_numpy()
    kept = kept.iloc[np.argsort(number, kind="stable")]
    user_ids = {pseudonym(user_id): user_id for user_id in plan.history.user_ids}
    users = kept.groupby("recommendation_id", sort=False)["user_key"]
    return RankerData(
        kept[names].to_numpy(np.float32),
        GRADES[kept["label"].to_numpy(np.int64)],
        users.size().to_numpy(np.intp),
        np.array([fold_of(user_ids.get(key, key)) for key in users.first()], np.intp),
    )


def joined(first: RankerData, second: RankerData) -> RankerData:
    """Both, one after the other."""
    return RankerData(
        np.concatenate([first.matrix, second.matrix]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.groups, second.groups]),
        np.concatenate([first.folds, second.folds]),
    )


def _nothing() -> RankerData:
    matrix, none = np.empty((0, len(ranker_features())), np.float32), np.empty(0, np.intp)
    return RankerData(matrix, np.empty(0, np.int64), none, none)
