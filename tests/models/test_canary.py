"""The canary requests of the sample shop, and what a sound and a broken bundle say to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_shop import CATEGORIES, sample_events, sample_items, sample_users

from models.bundle import Bundle
from models.canary import USERS, WITHIN, Asked, K, answers, canary_set, median_ms, ready
from models.replay import Replay
from models.training import Plan, make_plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    events = [event for event in sample_events() if event.user_id != "user-3" or event.event_id == "3-0"]
    return make_plan(events, sample_items(), sample_users())


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay(event for event in sample_events() if event.user_id != "user-3" or event.event_id == "3-0")


@pytest.fixture(scope="module")
def requests(plan: Plan, replay: Replay) -> list[Asked]:
    return canary_set(plan, replay)


def test_the_set_is_fixed_and_holds_all_kinds_of_users(plan: Plan, requests: list[Asked]) -> None:
    again = canary_set(plan, Replay(e for e in sample_events() if e.user_id != "user-3" or e.event_id == "3-0"))
    assert again == requests
    assert len(requests) == 1 + len(CATEGORIES) + USERS + min(WITHIN, len(CATEGORIES))
    assert requests[0].query.user["event_count"] == 0
    assert [asked.query.segments for asked in requests[:4]] == [(), *((f"likes:{name}",) for name in CATEGORIES)]
    counts = [asked.query.user["event_count"] for asked in requests if asked.personal and asked.category is None]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 12)
    assert {asked.query.now_us for asked in requests} == {plan.split.end_us}


def test_a_sound_bundle_answers_all(bundle: Bundle, plan: Plan, replay: Replay, requests: list[Asked]) -> None:
    found = answers(ready(bundle, plan, replay, 200), requests)
    assert [len(answer.items) for answer in found] == [min(K, answer.possible) for answer in found]
    assert all(np.isfinite(answer.scores).all() for answer in found)
    assert [answer.scored for answer in found[:2]] == [False, True]  # nothing is known of the first
    for answer in found:
        assert not set(answer.items) & set(answer.asked.query.seen)
        if answer.asked.category:
            assert all(item.startswith(answer.asked.category) for item in answer.items)


def test_what_a_broken_bundle_says_shows(bundle: Bundle, plan: Plan, replay: Replay, requests: list[Asked]) -> None:
    fusion = replace(bundle.fusion, weights=bundle.fusion.weights * np.nan)
    found = answers(ready(replace(bundle, fusion=fusion), plan, replay, 200), requests)
    assert all(np.isnan(answer.scores).all() for answer in found if answer.scored)


def test_the_time_of_every_scorer_is_taken(bundle: Bundle, plan: Plan, replay: Replay, requests: list[Asked]) -> None:
    scorer = ready(bundle, plan, replay, 200)
    times = median_ms({"one": scorer, "other": scorer}, requests, rounds=1)
    assert set(times) == {"one", "other"}
    assert min(times.values()) > 0
