"""Statistics of controlled experiments: a variant's rates, and a comparison that may be looked at any time.

**Unit.** A user is given a variant and sees any number of lists, which are no independent trials. All figures rest on
sums by user, and the variance of a rate is that of a ratio of sums over users (the delta method: Deng, Knoblich and
Lu, "Applying the Delta Method in Metric Analytics", KDD 2018).

**Looking any time.** Asymptotic confidence sequences by Robbins' normal mixture (Waudby-Smith, Arbour, Sinha, Kennedy
and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 2024, theorem
2.2): with probability 1 - alpha the interval holds the truth at all times at once, so that it may be looked at, and the
experiment ended, whenever one likes. The p-value is the smallest alpha whose interval leaves out 0.

**Clock.** Their time t is the number of independent observations. Here users come back, and the same users' lists
pile up; t is therefore the variance, clustered by user, of the sum over all lists, in units of one list's variance.
Then a sum of independent lists is a Brownian motion of t; where users differ, later lists of a user repeat what his
earlier ones told, so that Cov(S_s, S_t) >= Var(S_s) for s < t: such a process leaves a boundary less often than the
Brownian motion of the same variances does (Slepian's inequality), and the interval errs to the safe side.
``benchmarks/sequential.py`` shows both by simulation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

ALPHA = 0.05
MIN_USERS = 50
"""Fewest users of each variant before anything is said of a difference: the theory is asymptotic. Where some have most
of the lists it is their effective number (Kish 1965): as many who all had as many lists would tell as much."""

MIN_HITS = 20
"""Fewest lists of both variants together with (and without) what is counted, for the same reason."""

TIGHTEST_AT = 2_000.0
"""The time at which the interval is tightest relative to that of a fixed sample: 8,000 independent lists, halved."""

_NORMAL = 1.959964


class Moments(NamedTuple):
    """Sums over the users of a variant; n are a user's lists, y the sum of a metric over them. All float64, one shape.

    Attributes:
        users: how many there are. lists: sum of n; lists2: of n squared.
        total: sum of y; total2: of y squared; cross: of n times y.
        squares: sum over lists, not users, of the metric's square.
    """

    users: Values
    lists: Values
    lists2: Values
    total: Values
    total2: Values
    cross: Values
    squares: Values


class Rate(NamedTuple):
    """A mean over lists and its 95 % interval, for one look; 0 to 1 as long as nothing is known."""

    mean: Values
    low: Values
    high: Values


class Comparison(NamedTuple):
    """A variant's rate minus the control's, with an interval that holds at all times at once.

    Attributes:
        difference, low, high: of rates.
        p_value: valid at any time; the smallest ever seen may be kept.
    """

    difference: Values
    low: Values
    high: Values
    p_value: Values


def moments_of(lists: Any, total: Any, squares: Any) -> Moments:
    """Moments of users along the last axis.

    Args:
        lists: [..., users] lists of each user, 0 for one who has not come yet.
        total: [..., users] a metric summed over them; squares: its squares summed over them.
    """
    n, y = np.asarray(lists, np.float64), np.asarray(total, np.float64)
    sums = (n > 0, n, n * n, y, y * y, n * y, np.asarray(squares, np.float64))
    return Moments(*(np.asarray(each.sum(-1), np.float64) for each in sums))


def rate(moments: Moments) -> Rate:
    """Mean over lists, with an interval clustered by user."""
    mean, error = _mean(moments), np.sqrt(_variance(moments))
    known = (moments.users > 1) & (error > 0)
    low, high = mean - _NORMAL * error, mean + _NORMAL * error
    return Rate(mean, np.where(known, np.maximum(low, 0), 0.0), np.where(known, np.minimum(high, 1), 1.0))


def compare(variant: Moments, control: Moments, alpha: float = ALPHA) -> Comparison:
    """The difference of two variants' rates; -1 to 1 with p-value 1 as long as too little is known.

    Args:
        alpha: share of experiments without a difference that may ever be called different.
    """
    difference = _mean(variant) - _mean(control)
    variance = _variance(variant) + _variance(control)
    time = _time(variant, control, variance)
    known = _is_enough(variant, control) & (variance > 0) & (time > 0)
    time, variance = np.where(known, time, 1.0), np.where(known, variance, 1.0)
    rho2 = _rho2(alpha)
    spread = np.sqrt(variance * 2 * (time * rho2 + 1) / (time * rho2) * np.log(np.sqrt(time * rho2 + 1) / alpha))
    exponent = difference**2 / variance * time * rho2 / (2 * (time * rho2 + 1))
    p_value = np.minimum(1.0, np.sqrt(time * rho2 + 1) * np.exp(-exponent))
    return Comparison(
        difference,
        np.where(known, np.maximum(difference - spread, -1), -1.0),
        np.where(known, np.minimum(difference + spread, 1), 1.0),
        np.where(known, p_value, 1.0),
    )


def fixed_p_value(variant: Moments, control: Moments) -> Values:
    """The two-sided p-value of a z-test by the same variance: valid for one look at a time fixed before, no more."""
    variance = _variance(variant) + _variance(control)
    known = _is_enough(variant, control) & (variance > 0)
    z = np.abs(_mean(variant) - _mean(control)) / np.sqrt(np.where(known, variance, 1.0))
    return np.where(known, _two_sided(z), 1.0)


def _two_sided(z: Values) -> Values:
    from scipy.special import ndtr

    return np.asarray(2 * ndtr(-z), np.float64)


def _rho2(alpha: float) -> float:
    """The mixture's variance for which the interval is tightest at TIGHTEST_AT (ibid., appendix B.2)."""
    log = -2 * np.log(alpha)
    return float((log + np.log(log + 1)) / TIGHTEST_AT)


def _mean(moments: Moments) -> Values:
    return np.asarray(moments.total / np.maximum(moments.lists, 1), np.float64)


def _variance(moments: Moments) -> Values:
    """Of the mean over lists: residuals are summed by user before they are squared."""
    mean = _mean(moments)
    residuals = moments.total2 - 2 * mean * moments.cross + mean**2 * moments.lists2
    small_sample = moments.users / np.maximum(moments.users - 1, 1)
    return np.asarray(np.maximum(residuals, 0) * small_sample / np.maximum(moments.lists, 1) ** 2, np.float64)


def _time(variant: Moments, control: Moments, variance: Values) -> Values:
    lists = variant.lists + control.lists
    mean = (variant.total + control.total) / np.maximum(lists, 1)
    one_list = (variant.squares + control.squares) / np.maximum(lists, 1) - mean**2
    half = variant.lists * control.lists / np.maximum(lists, 1)
    return np.asarray(np.divide(variance * half**2, one_list, out=np.zeros_like(variance), where=one_list > 0))


def _is_enough(variant: Moments, control: Moments) -> NDArray[np.bool_]:
    total, lists = variant.total + control.total, variant.lists + control.lists
    users = [m.lists**2 / np.maximum(m.lists2, 1) for m in (variant, control)]
    enough = (users[0] >= MIN_USERS) & (users[1] >= MIN_USERS)
    return np.asarray(enough & (total >= MIN_HITS) & (lists - total >= MIN_HITS), np.bool_)
