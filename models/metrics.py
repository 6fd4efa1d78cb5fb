"""Quality of ranked lists, over all items (never over sampled negatives), with intervals that respect users.

All systems are judged by this one evaluator: each moment's list is compared with what was relevant for that moment.
Moments of one user are not independent, so that intervals are clustered by user, and the bootstrap draws users.
Items and users are numbers here; ``evaluate.py`` knows what they stand for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.intp]
Values = NDArray[np.float64]

METRICS: tuple[str, ...] = ("ndcg@10", "hr@10", "recall@10", "recall@20", "recall@50")
DEPTH = 50
"""Length of the lists that are judged."""

TOP_SHARE = 0.01
"""The part of the catalogue whose share of all recommendations is watched."""

DRAWS = 2_000
"""Bootstrap samples of a ratio."""

_AT_ONCE = 250
_DISCOUNT = 1 / np.log2(np.arange(2, 12))
_IDEAL = np.cumsum(_DISCOUNT)


class Truth(NamedTuple):
    """What was relevant for each of n moments.

    Attributes:
        keys: int64 [sum of counts], ascending: moment * ``items`` + item.
        counts: intp [n]; how many items were relevant.
        items: how many item numbers there are.
    """

    keys: NDArray[np.int64]
    counts: Numbers
    items: int


def truth_of(relevant: Sequence[Collection[str]], index: Mapping[str, int]) -> Truth:
    """The truth of n moments.

    Args:
        relevant: the relevant items of each moment, none of them twice.
        index: the number of every item id, 0 ... len - 1.

    Raises:
        ValueError: nothing is relevant for some moment. KeyError: an item without a number.
    """
    counts = np.array([len(ids) for ids in relevant], np.intp)
    if not counts.all():
        raise ValueError(f"relevant: no item at moment {int(counts.argmin())}; such a moment cannot be judged")
    item = np.array([index[item_id] for ids in relevant for item_id in ids], np.int64)
    keys = np.repeat(np.arange(len(counts)), counts) * len(index) + item
    return Truth(np.sort(keys), counts, len(index))


def numbers_of(lists: Sequence[Sequence[str]], index: Mapping[str, int]) -> Numbers:
    """Ranked lists as numbers, intp [n, DEPTH]; -1 where a list is shorter.

    Args:
        lists: item ids of each moment, best first; at most DEPTH are looked at.
        index: as in ``truth_of``.

    Raises:
        ValueError: an item stands in a list twice. KeyError: an item without a number.
    """
    numbers = np.full((len(lists), DEPTH), -1, np.intp)
    for row, ranked in zip(numbers, lists, strict=True):
        row[: len(ranked)] = [index[item_id] for item_id in ranked[:DEPTH]]
    ordered = np.sort(numbers, 1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1)
    if twice.any():
        raise ValueError(f"lists: an item stands twice in that of moment {int(twice.argmax())}")
    return numbers


def judge(lists: Numbers, truth: Truth) -> Values:
    """METRICS of each list, float64 [n, len(METRICS)].

    NDCG with gain 1 for every relevant item, divided by that of the best possible ten (Järvelin & Kekäläinen 2002);
    recall is hits over all relevant items, also where there are more of them than places.

    Args:
        lists: intp [n, DEPTH] as ``numbers_of`` gives them.
        truth: of the same n moments.
    """
    if len(lists) != len(truth.counts):
        raise ValueError(f"lists: {len(lists)} for {len(truth.counts)} moments")
    if not len(lists):
        return np.empty((0, len(METRICS)))
    keys = np.arange(len(lists))[:, None] * truth.items + lists
    place = np.minimum(np.searchsorted(truth.keys, keys), len(truth.keys) - 1)
    hits = (lists >= 0) & (truth.keys[place] == keys)
    ndcg = hits[:, :10] @ _DISCOUNT / _IDEAL[np.minimum(truth.counts, 10) - 1]
    recalls = [hits[:, :k].sum(1) / truth.counts for k in (10, 20, 50)]
    return np.stack([ndcg, hits[:, :10].any(1), *recalls], 1)


@dataclass(frozen=True)
class Quality:
    """One system's figures over some moments.

    Attributes:
        moments, users: how many were judged.
        means: METRICS over moments; half_widths: of their 95 % intervals.
        coverage: share of the catalogue that stood in any first ten.
        top_share: share of all places in first tens that the TOP_SHARE most recommended items took.
    """

    moments: int
    users: int
    means: dict[str, float]
    half_widths: dict[str, float]
    coverage: float
    top_share: float


def quality(values: Values, user: Numbers, lists: Numbers, catalog_size: int) -> Quality:
    """Figures of some moments; all 0 where there is none.

    Args:
        values: [n, len(METRICS)], from ``judge``.
        user: intp [n]; a number of each moment's user.
        lists: intp [n, DEPTH]; what was judged.
        catalog_size: how many items could have been recommended.
    """
    means = values.mean(0) if len(values) else np.zeros(len(METRICS))
    shown = lists[:, :10]
    times = np.sort(np.unique(shown[shown >= 0], return_counts=True)[1])[::-1]
    most = int(np.ceil(TOP_SHARE * catalog_size))
    return Quality(
        len(values),
        len(np.unique(user)),
        dict(zip(METRICS, means.tolist(), strict=True)),
        dict(zip(METRICS, half_widths(values, user).tolist(), strict=True)),
        len(times) / catalog_size,
        float(times[:most].sum() / max(1, times.sum())),
    )


def half_widths(values: Values, user: Numbers) -> Values:
    """Half-widths of the 95 % intervals of means over moments that come in clusters, one of each user.

    The sandwich estimate of a ratio: residuals are summed by user before they are squared. One user alone gives 0.

    Args:
        values: float64 [n, m]; user: intp [n].

    Returns:
        float64 [m].
    """
    if not len(values):
        return np.zeros(values.shape[1])
    _, number = np.unique(user, return_inverse=True)
    residuals = (values - values.mean(0)).T
    sums = np.stack([np.bincount(number, column) for column in residuals])
    return 1.96 * np.sqrt((sums**2).sum(1)) / len(values)


class Ratio(NamedTuple):
    """A ratio of two means and its 95 % interval."""

    ratio: float
    low: float
    high: float


def paired_ratio(ours: Values, theirs: Values, user: Numbers, *, draws: int = DRAWS, seed: int = 0) -> Ratio:
    """How many times one system's mean is another's on the same moments, by a paired bootstrap over users.

    Efron's percentile interval: users are drawn with all their moments and both systems' values of them. Where both
    means are 0 the ratio is 1.

    Args:
        ours, theirs: float64 [n]; user: intp [n].
        draws: bootstrap samples; seed: of their generator.
    """
    if not len(ours):
        return Ratio(1.0, 1.0, 1.0)
    _, number = np.unique(user, return_inverse=True)
    our_sums, their_sums = np.bincount(number, ours), np.bincount(number, theirs)
    users = len(our_sums)
    random, drawn = np.random.default_rng(seed), []
    for first in range(0, draws, _AT_ONCE):
        times = random.multinomial(users, np.full(users, 1 / users), min(_AT_ONCE, draws - first)).astype(float)
        drawn.append(_over(times @ our_sums, times @ their_sums))
    # A quantile that is one of the draws: no interpolation towards an infinite ratio.
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975), method="inverted_cdf")
    return Ratio(float(_over(our_sums.sum(), their_sums.sum())), float(low), float(high))


def _over(ours: Values, theirs: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((ours == 0) & (theirs == 0), 1.0, ours / theirs)
