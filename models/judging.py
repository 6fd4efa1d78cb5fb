"""Lists of any systems, judged on the same moments: two truths, new and known users, intervals.

next: the items of the moment. future: every item that the user first meets from the moment to the end of the window.
A user is cold who has no event before the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.dataset import History, Moment
from models.metrics import Quality, Ratio, Values, judge, numbers_of, paired_ratio, quality, truth_of
from models.training import Plan

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]

TRUTHS = ("next", "future")
COLD = {"cold, 0 acts": (0, 0), "cold, 1-2": (1, 2), "cold, 3-9": (3, 9), "cold, 10+": (10, 2**31)}
"""Moments of users without an event before the window, by the fewest and most acts of theirs so far."""

SEGMENTS = ("all", "warm", "cold", *COLD)

CATEGORY = "category:"
"""Begins the name of a segment of moments at which an item of one category was relevant."""

CATEGORY_MOMENTS = 30
"""Fewest moments of a category that is judged by itself."""

CATEGORIES = 30
"""Most categories that are: those of most moments."""

Lists = Mapping[str, Mapping[str, Sequence[Sequence[str]]]]
"""mode -> system -> ranked item ids of every judged moment, best first, seen items left out."""


@dataclass(frozen=True)
class Judgement:
    """One system in one mode.

    Attributes:
        quality: truth -> segment -> figures; a segment without moments is left out, except all.
        ndcg: truth -> float64 [moments], NDCG@10 of each.
    """

    quality: Mapping[str, Mapping[str, Quality]]
    ndcg: Mapping[str, Values] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Evaluation:
    """Every system judged on the same moments.

    Attributes:
        judgements: mode -> system -> figures.
        catalog_size: how many items could have been recommended.
        user: intp [moments], a number of each moment's user; segments: as ``segments_of`` gives them.
    """

    judgements: Mapping[str, Mapping[str, Judgement]]
    catalog_size: int
    user: Numbers = field(compare=False, repr=False)
    segments: Mapping[str, Mask] = field(compare=False, repr=False)

    @property
    def results(self) -> dict[str, dict[str, Quality]]:
        """Figures of the next moment over all users: ``results[mode][system]``."""
        return {
            mode: {name: judgement.quality["next"]["all"] for name, judgement in systems.items()}
            for mode, systems in self.judgements.items()
        }

    def ratio(self, ours: tuple[str, str], theirs: tuple[str, str], truth: str = "next", segment: str = "all") -> Ratio:
        """Mean NDCG@10 of one (mode, system) over another's, paired, with its interval."""
        mask = self.segments[segment]
        one, other = (self.judgements[mode][system].ndcg[truth][mask] for mode, system in (ours, theirs))
        return paired_ratio(one, other, self.user[mask])

    def metrics(self) -> dict[str, float]:
        """Flat figures for a bundle's manifest and MLflow.

        For instance ``live.product.ndcg_at_10``; ``live.product.future.ndcg_at_10`` by the other truth and
        ``live.product.cold.ndcg_at_10`` of new users, where there are any.
        """
        flat = {}
        for mode, systems in self.judgements.items():
            for system, judgement in systems.items():
                prefix, ours = f"{mode}.{system.replace(' ', '_')}", judgement.quality
                overall = ours["next"]["all"]
                for name, value in overall.means.items():
                    flat[f"{prefix}.{name.replace('@', '_at_')}"] = value
                flat[f"{prefix}.ndcg_at_10_half_width"] = overall.half_widths["ndcg@10"]
                flat[f"{prefix}.coverage_at_10"] = overall.coverage
                flat[f"{prefix}.top_share_at_10"] = overall.top_share
                flat[f"{prefix}.future.ndcg_at_10"] = ours["future"]["all"].means["ndcg@10"]
                if "cold" in ours["next"]:
                    flat[f"{prefix}.cold.ndcg_at_10"] = ours["next"]["cold"].means["ndcg@10"]
        return {name: round(value, 6) for name, value in flat.items()}

    def as_json(self) -> dict[str, object]:
        """All figures as plain values: mode -> system -> truth -> segment -> figures."""
        return {
            mode: {
                system: {
                    truth: {segment: asdict(q) for segment, q in segments.items()}
                    for truth, segments in judgement.quality.items()
                }
                for system, judgement in systems.items()
            }
            for mode, systems in self.judgements.items()
        }


