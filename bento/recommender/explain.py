"""Why an item is in the list, in a few words: where it came from, and what in the ranker spoke for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bento.recommender.ask import Choice
from bento.recommender.release import Release
from bento.recommender.visitors import Visitor
from feature_repo.request_features import empty_user, recent_numbers

MOST = 3

SOURCE_WORDS = {
    "retriever": "fits what you did lately",
    "item_to_item": "others went on to it",
    "long_term": "goes with all that you have met",
    "content": "has much in common with it",
    "trending": "many choose it these days",
    "popular": "popular with everybody",
    "profile": "liked by people of your groups",
    "static": "from the catalogue",
}
FEATURE_WORDS = {
    "category_affinity": "of the categories you prefer",
    "last_item_similarity": "of the kind you looked at last",
    "years_from_recent": "from the time of what you looked at",
    "value_from_mean": "rated higher than you usually rate",
    "item_mean_value": "rated well",
    "item_rising": "rising",
    "item_log_1h": "much sought in the last hour",
    "item_log_1d": "much sought today",
    "item_log_7d": "much sought this week",
    "item_log_30d": "much sought this month",
    "item_log_age_days": "of the age you like",
    "retriever_score": "fits what you did lately",
    "item_to_item_score": "others went on to it",
    "long_term_score": "goes with all that you have met",
    "trending_score": "much sought this week",
    "popular_score": "much sought this month",
    "today_score": "much sought today",
}


def reasons(release: Release, choice: Choice, visitor: Visitor) -> list[list[str]]:
    """At most MOST reasons for each item of a choice, strongest first."""
    words = [[SOURCE_WORDS[source]] for source in choice.sources]
    if choice.features is None or not choice.features.size or release.bundle is None:
        return words
    for n, shares in enumerate(release.bundle.contributions(choice.features)):
        words[n] += _shared_categories(release, int(choice.numbers[n]), visitor)
        words[n] += _spoken(release.feature_names, shares)
        words[n] = list(dict.fromkeys(words[n]))[:MOST]
    return words


def _spoken(names: Sequence[str], shares: np.ndarray) -> list[str]:
    best = [int(n) for n in np.argsort(-shares) if shares[n] > 0]
    return [FEATURE_WORDS[names[n]] for n in best if names[n] in FEATURE_WORDS]


def _shared_categories(release: Release, item: int, visitor: Visitor) -> list[str]:
    table = release.catalog.table
    recent = recent_numbers(visitor.row or empty_user(), table)[-5:].tolist()
    shared = [label for label in table.labels[item] if sum(label in table.labels[n] for n in recent) >= 2]
    return [f"like your last items: {', '.join(shared[:2])}"] if shared else []
