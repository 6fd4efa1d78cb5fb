"""What the product shows in its test window: the rows that served ones are compared with.

Collected while the judged twin is evaluated, so that no answer is known to it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.dataset import Moment
from models.ranker import ranker_features
from models.scorer import Scorer
from models.sources import Query

FILE = "reference.parquet"
SHOWN = 10
"""Items of each list that are kept."""

Mask = NDArray[np.bool_]


class Reference:
    """Listens to an evaluation (``evaluate``'s ``watch``) and keeps the product's first SHOWN items of every moment.

    Moments at which nothing is known of the user have popular items and no features; they are left out.
    """

    def __init__(self) -> None:
        self._parts: list[pd.DataFrame] = []

    def __call__(self, moment: Moment, scorer: Scorer, allowed: Mask, query: Query) -> None:
        if not scorer.knows(query):
            return
        ranked = scorer.recommend(query, SHOWN, allowed)
        part = pd.DataFrame(ranked.features, columns=list(scorer.bundle.feature_names), dtype=np.float32)
        relevant = [scorer.items.ids[item] in moment.relevant for item in ranked.items]
        told = {
            "prediction": ranked.scores.astype(np.float32),
            "label": np.array(relevant, np.int64),
            "rank": np.arange(len(part), dtype=np.int64),
            "time_us": np.full(len(part), moment.now_us, np.int64),
        }
        self._parts.append(part.assign(**told))

    def frame(self) -> pd.DataFrame:
        """One row a shown item: the features (float32), prediction (float32, the score), label (int64, 1 when the
        item was relevant at that moment), rank (int64 from 0), time_us (int64, the clock of the features)."""
        if self._parts:
            return pd.concat(self._parts, ignore_index=True)
        types: dict[str, type] = dict.fromkeys((*ranker_features(), "prediction"), np.float32)
        types |= dict.fromkeys(("label", "rank", "time_us"), np.int64)
        return pd.DataFrame({name: np.empty(0, dtype) for name, dtype in types.items()})
