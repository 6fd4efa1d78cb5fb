"""The short version of ``make bench-serving-faults``: what is behind the recommender fails, users keep their lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from sample_shop import sample_bundle, sample_events, sample_items, sample_users

from benchmarks.serving.faults import Outcome, suffer
from benchmarks.serving.home import fill, renew
from benchmarks.serving.hurt import FAULTS, Place, place_on
from flows.dataset import write_dataset
from infra.settings import any_ports, load_settings
from infra.stack import Stack

USERS = 60
RATE = 20
LENGTHS = 1.0, 1.0, 1.5, 1.5
"""Seconds before, unseen and then seen, during and after each fault."""

WITHOUT_ROWS = ("Redis killed", "Redis paused", "Redis 500 ms late")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The sample shop behind a recommender whose answers are never given twice."""
    folder = tmp_path_factory.mktemp("hurt")
    bundle_dir = sample_bundle().save(folder / "bundle")
    dataset = write_dataset(folder / "shop", sample_items(), sample_users(USERS), sample_events(USERS))
    with Stack(load_settings(home=folder / "servers", **any_ports()), ("kafka", "redis")) as servers:
        fill(servers.settings, dataset)
        renew(servers.settings, dataset)
        with place_on(servers, bundle_dir, folder, answer_cache=0) as place:
            for user in range(USERS):  # whom it has never seen it cannot remember
                url = place.recommender.settings.service_url("recommender")
                httpx.get(f"{url}/recommend", params={"user_id": f"user-{user}"}, trust_env=False).raise_for_status()
            yield place


@pytest.fixture(scope="module")
def hurt(place: Place) -> Callable[[str], Outcome]:
    """What 60 users see of a fault."""
    return lambda name: suffer(place, FAULTS[name], [f"user-{n}" for n in range(USERS)], RATE, LENGTHS)


@pytest.mark.parametrize("name", WITHOUT_ROWS)
def test_without_rows_answers_are_made_of_what_is_remembered_and_soon_personal_again(name: str, hurt: Any) -> None:
    outcome: Outcome = hurt(name)
    assert outcome.failures == 0
    assert outcome.fallbacks["last_known"] > outcome.fallbacks["popular"]
    assert set(outcome.fallbacks) <= {"personal", "last_known", "popular", "profile", "segment", "429"}
    last = [fallback for _, _, _, fallback in outcome.after[-5:]]
    assert last == [None] * 5


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in (*WITHOUT_ROWS, "nothing")])
def test_what_no_answer_needs_is_not_missed(name: str, hurt: Any) -> None:
    outcome: Outcome = hurt(name)
    assert outcome.failures == 0
    assert outcome.fallbacks["personal"] > 0.8 * len(outcome.during)
