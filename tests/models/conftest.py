"""A small made-up shop, a bundle trained on it, and a scorer that stands at the end of its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from sample_shop import sample_bundle, sample_events, sample_items

from feature_repo.events import Event
from feature_repo.state import Row
from models.bundle import Bundle
from models.replay import Replay
from models.scorer import Scorer
from models.sources import Query
from models.training import new_scorer


class Shop(NamedTuple):
    """The sample shop at the end of its history."""

    scorer: Scorer
    replay: Replay
    now_us: int

    def user(self, user_id: str) -> Row:
        return self.replay.user_row(user_id)

    def query(self, user_id: str, segments: Sequence[str] = ()) -> Query:
        return Query(self.user(user_id), self.now_us, segments, self.replay.seen(user_id))

    def allowed(self, *left_out: str) -> np.ndarray:
        allowed = self.scorer.items.in_catalog.copy()
        allowed[[self.scorer.items.index[item_id] for item_id in left_out]] = False
        return allowed

    def ids(self, numbers: np.ndarray) -> list[str]:
        return [self.scorer.items.ids[n] for n in numbers]


@pytest.fixture(scope="session")
def events() -> list[Event]:
    return sample_events()


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return sample_bundle()


@pytest.fixture
def shop(bundle: Bundle, events: list[Event]) -> Shop:
    scorer, replay = new_scorer(bundle, sample_items(), candidates=200), Replay(events)
    now_us = events[-1].time_us + 1
    replay.advance(now_us)
    replay.refresh(scorer.items)
    return Shop(scorer, replay, now_us)
