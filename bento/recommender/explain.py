"""Why an item is in the list: in words that follow from the data, and as what each feature contributed.

A theme is what a person would name as one reason; it stands for several features of the ranker. Themes speak in the
order of what their features contributed, the theme of the item's source first; one that has nothing true to say of an
item is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bento.recommender.ask import Ask, Choice, Json
from bento.recommender.because import Because
from bento.recommender.release import Release
from bento.recommender.visitors import Visitor

MOST = 3
"""Reasons given for an item."""

LARGEST = 8
"""Contributions named; the others are summed up."""

OTHER = "other"

Say = Callable[[Because, int], str | None]

THEMES: Mapping[str, Say] = {
    "act": Because.act,
    "lasting": Because.lasting,
    "kind": Because.kind,
    "trend": Because.trend,
    "popular": Because.popular,
    "value": Because.value,
    "segments": Because.segments,
}
FEATURE_THEMES: Mapping[str, str] = {
    "item_to_item_score": "act",
    "item_to_item_reciprocal_rank": "act",
    "long_term_score": "lasting",
    "long_term_reciprocal_rank": "lasting",
    "category_affinity": "kind",
    "last_item_similarity": "kind",
    "item_rising": "trend",
    "item_log_1h": "trend",
    "item_log_1d": "trend",
    "item_log_7d": "trend",
    "today_score": "trend",
    "trending_score": "trend",
    "trending_reciprocal_rank": "trend",
    "popular_score": "popular",
    "popular_reciprocal_rank": "popular",
    "ever_score": "popular",
    "item_log_30d": "popular",
    "item_log_events": "popular",
    "item_mean_value": "value",
    "value_from_mean": "value",
}
SOURCE_THEMES: Mapping[str, Sequence[str]] = {
    "retriever": (),
    "item_to_item": ("act",),
    "long_term": ("lasting",),
    "trending": ("trend",),
    "popular": ("trend", "popular"),
    "segment": ("segments",),
}
SOURCE_WORDS: Mapping[str, str] = {
    "retriever": "fits what you did lately",
    "item_to_item": "others went on to it",
    "long_term": "goes with all that you have met",
    "content": "has much in common with it",
    "trending": "popular this week",
    "popular": "popular",
    "segment": "liked by people of your groups",
    "static": "from the catalogue",
    "new": "new here",
}
"""What is said where the themes have nothing to say, and of sources without any."""


class Why(NamedTuple):
    """Reasons for one item.

    Attributes:
        reasons: at most MOST, strongest first.
        contributions: feature -> how much it moved the score from that of an average candidate: the LARGEST by size,
            and the sum of the others; empty where no model ranked the item.
    """

    reasons: list[str]
    contributions: dict[str, float]

    def as_json(self) -> Json:
        """The fields of an item of an answer."""
        return self._asdict()


def reasons(release: Release, choice: Choice, visitor: Visitor, ask: Ask, now_us: int) -> list[Why]:
    """Reasons for each item of a choice. Call it under the catalogue's lock."""
    because = Because(release, visitor, now_us)
    shares = _shares(release, choice)
    found = []
    for n, (item, source) in enumerate(zip(choice.numbers.tolist(), choice.sources, strict=True)):
        mine = shares[n] if n < len(shares) else None
        first = _of_source(because, source, item, ask, visitor)
        told = [*first, *_of_features(because, item, release.feature_names, mine)] or [SOURCE_WORDS[source]]
        named = {} if mine is None else contributions(release.feature_names, mine)
        found.append(Why(list(dict.fromkeys(told))[:MOST], named))
    return found


def contributions(names: Sequence[str], shares: NDArray[np.float64]) -> dict[str, float]:
    """The largest contributions by size, and the sum of the others as OTHER."""
    order = np.argsort(-np.abs(shares), kind="stable")
    largest = {names[n]: round(float(shares[n]), 4) for n in order[:LARGEST].tolist() if shares[n]}
    rest = float(shares[order[LARGEST:]].sum())
    return largest | ({OTHER: round(rest, 4)} if rest else {})


def _shares(release: Release, choice: Choice) -> list[NDArray[np.float64] | None]:
    features = choice.features
    if release.bundle is None or features is None or not features.size:
        return []
    ranked = ~np.isnan(features).any(1)
    shares: list[NDArray[np.float64] | None] = [None] * len(features)
    rows = release.bundle.contributions(features[ranked], choice.stale)
    for n, row in zip(np.flatnonzero(ranked).tolist(), rows, strict=True):
        shares[n] = row
    return shares


def _of_source(because: Because, source: str, item: int, ask: Ask, visitor: Visitor) -> list[str]:
    context = because.table.index.get(ask.context_item) if ask.context_item else None
    if context is not None and source in ("item_to_item", "content"):
        told = "others went on to it after {}" if source == "item_to_item" else "has much in common with {}"
        return [told.format(because.title(context))]
    if source == "retriever" and visitor.row is None:
        return [f"fits people of {' and '.join(visitor.segments)}"]
    if source in ("new", "static"):
        return [SOURCE_WORDS[source]]
    said = (THEMES[theme](because, item) for theme in SOURCE_THEMES.get(source, ()))
    return [words for words in said if words]


def _of_features(because: Because, item: int, names: Sequence[str], shares: NDArray[np.float64] | None) -> list[str]:
    """What the themes say, strongest first, of those that spoke for the item."""
    if shares is None:
        return []
    themes: dict[str, float] = {}
    for name, share in zip(names, shares.tolist(), strict=True):
        if (theme := FEATURE_THEMES.get(name)) is not None:
            themes[theme] = themes.get(theme, 0.0) + share
    strongest = sorted((theme for theme, share in themes.items() if share > 0), key=lambda theme: -themes[theme])
    said = (THEMES[theme](because, item) for theme in strongest)
    return [words for words in said if words]
