"""The ranker's training rows: pairs of moment and candidate, and their features as of just before the moment.

``training_pairs`` gives the entity frame of Feast's point-in-time join; ``ranker_matrix`` takes what the join
brought back through the same functions that serve a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_repo.events import Event
from feature_repo.item_table import NUMBERS, ItemTable
from feature_repo.request_features import REQUEST_FEATURES, request_features
from feature_repo.schema import ITEM_FEATURES, TIMESTAMP, USER_FEATURES, View
from feature_repo.state import Dtype, Row
from feature_repo.trends import top
from models.fusion import Fusion
from models.ranker import FUSION, ranker_features
from models.replay import Replay
from models.scorer import RERANKED, Pool, ranker_matrix_of
from models.sources import SOURCE_FEATURES
from models.training import Offer, fold_of

Floats = NDArray[np.float32]

MAX_MOMENTS = 1_200
"""Moments that become pairs: Feast's join costs pairs x earlier rows of the item."""

KEYS = ("moment_id", "user_id", "item_id", TIMESTAMP, "label")


def training_pairs(
    offers: Sequence[Offer], items: ItemTable, fusion: Fusion, *, limit: int = MAX_MOMENTS, seed: int = 0
) -> pd.DataFrame:
    """Pairs of moment and candidate: exactly those that the trees judge in serving, the first RERANKED of the fusion.

    (Relevant candidates from further down, beside a sample of the others there, would teach the trees that a low
    score is a good sign.)

    Args:
        offers: pools in order of time; those without a relevant candidate among the first teach no order and are
            left out.
        items: the table that numbers the pools' items.
        fusion: scores the candidates; where the ranker starts from.
        limit: most moments (a seeded sample of all).

    Returns:
        Rows in order of moment: moment_id (int64), user_id, item_id, event_timestamp (datetime64[us, UTC], one
        microsecond before the moment), label (int64 grade), the columns SOURCE_FEATURES and fusion_score (float32).
    """
    scored = [(offer, fusion.score(offer.pool.features)) for offer in offers]
    heads = [(offer, score, top(score, RERANKED)) for offer, score in scored]
    told = [head for head in heads if head[0].labels[head[2]].any()]
    if len(told) > limit:
        chosen = np.random.default_rng(seed).choice(len(told), limit, replace=False)
        told = [told[n] for n in np.sort(chosen)]
    frames = [_pairs_of(offer, score, kept, items) for offer, score, kept in told]
    return pd.concat(frames, ignore_index=True) if frames else _empty()


def _pairs_of(offer: Offer, score: Floats, kept: NDArray[np.intp], items: ItemTable) -> pd.DataFrame:
    moment = offer.moment
    frame = pd.DataFrame(offer.pool.features[kept], columns=list(SOURCE_FEATURES))
    stamp = pd.to_datetime(np.full(len(kept), moment.now_us), unit="us", utc=True).astype("datetime64[us, UTC]")
    keys = {
        "moment_id": moment.number,
        "user_id": moment.user_id,
        "item_id": [items.ids[n] for n in offer.pool.items[kept]],
        TIMESTAMP: stamp,
        "label": grade(offer.labels[kept]),
    }
    return pd.concat([pd.DataFrame(keys), frame, pd.DataFrame({FUSION: score[kept]})], axis=1)


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=[*KEYS, *SOURCE_FEATURES, FUSION])


def grade(weights: Floats) -> NDArray[np.int64]:
    """Relevance grades of label weights: 0 for none, then 1 for a weight of 1 and one more for each doubling."""
    return np.where(weights > 0, 1 + np.round(np.log2(np.maximum(weights, 1))), 0).astype(np.int64)


class RankerData(NamedTuple):
    """What the ranker learns from.

    Attributes:
        matrix: float32 [rows, len(ranker_features())]; labels: int64 [rows]; groups: intp [moments] rows of each.
        folds: intp [moments], fold of the user.
    """

    matrix: Floats
    labels: NDArray[np.int64]
    groups: NDArray[np.intp]
    folds: NDArray[np.intp]


def ranker_matrix(
    pairs: pd.DataFrame, user_rows: pd.DataFrame, item_rows: pd.DataFrame, items: ItemTable
) -> RankerData:
    """The ranker's rows from point-in-time features.

    Args:
        pairs: as ``training_pairs`` gives them.
        user_rows: the user_features fields of service ``user_context`` with ``user_id`` and ``event_timestamp``; order
            and repeats do not matter.
        item_rows: the fields of ``item_context`` with ``item_id`` and ``event_timestamp``; likewise.
        items: a table that holds the catalogue; its item_features rows are overwritten.

    Raises:
        KeyError: a pair has no row in ``user_rows`` or ``item_rows``, or these lack a field; the message names it.
    """
    joined = _Joined(user_rows, item_rows, items)
    matrices, groups, folds = [], [], []
    for _, part in pairs.assign(now_us=_microseconds(pairs[TIMESTAMP])).groupby("moment_id", sort=False):
        user_id, now_us = part["user_id"].iat[0], int(part["now_us"].iat[0])
        numbers = joined.put(part["item_id"], now_us)
        features, fusion = part[list(SOURCE_FEATURES)].to_numpy(np.float32), part[FUSION].to_numpy(np.float32)
        pool = Pool(numbers, features, fusion, np.zeros(len(part), np.intp), stale=False)
        matrices.append(ranker_matrix_of(joined.user(user_id, now_us), items, pool, now_us))
        groups.append(len(part))
        folds.append(fold_of(user_id))
    matrix = np.concatenate(matrices) if matrices else np.empty((0, len(ranker_features())), np.float32)
    return RankerData(matrix, pairs["label"].to_numpy(np.int64), np.array(groups, np.intp), np.array(folds, np.intp))