def judge_lists(plan: Plan, judged: Sequence[Moment], lists: Lists, *, since_us: int, until_us: int) -> Evaluation:
    """Judge the lists of any systems at the same moments.

    Args:
        plan: history and catalogue.
        judged: the moments, all of them in the window ``since_us`` to ``until_us``.
        lists: of every system, one list for each moment.

    Raises:
        ValueError: a system has more or fewer lists than there are moments, or an item stands twice in a list.
        KeyError: an item is neither in the catalogue nor in the history.
    """
    ids = dict.fromkeys([item.item_id for item in plan.catalog] + list(plan.history.item_ids))
    index = {item_id: n for n, item_id in enumerate(ids)}
    user = _users(plan.history, judged)
    relevant = [list(moment.relevant) for moment in judged], futures(plan.history, judged, until_us)
    truths = {name: truth_of(each, index) for name, each in zip(TRUTHS, relevant, strict=True)}
    segments = segments_of(plan.history, judged, since_us)
    segments |= category_segments(judged, {item.item_id: item.categories for item in plan.catalog})
    size = len(plan.catalog)

    def judgement(system: Sequence[Sequence[str]]) -> Judgement:
        numbers = numbers_of(system, index)
        values = {name: judge(numbers, truth) for name, truth in truths.items()}
        figures = {
            name: {s: quality(each[mask], user[mask], numbers[mask], size) for s, mask in segments.items()}
            for name, each in values.items()
        }
        return Judgement(figures, {name: each[:, 0] for name, each in values.items()})

    return Evaluation(
        {mode: {name: judgement(each) for name, each in systems.items()} for mode, systems in lists.items()},
        size,
        user,
        segments,
    )


def futures(history: History, judged: Sequence[Moment], until_us: int) -> list[list[str]]:
    """Of every moment, the items that its user first meets from then until the end of the window."""
    user, found = _users(history, judged), []
    ends = _rows_at(history, user, np.full(len(user), until_us))
    for begin, end in zip(_rows_at(history, user, _times(judged)), ends, strict=True):
        met = history.item[begin:end][history.weight[begin:end] > 0]
        found.append([history.item_ids[item] for item in met])
    return found


def segments_of(history: History, judged: Sequence[Moment], since_us: int) -> dict[str, Mask]:
    """Which moments belong to each of SEGMENTS, bool [moments]; without those that nobody belongs to, except all."""
    user = _users(history, judged)
    first = history.start[user]
    acts = _rows_at(history, user, _times(judged)) - first
    cold = _rows_at(history, user, np.full(len(user), since_us)) == first
    masks = {"all": np.ones(len(user), bool), "warm": ~cold, "cold": cold}
    masks |= {name: cold & (acts >= fewest) & (acts <= most) for name, (fewest, most) in COLD.items()}
    return {name: mask for name, mask in masks.items() if name == "all" or mask.any()}


def category_segments(judged: Sequence[Moment], categories: Mapping[str, Sequence[str]]) -> dict[str, Mask]:
    """Which moments belong to each category with enough of them, by name after CATEGORY: bool [moments].

    A moment belongs to all categories of its relevant items.

    Args:
        categories: of each item id.
    """
    found: dict[str, set[int]] = {}
    for n, moment in enumerate(judged):
        for item_id in moment.relevant:
            for name in categories.get(item_id, ()):
                found.setdefault(name, set()).add(n)
    most = sorted(found, key=lambda name: (-len(found[name]), name))[:CATEGORIES]
    masks = {}
    for name in most:
        if len(found[name]) >= CATEGORY_MOMENTS:
            masks[f"{CATEGORY}{name}"] = mask = np.zeros(len(judged), bool)
            mask[list(found[name])] = True
    return masks


def _users(history: History, judged: Sequence[Moment]) -> Numbers:
    known = {user_id: n for n, user_id in enumerate(history.user_ids)}
    return np.array([known[moment.user_id] for moment in judged], np.intp)


def _times(judged: Sequence[Moment]) -> NDArray[np.int64]:
    return np.array([moment.time_us for moment in judged], np.int64)


def _rows_at(history: History, user: Numbers, time_us: NDArray[np.int64]) -> Numbers:
    """The first row of each user at or after a time."""
    start = history.start
    found = [
        start[n] + np.searchsorted(history.time_us[start[n] : start[n + 1]], at)
        for n, at in zip(user, time_us, strict=True)
    ]
    return np.array(found, np.intp)
