"""The town of the lifecycle demo: who likes what, before and after tastes change; and its picture."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lifecycle.picture import Mark, draw
from benchmarks.lifecycle.shoppers import Visit
from benchmarks.lifecycle.world import LIKED, OTHER, OUT_OF_SEASON, STYLES, Town, history, item_id

FIRST, SECOND, PEOPLE = 240, 120, 40


@pytest.fixture
def town() -> Town:
    return Town.founded(PEOPLE, FIRST, SECOND, np.random.default_rng(3))


def test_a_liked_style_is_clicked_most_and_no_style_stands_in_the_catalogue(town: Town) -> None:
    liked = np.flatnonzero(town.style == town.liked[0])
    others = np.flatnonzero(~np.isin(town.style, [town.liked[0], town.somewhat[0]]))
    assert set(town.chances(0, liked, 0)) == {LIKED}
    assert set(town.chances(0, others, 0)) == {OTHER}


def test_in_the_second_season_half_of_the_people_change_their_style_and_old_items_lose(town: Town) -> None:
    for user, moved in ((0, 0), (1, 1)):
        style = (town.liked[user] + moved) % STYLES
        wanted = np.flatnonzero(town.style == style)
        chances = town.chances(user, wanted, 1)
        old = wanted < FIRST
        assert chances[old] == pytest.approx(LIKED * OUT_OF_SEASON)
        assert chances[~old] == pytest.approx(LIKED)


def test_history_knows_the_first_collection_only_and_ends_now(town: Town) -> None:
    now = datetime.now(UTC)
    events = list(history(town, 500, now, np.random.default_rng(1)))
    assert events[-1].timestamp == now
    assert events == sorted(events, key=lambda event: event.timestamp)
    assert {event.item_id for event in events} <= {item_id(number) for number in range(FIRST)}


def test_the_picture_shows_every_model(town: Town, tmp_path: Path) -> None:
    visits = [Visit(float(n), 200, 5.0, "new" if n > 60 else "old", None, None, n % 3) for n in range(120)]
    path = draw(visits, [Mark(60.0, "a new model")], {"old": "the old one", "new": "the new one"}, tmp_path / "a.png")
    assert path.stat().st_size > 10_000
