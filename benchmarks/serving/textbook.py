"""The textbook's recommender, as a peer: Feast's SDK, FAISS and LightGBM in a BentoML service, put together as their
tutorials do it.

``bentoml serve benchmarks.serving.textbook:Textbook`` answers ``POST /recommend {"user_id": ..., "k": 10}``. One
``get_online_features`` for the user, the encoder and FAISS for the candidates, one ``get_online_features`` for all of
them, the features, ``Booster.predict``, the best k. It serves the same bundle from the same Redis with the same
encoder, index and feature maths as Freshet; what differs is how the parts are joined. Nothing is left slow on purpose:
one store object and a registry in memory, only the features that the maths reads, all candidates in one call,
everything that does not depend on the request made beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import bentoml
import numpy as np
from numpy.typing import NDArray

from feature_repo.item_table import NUMBERS, ItemTable
from feature_repo.request_features import REQUEST_FEATURES, request_features
from feature_repo.state import MAX_RECENT, Row, decayed_names
from feature_repo.store import open_store
from infra.settings import Settings, load_settings
from models.bundle import Bundle
from models.encoder import tokens_of
from models.index import FaissIndex, with_bias
from models.ranker import ranker_features

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

COUNTS = ("event_count", "last_event_us", "mean_value", *decayed_names())
"""What the maths reads of users and items alike."""
CATALOG = ("categories", "published_us", "price", "title")
USER_REFERENCES = [
    *(f"user_features:{name}" for name in (*COUNTS, "recent_items", "recent_types", "recent_us")),
    "user_profile:segments",
    "user_seen:seen_items",
]
ITEM_REFERENCES = [*(f"item_features:{name}" for name in COUNTS), *(f"item_catalog:{name}" for name in CATALOG)]
_PLACES = [NUMBERS.index(name) for name in COUNTS]
_RETRIEVED = ranker_features().index("retriever_score")


class Candidates(NamedTuple):
    """What was ranked for a user.

    Attributes:
        items: ids, best of the retriever first.
        titles: of each.
        features: float32 [n, len(REQUEST_FEATURES)]; near: float32 [n], the retriever's scores.
    """

    items: Sequence[str]
    titles: Sequence[str]
    features: Floats
    near: Floats


class Recommender:
    """The parts, without HTTP.

    Args:
        settings: of the running Redis and registry; bundle_dir, candidates.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.bundle_dir is None:
            raise ValueError("FRESHET_BUNDLE_DIR is not set; the peer serves one bundle")
        self._bundle = Bundle.load(settings.bundle_dir)
        self._candidates = settings.candidates
        self._store = open_store(settings)
        self._encoder = self._bundle.encoder()
        self._vectors = self._encoder.items()
        self._index = FaissIndex(with_bias(self._vectors))
        self._number = {item_id: n for n, item_id in enumerate(self._bundle.item_ids)}

    def recommend(self, user_id: str, k: int) -> list[dict[str, Any]]:
        """The best k for a user, best first."""
        pool = self.candidates(user_id, time.time_ns() // 1_000)
        scores = self._scores(pool)
        return [
            {"item_id": pool.items[n], "score": float(scores[n]), "title": pool.titles[n]}
            for n in np.argsort(-scores, kind="stable")[:k]
        ]

    def candidates(self, user_id: str, now_us: int) -> Candidates:
        """The candidates of a user at a moment, with their features."""
        user = self._user(user_id)
        items, near = self._retrieve(user, now_us)
        recent = [item_id for item_id in (user["recent_items"] or ())[-MAX_RECENT:] if item_id in self._number]
        # The maths compares candidates with what the user met last: one call for both.
        wanted = list(dict.fromkeys([*items, *recent]))
        table = self._items(wanted)
        numbers = np.arange(len(items))
        return Candidates(items, table.titles[: len(items)], request_features(user, table, numbers, now_us), near)

    def _user(self, user_id: str) -> Row:
        found = self._store.get_online_features(features=USER_REFERENCES, entity_rows=[{"user_id": user_id}]).to_dict()
        row = {name: values[0] for name, values in found.items()}
        return row | {"event_count": row["event_count"] or 0}

    def _retrieve(self, user: Row, now_us: int) -> tuple[list[str], Floats]:
        tokens = tokens_of(user, self._number)
        query = self._encoder.encode(tokens, self._vectors, user["segments"] or (), now_us)
        seen = [self._number[item_id] for item_id in user["seen_items"] or () if item_id in self._number]
        found, scores = self._index.search(
            np.append(query, np.float32(1)), self._candidates, hidden=np.array(seen, np.intp)
        )
        return [self._bundle.item_ids[n] for n in found], scores

    def _items(self, item_ids: Sequence[str]) -> ItemTable:
        rows = [{"item_id": item_id} for item_id in item_ids]
        found = self._store.get_online_features(features=ITEM_REFERENCES, entity_rows=rows).to_dict()
        table = ItemTable(self._bundle.categories)
        for n, item_id in enumerate(item_ids):
            table.put_catalog(item_id, {name: found[name][n] for name in CATALOG})
        block = np.zeros((len(item_ids), len(NUMBERS)))
        block[:, _PLACES] = np.array([found[name] for name in COUNTS], float).T  # None becomes NaN
        table.put_numbers(np.arange(len(item_ids)), np.nan_to_num(block))
        return table

    def _scores(self, pool: Candidates) -> NDArray[np.float64]:
        ranker = self._bundle.ranker
        matrix = np.full((len(pool.items), len(ranker_features())), np.nan, np.float32)
        matrix[:, : len(REQUEST_FEATURES)] = pool.features
        matrix[:, _RETRIEVED] = pool.near
        return pool.near + (ranker.correct(matrix) if ranker and ranker.trees else np.zeros(len(matrix)))


@bentoml.service(name="textbook", envs=[{"name": "OMP_NUM_THREADS", "value": "1"}])
class Textbook:
    """The service of the tutorials."""

    def __init__(self) -> None:
        self._recommender = Recommender(load_settings())

    @bentoml.api
    def recommend(self, user_id: str, k: int = 10) -> dict[str, Any]:
        """The best k items for a user."""
        return {"user_id": user_id, "recommendations": self._recommender.recommend(user_id, k)}
