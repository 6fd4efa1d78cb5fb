"""A fixed set of requests that every release must answer sanely before it may serve anybody.

The same users, categories and clock for every bundle that is asked about the same data: an unknown user, a new one of
each of some segments, users of the shortest to the longest history, and some of them within a category; all at the end
of the events, with the states that the stream would hold then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.request_features import empty_user
from models.bundle import Bundle, BundleError
from models.content import content
from models.evaluate import product_list
from models.replay import Replay
from models.scorer import Scorer
from models.sources import Query
from models.training import Plan, allowed_for, new_scorer

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

K = 10
USERS = 24
"""Users with a history: one of each of so many equal parts of all users by length of history."""
WITHIN = 8
"""So many of them also ask within a category."""
SEGMENTS = 3
ROUNDS = 5


class Asked(NamedTuple):
    """One request: who and when, and within which category. ``personal``: whether the user has a history."""

    query: Query
    category: str | None
    personal: bool


class Answer(NamedTuple):
    """What a bundle said: item ids as they would be served, the scores that it gave, and how many items could be shown.

    ``scored``: whether the bundle scored anything, or the user is one whom it knows nothing of.
    """

    asked: Asked
    items: tuple[str, ...]
    scores: Floats
    possible: int
    scored: bool


def canary_set(plan: Plan, replay: Replay) -> list[Asked]:
    """The requests.

    Args:
        plan: users, segments and categories.
        replay: of all events; it stands at the end of the plan's time afterwards.
    """
    now_us = plan.split.end_us
    replay.advance(now_us)
    new = [(), *((name,) for name in plan.segments[:SEGMENTS])]
    asked = [Asked(Query(empty_user(), now_us, segments), None, False) for segments in new]
    history = plan.history
    by_length = np.argsort(np.diff(history.start), kind="stable")
    places = np.unique(np.linspace(0, len(by_length) - 1, USERS).round().astype(int))
    known = [history.user_ids[by_length[place]] for place in places]
    queries = [Query(replay.user_row(user), now_us, plan.profiles.get(user, ()), replay.seen(user)) for user in known]
    asked += [Asked(query, None, True) for query in queries]
    categories = plan.categories[:WITHIN]
    every = max(1, len(queries) // WITHIN)
    return asked + [Asked(query, name, True) for query, name in zip(queries[::-every], categories, strict=False)]


def ready(bundle: Bundle, plan: Plan, replay: Replay, candidates: int) -> Scorer:
    """A scorer of the bundle over the catalogue and the items' states where the replay stands.

    Raises:
        BundleError, or NumPy's own: arrays of the bundle do not fit each other.
    """
    scorer = new_scorer(bundle, plan.catalog, candidates)
    replay.fill(scorer.items)
    scorer.sync()
    # What a later item would get: a bundle that cannot give it must fail now, not when one arrives.
    later = bundle.encoder().by_content(content(scorer.items, np.arange(min(1, len(scorer.items)))))
    if later.shape[1] != (width := bundle.weights["item_vectors"].shape[1]):
        raise BundleError(f"retriever.safetensors: content_vectors gives {later.shape[1]} numbers, not {width}")
    return scorer


def answers(scorer: Scorer, requests: Sequence[Asked]) -> list[Answer]:
    """What a release says to each of the requests."""
    found = []
    for asked in requests:
        allowed, query = _allowed(scorer, asked), asked.query
        items = product_list(scorer, allowed, query, K)
        scored = scorer.knows(query)
        scores = scorer.recommend(query, K, allowed, described=0).scores if scored else np.empty(0, np.float32)
        ids = tuple(scorer.items.ids[n] for n in items)
        found.append(Answer(asked, ids, scores, int(allowed.sum()), scored))
    return found


def median_ms(scorers: Mapping[str, Scorer], requests: Sequence[Asked], rounds: int = ROUNDS) -> dict[str, float]:
    """The median time of scoring one request, milliseconds, by scorer.

    They take turns at every request, so that whatever slows the machine slows them alike. The first round warms up.
    """
    times: dict[str, list[float]] = {name: [] for name in scorers}
    personal = [asked for asked in requests if asked.personal]
    for turn in range(rounds + 1):
        for asked in personal:
            for name, scorer in scorers.items():
                allowed = _allowed(scorer, asked)
                began = time.perf_counter()
                scorer.recommend(asked.query, K, allowed, described=K)
                if turn:
                    times[name].append(1e3 * (time.perf_counter() - began))
    return {name: float(np.median(each)) if each else 0.0 for name, each in times.items()}


def _allowed(scorer: Scorer, asked: Asked) -> Mask:
    allowed = allowed_for(scorer, asked.query.seen)
    if asked.category is not None:
        allowed &= np.array([asked.category in labels for labels in scorer.items.labels], bool)
    return allowed
