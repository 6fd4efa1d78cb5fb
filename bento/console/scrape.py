"""Prometheus metrics of a process, read twice and compared: what increased in between, and quantiles of that.

Counters only go up, until their process starts anew at 0; buckets are cumulative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class Key(NamedTuple):
    """A time series of one process."""

    name: str
    labels: Labels


Values = dict[Key, float]

Gauges = Mapping[str, Callable[[float, float], float]]
"""Name -> what makes one value of two processes', where that is no sum."""

SUMS: Gauges = MappingProxyType({})


def parse(text: str, names: frozenset[str]) -> Values:
    """The series of these names in Prometheus' text format.

    Raises:
        ValueError: this is no such text.
    """
    # Most of what a process tells is not wanted, and the parser is slow.
    wanted = [line for line in text.splitlines() if line.partition(" ")[0].partition("{")[0] in names]
    return {
        Key(sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families("\n".join(wanted) + "\n")
        for sample in family.samples
    }


def increase(before: Values, after: Values) -> Values:
    """How much counters have grown.

    A counter that is smaller than before has started anew, and all it shows is growth, as in PromQL's ``increase()``.
    A series that was not there before has grown from 0: the process was seen without it.
    """
    return {
        key: value - earlier if (earlier := before.get(key, 0.0)) <= value else value for key, value in after.items()
    }


def total(values: Mapping[Key, float], name: str, **labels: str) -> float:
    """The sum of the series of a name with these labels, whatever others they have."""
    wanted = frozenset(labels.items())
    return sum(value for key, value in values.items() if key.name == name and wanted <= key.labels)


def by_label(values: Mapping[Key, float], name: str, label: str) -> dict[str, float]:
    """The sum of the series of a name, by one label."""
    found: dict[str, float] = {}
    for key, value in values.items():
        if key.name == name:
            group = dict(key.labels).get(label, "")
            found[group] = found.get(group, 0.0) + value
    return found


def largest(values: Mapping[Key, float], name: str) -> float:
    """The largest value of the series of a name; 0 without any."""
    return max((value for key, value in values.items() if key.name == name), default=0.0)


def added(parts: Iterable[Mapping[Key, float]], gauges: Gauges = SUMS) -> Values:
    """The sum of each series over several mappings.

    Args:
        gauges: those that are added otherwise.
    """
    found: Values = {}
    for part in parts:
        for key, value in part.items():
            before = found.get(key)
            found[key] = value if before is None else gauges.get(key.name, _sum)(before, value)
    return found


def _sum(one: float, other: float) -> float:
    return one + other


def quantile(q: float, values: Mapping[Key, float], histogram: str, **labels: str) -> float | None:
    """A quantile of what a histogram observed, as PromQL's ``histogram_quantile`` has it; None when that is nothing.

    Observations are taken to lie evenly within their bucket, from 0 on in the first; what lies beyond the last bucket's
    limit is said to lie at it. https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile

    Args:
        q: 0 to 1.
        values: the increase of the histogram's buckets.
        histogram: its name, without ``_bucket``.
    """
    wanted = frozenset(labels.items())
    buckets = {key: value for key, value in values.items() if wanted <= key.labels}
    counts = {float(limit): count for limit, count in by_label(buckets, f"{histogram}_bucket", "le").items()}
    limits = sorted(counts)
    if not limits or limits[-1] != math.inf or not counts[math.inf]:
        return None
    rank, below, below_count = q * counts[math.inf], 0.0, 0.0
    for limit in limits[:-1]:
        if counts[limit] >= rank:
            within = counts[limit] - below_count
            return below + (limit - below) * ((rank - below_count) / within if within else 0.0)
        below, below_count = limit, counts[limit]
    return below