def request_matrix(pairs: pd.DataFrame, user_rows: pd.DataFrame, item_rows: pd.DataFrame, items: ItemTable) -> Floats:
    """Request features of pairs from point-in-time rows: float32 [len(pairs), len(REQUEST_FEATURES)].

    Args:
        pairs: with user_id, item_id and event_timestamp (datetime64[us, UTC]); an index from 0.
        user_rows, item_rows, items: as for ``ranker_matrix``, and the same errors.
    """
    joined, out = _Joined(user_rows, item_rows, items), np.empty((len(pairs), len(REQUEST_FEATURES)), np.float32)
    for (user_id, now_us), part in pairs.groupby(["user_id", _microseconds(pairs[TIMESTAMP])], sort=False):
        numbers = joined.put(part["item_id"], int(now_us))
        out[part.index] = request_features(joined.user(user_id, int(now_us)), items, numbers, int(now_us))
    return out


class _Joined:
    """Rows of Feast's join by entity and moment, and the table that takes the items' in."""

    def __init__(self, user_rows: pd.DataFrame, item_rows: pd.DataFrame, items: ItemTable) -> None:
        if missing := [name for name in NUMBERS if name not in item_rows]:
            raise KeyError(f"item_rows: no column {missing[0]}; is it named in feature_repo/services.py: item_context?")
        self._users = _by_moment(USER_FEATURES, user_rows, "user_id")
        self._rows = _by_moment(ITEM_FEATURES, item_rows, "item_id")
        self._items = items

    def user(self, user_id: str, now_us: int) -> Row:
        return _find(self._users, "user_rows", user_id, now_us)

    def put(self, item_ids: Iterable[str], now_us: int) -> NDArray[np.intp]:
        """Give the table the items' rows of a moment; returns their numbers."""
        names = list(item_ids)
        numbers = np.array([self._items.number(item_id) for item_id in names], np.intp)
        block = [_find(self._rows, "item_rows", item_id, now_us) for item_id in names]
        self._items.put_numbers(numbers, np.array([[row[name] for name in NUMBERS] for row in block], np.float64))
        return numbers


RowsByMoment = Mapping[tuple[str, int], Row]


def _by_moment(view: View, frame: pd.DataFrame, entity: str) -> RowsByMoment:
    keyed = frame.assign(now_us=_microseconds(frame[TIMESTAMP])).drop_duplicates([entity, "now_us"])
    keyed = keyed[[entity, "now_us", *(name for name in view.fields if name in frame)]]
    return {(row[entity], row["now_us"]): neutral_row(view, row) for row in keyed.to_dict("records")}


def _find(rows: RowsByMoment, name: str, entity_id: str, now_us: int) -> Row:
    row = rows.get((entity_id, now_us))
    if row is None:
        raise KeyError(f"{name}: no row of {entity_id} at {pd.Timestamp(now_us, unit='us', tz='UTC')}")
    return row


def neutral_row(view: View, values: Mapping[str, Any]) -> Row:
    """A joined row as serving reads it: lists as lists, and what is null as the neutral value of its type.

    Fields that were not joined are left out: whoever reads one fails, instead of learning from its neutral value.
    """
    return {name: _neutral(dtype, values[name]) for name, dtype in view.fields.items() if name in values}


def _neutral(dtype: Dtype, value: Any) -> Any:
    if dtype.endswith("s"):
        return [] if value is None or isinstance(value, float) else list(value)
    if dtype == "string":
        return value if isinstance(value, str) else ""
    missing = value is None or pd.isna(value)
    return (int if dtype == "int64" else float)(0 if missing else value)


def _microseconds(stamps: pd.Series) -> pd.Series:
    return pd.to_datetime(stamps, utc=True).astype("datetime64[us, UTC]").astype("int64")


def replayed_rows(pairs: pd.DataFrame, events: Iterable[Event]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``user_rows`` and ``item_rows`` of pairs, from states moved through the events instead of Feast's join.

    Args:
        pairs: as ``training_pairs`` gives them, in order of time.
        events: all events in order of time.
    """
    replay, users, rows = Replay(events), [], []
    for stamp, part in pairs.groupby(TIMESTAMP, sort=True):
        replay.advance(pd.Timestamp(stamp).value // 1_000 + 1)
        users += [{"user_id": u, TIMESTAMP: stamp, **replay.user_row(u)} for u in part["user_id"].unique()]
        rows += [{"item_id": i, TIMESTAMP: stamp, **replay.item_row(i)} for i in part["item_id"].unique()]
    return (
        pd.DataFrame(users, columns=["user_id", TIMESTAMP, *USER_FEATURES.fields]),
        pd.DataFrame(rows, columns=["item_id", TIMESTAMP, *ITEM_FEATURES.fields]),
    )
