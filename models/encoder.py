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


class ItemVectors:
    """What the net knows of the items of a table: those of the training, and behind them later ones, which may grow.

    Attributes:
        vectors: float32 [n, d]; bias: float32 [n]; tokens: float32 [n, d]; gate: float32 [n, H]. See ``ARRAYS``.
    """

    def __init__(self, vectors: Floats, bias: Floats, tokens: Floats, gate: Floats) -> None:
        self._arrays = [vectors, bias, tokens, gate]
        self._later_bias = bias.mean() if len(bias) else np.float32(0)
        self._set_length(len(bias))

    def _set_length(self, n: int) -> None:
        self.vectors, self.bias, self.tokens, self.gate = (array[:n] for array in self._arrays)

    def __len__(self) -> int:
        return len(self.bias)

    def put(self, numbers: Numbers, vectors: Floats) -> None:
        """Items known by their content alone: ``vectors`` is [m, d]; new numbers follow the last one without a gap."""
        if not len(numbers):
            return
        n = max(len(self), int(numbers.max()) + 1)
        if n > len(self._arrays[0]):
            self._arrays = [_enlarged(array, n + max(1_024, n // 8)) for array in self._arrays]
        for array, value in zip(self._arrays, (vectors, self._later_bias, vectors, 0), strict=True):
            array[numbers] = value
        self._set_length(n)


def _enlarged(array: Floats, length: int) -> Floats:
    out = np.zeros((length, *array.shape[1:]), np.float32)
    out[: len(array)] = array
    return out


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

    def by_content(self, content: Floats) -> Floats:
        """Vectors of items that are known by their content alone: float32 [n, d].

        Args:
            content: [n, content columns], as ``content.content`` gives it.
        """
        return content @ self.weights["content_vectors"]

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
