"""The user encoder in NumPy: what serving runs of the two-tower net that ``retriever.py`` trains.

The user side pools the last items by several heads of lag-decay attention: the weight of an item is a softmax
over learned terms of its rank from the end, its age and itself, against a constant sink that an empty history
falls into. The item side is an id embedding plus a projection of the item's content; an item that was not
there in training has the projection alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import EVENT_TYPES, MICROSECONDS
from feature_repo.state import Row

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]

_DAY = 86_400
GAP_BOUNDS_S = np.array([1, 10, 30, 60, 120, 300, 900, 3_600, _DAY / 4, _DAY, 3 * _DAY, 7 * _DAY, 30 * _DAY, 90 * _DAY])
"""A pause of s seconds falls into bucket number (how many of these are below s)."""
NO_GAP = len(GAP_BOUNDS_S) + 1
N_GAPS = NO_GAP + 1
SINK = -8.0
TYPE_NUMBER = {name: n for n, name in enumerate(EVENT_TYPES)}

ARRAYS: tuple[str, ...] = (
    "item_vectors",
    "item_bias",
    "token_vectors",
    "token_gate",
    "content_vectors",
    "gap_in",
    "gap_out",
    "type_vectors",
    "segment_vectors",
    "lag",
    "age",
    "pool_weight",
    "pool_bias",
    "hidden_weight",
    "hidden_bias",
    "out_weight",
    "out_bias",
)
"""Names of the weights, float32; n items, d dimensions, H heads, L lags: ``item_vectors`` [n, d], ``item_bias``
[n], ``token_vectors`` [n, d] (an item as part of a history), ``token_gate`` [n, H], ``content_vectors``
[content columns, d], ``gap_in``/``gap_out`` [N_GAPS, d], ``type_vectors`` [event types, d], ``segment_vectors``
[segments, d], ``lag`` [H, L], ``age`` [N_GAPS, H], and the dense layers as [in, out] and [out]."""


class Tokens(NamedTuple):
    """A history of T acts, oldest first: item numbers, event type numbers, times in microseconds."""

    items: Numbers
    types: Numbers
    time_us: NDArray[np.int64]


def tokens_of(user: Row, index: Mapping[str, int]) -> Tokens:
    """The acts of a user_features row on items that ``index`` knows."""
    acts = [
        (n, TYPE_NUMBER.get(event_type, 0), time_us)
        for item_id, event_type, time_us in zip(
            user["recent_items"] or (), user["recent_types"] or (), user["recent_us"] or (), strict=False
        )
        if (n := index.get(item_id)) is not None
    ]
    columns = np.array(acts, np.int64).reshape(len(acts), 3).T
    return Tokens(columns[0].astype(np.intp), columns[1].astype(np.intp), columns[2])


def gap_bucket(elapsed_us: NDArray[np.int64] | NDArray[np.float64] | float) -> Numbers:
    """Bucket of a pause given in microseconds."""
    return np.searchsorted(GAP_BOUNDS_S, np.asarray(elapsed_us) / MICROSECONDS, side="left")


class ItemVectors(NamedTuple):
    """What the net knows of the n items of a table: replaced as a whole when the table grows."""

    vectors: Floats
    bias: Floats
    tokens: Floats
    gate: Floats

    def __len__(self) -> int:
        return len(self.bias)


class UserEncoder:
    """Turns a history into a query vector.

    Args:
        weights: the arrays named in ARRAYS.
        segments: what the rows of ``segment_vectors`` stand for.
    """

    def __init__(self, weights: Mapping[str, Floats], segments: Sequence[str]) -> None:
        self.weights = weights
        self._segment = {name: n for n, name in enumerate(segments)}

    def items(self) -> ItemVectors:
        """The items of the training."""
        w = self.weights
        return ItemVectors(w["item_vectors"], w["item_bias"], w["token_vectors"], w["token_gate"])

    def extend(self, content: Floats) -> ItemVectors:
        """The items of the training, followed by items known by their content alone.

        Args:
            content: [new items, content columns], as ``content.content`` gives it.
        """
        known = self.items()
        if not len(content):
            return known
        vectors = content @ self.weights["content_vectors"]
        bias = np.full(len(content), known.bias.mean() if len(known) else 0, np.float32)
        gate = np.zeros((len(content), known.gate.shape[1]), np.float32)
        return ItemVectors(
            np.vstack([known.vectors, vectors]),
            np.concatenate([known.bias, bias]),
            np.vstack([known.tokens, vectors]),
            np.vstack([known.gate, gate]),
        )

    def segment_numbers(self, segments: Sequence[str]) -> list[int]:
        """Numbers of the segments that the training knew."""
        return [self._segment[name] for name in segments if name in self._segment]

    def encode(self, tokens: Tokens, items: ItemVectors, segments: Sequence[str], now_us: float) -> Floats:
        """The query vector of one user at one moment: float32 [d]. Its score of item j is q . v_j + b_j."""
        w = self.weights
        profile = w["segment_vectors"][self.segment_numbers(segments)].sum(0)
        if not len(tokens.items):
            return self._head(np.zeros(w["pool_weight"].shape[0], np.float32), profile, NO_GAP)
        gaps = np.full(len(tokens.items), NO_GAP)
        gaps[1:] = gap_bucket(np.diff(tokens.time_us))
        ages = gap_bucket(np.float64(now_us) - tokens.time_us)
        states = items.tokens[tokens.items] + w["gap_in"][gaps] + w["type_vectors"][tokens.types]
        attention = self._attention(len(ages), ages, items.gate[tokens.items])
        return self._head((attention.T @ states).ravel(), profile, int(ages[-1]))

    def _attention(self, length: int, ages: Numbers, gate: Floats) -> Floats:
        # Beyond the trained number of lags the last one stands for all.
        lag = self.weights["lag"]
        lags = np.minimum(np.arange(length - 1, -1, -1), lag.shape[1] - 1)
        logits = lag[:, lags].T + self.weights["age"][ages] + gate
        top = np.maximum(logits.max(0), SINK)
        shares = np.exp(logits - top)
        return shares / (shares.sum(0) + np.exp(SINK - top))

    def _head(self, pooled: Floats, profile: Floats, gap: int) -> Floats:
        w = self.weights
        taste = pooled @ w["pool_weight"] + w["pool_bias"]
        hidden = np.concatenate([taste, profile]) @ w["hidden_weight"] + w["hidden_bias"]
        hidden = hidden / (1 + np.exp(-hidden))
        return taste + hidden @ w["out_weight"] + w["out_bias"] + profile + w["gap_out"][gap]
