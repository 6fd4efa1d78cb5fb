"""From candidates to a list: mixed, filled up where it is too short, with the items of later pages behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bento.recommender import rules
from bento.recommender.ask import Ask, Choice, Floats, Numbers
from bento.recommender.catalog import Catalog
from bento.recommender.mixture import MIXTURE, Cap, Labels, capped, mixed, pages
from models.scorer import popular


@dataclass(frozen=True, slots=True)
class Filling:
    """What a list is finished by.

    Attributes:
        mask: bool [len(catalog.table)], what may be shown.
        most: items of any one category among each k; None: any number.
        length: how long the list may be, with later pages.
    """

    catalog: Catalog
    mask: rules.Mask
    ask: Ask
    most: int | None
    length: int
    now_us: int

    @property
    def mixes(self) -> bool:
        """Whether the list is not simply the first of the candidates."""
        return bool(self.ask.diversity) or self.most is not None

    @property
    def candidates(self) -> int:
        """How many it takes to choose from."""
        return max(self.length, self.ask.k * MIXTURE) if self.mixes else self.length

    @property
    def described(self) -> int:
        """For how many of them the ranker's rows are wanted."""
        return self.candidates if self.mixes else self.ask.k

    def finished(self, found: Choice) -> Choice:
        """The list of an answer, from candidates, best first.

        The first k obey ``diversity`` and ``most``. Where candidates are fewer, popular items follow, then items in the
        catalogue's order, scored below all that were ranked; ``exhausted`` where even these are too few. Later pages
        follow in the order of scores.
        """
        k, chooses = self.ask.k, self.ask.items is None
        if not self.mixes:
            choice = found.first(self.length)
        else:
            cap = Cap(self.most)
            choice = self._mixed(found, cap)
            if len(choice.numbers) < k and chooses:
                choice = self._filled(choice, k, cap)
            if len(choice.numbers) >= k:
                choice = self._with_pages(choice, found)
        if len(choice.numbers) < self.length and chooses and self.most is None:
            choice = self._filled(choice, self.length, Cap(None))
        return choice._replace(exhausted=True) if len(choice.numbers) < k else choice

    def _mixed(self, found: Choice, cap: Cap) -> Choice:
        k, diversity = self.ask.k, self.ask.diversity or 0.0
        categories = self.catalog.table.categories[found.numbers].astype(np.float32)
        labels = self._labels(found.numbers)
        taken = mixed(found.scores, categories, labels, cap, k=k, diversity=diversity)
        return found.at(np.array(taken, np.intp))

    def _filled(self, choice: Choice, k: int, cap: Cap) -> Choice:
        rest = self.mask.copy()
        rest[choice.numbers] = False
        while (missing := k - len(choice.numbers)) > 0:
            for label in cap.full():
                rest[self.catalog.in_category(label)] = False
            wanted = missing * (1 if cap.most is None else MIXTURE)
            numbers, counts = popular(self.catalog.table, self.now_us, wanted, rest)
            if not len(numbers):
                break
            rest[numbers] = False
            taken = capped(range(len(numbers)), self._labels(numbers), missing, cap)
            sources = ["popular" if counts[n] > 0 else "static" for n in taken]
            choice = choice.then(numbers[taken], _below(choice.scores, counts[taken]), sources)
        return choice

    def _with_pages(self, choice: Choice, found: Choice) -> Choice:
        k = self.ask.k
        left = np.flatnonzero(~np.isin(found.numbers, choice.numbers))
        order = pages(range(len(left)), self._labels(found.numbers[left]), k, self.most)
        later = left[np.array(order[: self.length - k], np.intp)]
        sources = [found.sources[n] for n in later.tolist()]
        return choice.then(found.numbers[later], found.scores[later], sources)

    def _labels(self, numbers: Numbers) -> Labels:
        nothing: Sequence[str] = ()
        labels = self.catalog.table.labels
        return [nothing] * len(numbers) if self.most is None else [labels[n] for n in numbers.tolist()]


def _below(scores: Floats, counts: Floats) -> Floats:
    lowest = scores.min() if len(scores) else np.float32(0)
    peak = max(float(counts.max()), 1e-9) if len(counts) else 1.0
    return (lowest - 1 + counts / np.float32(peak + 1)).astype(np.float32)
