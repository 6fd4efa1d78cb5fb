"""Lists that belong to no user and are not about popularity: what rises, and what is new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bento.recommender import rules
from bento.recommender.ask import Ask, Choice, Order
from bento.recommender.fallback import Ladder
from bento.recommender.release import Release
from feature_repo.item_table import ItemTable
from feature_repo.request_features import interest_at
from feature_repo.state import HALF_LIVES
from feature_repo.trends import LEADERS, top

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]
Floats = NDArray[np.float32]

DAY, MONTH = (list(HALF_LIVES).index(name) for name in ("1d", "30d"))
_SHARE = HALF_LIVES["1d"] / HALF_LIVES["30d"]


class Shelves:
    """Chooses the lists of /popular. All calls are made under the catalogue's lock.

    Args:
        ladder: knows what is popular, and what to show while nothing is.
    """

    def __init__(self, ladder: Ladder) -> None:
        self._ladder = ladder

    def list(self, order: Order, release: Release, ask: Ask, now_us: int) -> Choice:
        """What was asked for, without a name of a fallback; by the name ``popular`` where there is none of it."""
        if order == "popular":
            return self._ladder.popular(release, ask, now_us)
        mask = rules.allowed(release.catalog, now_us, ask.exclude, (), ask.category)
        make = rising if order == "trending" else newest
        numbers, scores = make(release.catalog.table, now_us, ask.k, mask)
        if not len(numbers):
            popular = self._ladder.popular(release, ask, now_us)
            return popular._replace(fallback=popular.fallback or "popular")
        found = Choice(numbers, scores, [order] * len(numbers), None, None)
        return found if order == "new" else self._filled(found, release, ask, now_us)

    def _filled(self, found: Choice, release: Release, ask: Ask, now_us: int) -> Choice:
        """Up to k by popular items, which score evenly less than the last that was found."""
        missing = ask.k - len(found.numbers)
        popular = self._ladder.popular(release, replace(ask, k=ask.k + len(found.numbers)), now_us)
        rest = popular.at(np.flatnonzero(~np.isin(popular.numbers, found.numbers))[:missing])
        below = np.linspace(found.scores[-1], 0, len(rest.numbers) + 1, endpoint=False, dtype=np.float32)[1:]
        return found.then(rest.numbers, below, rest.sources)


def rising(table: ItemTable, now_us: float, k: int, allowed: Mask) -> tuple[Numbers, Floats]:
    """The allowed items of more acts lately than they had in the long run, the least likely to be chance first.

    At a steady pace a decayed count is in proportion to its half-life, so a thirtieth of the 30-day count is what the
    1-day count should be. The score is by how many standard deviations it is more, taking acts for a Poisson process:
    (seen - expected) / sqrt(expected + 1). The 1 keeps a single act on an item that nobody met before below what many
    choose.

    Looked at are the first LEADERS by 7-day counts: an item's 1-day count is never above its 7-day count.

    Returns:
        Item numbers and scores, best first; fewer than k where fewer rise.
    """
    some = table.trends.best("7d", LEADERS, allowed)
    interest = interest_at(table, some, now_us)
    expected = interest[:, MONTH] * np.float32(_SHARE)
    scores = (interest[:, DAY] - expected) / np.sqrt(expected + 1)
    best = top(scores, k)
    best = best[scores[best] > 0]
    return some[best], scores[best]


def newest(table: ItemTable, now_us: float, k: int, allowed: Mask) -> tuple[Numbers, Floats]:
    """The allowed items by publication, newest first; of one day that with the later first act goes first.

    Those of unknown publication come last, those that are not published yet not at all.

    Returns:
        Item numbers and scores that fall evenly from 1.
    """
    published = np.where(table.published_us == 0, -np.inf, table.published_us)
    some = np.flatnonzero(allowed & (published <= now_us))
    if len(some) > k:  # a whole catalogue is not sorted for its first few
        kth = np.partition(published[some], len(some) - k)[len(some) - k]
        some = some[published[some] >= kth]
    order = np.lexsort((some, -table.times_us[some, 0], -published[some]))[:k]
    return some[order], np.linspace(1, 0, len(order), endpoint=False, dtype=np.float32)
