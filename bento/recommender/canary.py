"""A new release on trial: first a fixed set of requests that no user sees, then a share of the users."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

import mmh3
import numpy as np

from bento.recommender.guard import flaw, slower
from bento.recommender.release import Release
from feature_repo.events import Event, pseudonym
from feature_repo.request_features import empty_user
from feature_repo.state import UserState
from infra.settings import Settings
from models.scorer import Ranked, Scorer
from models.sources import Query

log = logging.getLogger(__name__)

CANARY = "canary"
"""Variant of a release on trial."""

VISITORS, LONGEST = 24, 12
"""Made-up visitors of the self-check, and most acts of one of them."""

K = 10
PATIENCE_S = 10.0
"""Processor time that the whole self-check may take."""


@dataclass(frozen=True)
class Canary:
    """A release that a share of users is answered by.

    Attributes:
        share: of users; always the same ones for one version.
        since: when it began; until: when the release will answer all; ends_s: the same, on the monotonic clock.
    """

    release: Release
    share: float
    since: datetime
    until: datetime
    ends_s: float

    @classmethod
    def of(cls, release: Release, settings: Settings) -> Canary:
        """A trial that begins now."""
        now, lasts_s = datetime.now(UTC), settings.canary_s
        until = now + timedelta(seconds=lasts_s)
        return cls(release, settings.canary_share, now, until, time.monotonic() + lasts_s)

    def takes(self, user_id: str) -> bool:
        """Whether it answers this user."""
        return is_in_share(user_id, self.release.registered or "", self.share)

    @property
    def left_s(self) -> float:
        """How long it goes on."""
        return max(self.ends_s - time.monotonic(), 0.0)

    def as_json(self) -> dict[str, Any]:
        """As GET /model tells it."""
        return {
            **self.release.names(),
            "share": self.share,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
        }


def is_in_share(user_id: str, version: str, share: float) -> bool:
    """Whether a user is of the share that meets a version first: others for each version, the same everywhere."""
    return mmh3.hash(f"{CANARY}:{version}:{pseudonym(user_id)}", signed=False) < share * 2**32


class _Said(NamedTuple):
    items: set[str]
    seconds: float


def problem(release: Release, serving: Release, settings: Settings) -> str | None:
    """What keeps a release from answering anybody, by requests of made-up visitors; None: nothing.

    Args:
        serving: answers the same requests, to compare with; it may be without a model.
        settings: gate_min_distinct, canary_slow_ratio, request_timeout_ms.
    """
    ours: list[_Said] = []
    theirs: list[_Said] = []
    try:
        for query in visitors(release.catalog.table.ids, release.bundle.segments if release.bundle else ()):
            ours.append(_said(release, query))
            if serving.scorer is not None:
                theirs.append(_said(serving, query))
            if sum(said.seconds for said in ours) > PATIENCE_S:
                return f"self-check: it was not through with {len(ours)} requests in {PATIENCE_S:g} s"
        _check_similar(release)
    except Exception as error:  # whatever a bundle makes fail, it is the bundle
        log.warning("release %s fails its self-check", release.version, exc_info=error)
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"self-check: {type(error).__name__} in {place.name}: {error}"
    return _few(ours, theirs, release, settings) or _slow(ours, theirs, settings)


def _few(ours: list[_Said], theirs: list[_Said], release: Release, settings: Settings) -> str | None:
    count, rivals = (len(set().union(*(said.items for said in each))) for each in (ours, theirs))
    table = release.catalog.table
    wanted = min(settings.gate_min_distinct, int(table.in_catalog.sum()) // 2)
    if theirs:  # where there is little to choose from, or all is alike, the one that serves finds no more either
        wanted = min(wanted, rivals // 2)
    if count >= wanted:
        return None
    return f"self-check: {len(ours)} visitors were offered {count} different items; at least {wanted} are expected"


def _slow(ours: list[_Said], theirs: list[_Said], settings: Settings) -> str | None:
    if not ours or not theirs:
        return None
    mine, rival = (median(said.seconds for said in each) for each in (ours, theirs))
    ratio = settings.canary_slow_ratio
    return None if mine <= ratio * rival else f"self-check: {slower(mine, rival, ratio)}"


def visitors(ids: Sequence[str], segments: Sequence[str]) -> Iterator[Query]:
    """Made-up visitors of no acts, of few and of more, with and without a segment; the same ones for the same items."""
    draw, now_us = np.random.default_rng(0), time.time() * 1e6
    for n in range(VISITORS):
        state = UserState()
        for place in draw.integers(len(ids), size=n * LONGEST // VISITORS) if len(ids) else ():
            act = {"user_id": "self-check", "item_id": ids[int(place)], "event_type": "click"}
            state.apply(Event.model_validate(act))
        row = state.row() if state.last_us else empty_user()
        mine = (segments[n % len(segments)],) if segments and n % 2 else ()
        yield Query(row, now_us, mine, row["recent_items"])


def _said(release: Release, query: Query) -> _Said:
    scorer, table = _scorer(release), release.catalog.table
    with release.catalog.lock:
        everything = table.in_catalog | ~table.in_catalog.any()
        began = time.thread_time()
        ranked = scorer.recommend(query, K, everything)
        again = scorer.rank(query, ranked.items)
        seconds = time.thread_time() - began
        for each in (ranked, again):
            _check(each, len(table), len(release.feature_names))
        return _Said({table.ids[n] for n in ranked.items.tolist()}, seconds)


def _check(ranked: Ranked, items: int, features: int) -> None:
    wrong = flaw(ranked.items, ranked.scores, items)
    if wrong is None and len(ranked.features) and ranked.features.shape[1] != features:
        wrong = f"rows of {ranked.features.shape[1]} features instead of {features}"
    if wrong is None and not len(ranked.items) and items:
        wrong = "no item for a visitor"
    if wrong:
        raise ValueError(wrong)


def _check_similar(release: Release) -> None:
    scorer, table = _scorer(release), release.catalog.table
    with release.catalog.lock:
        everything = np.ones(len(table), bool)
        for item in range(min(len(table), K)):
            near = scorer.similar(item, K, everything)
            if wrong := flaw(near.items, near.scores, len(table)):
                raise ValueError(f"items like {table.ids[item]}: {wrong}")


def _scorer(release: Release) -> Scorer:
    assert release.scorer is not None
    return release.scorer
