"""Outcomes in a real PostgreSQL."""

from __future__ import annotations

import time

import numpy as np
import pytest

from feature_repo.erasures import DATAFLOW, Erasures
from infra.settings import Settings
from models.outcome_store import Outcome, OutcomeStore
from models.sequential import moments_of

NOW_US = time.time_ns() // 1_000
DAY_US = 86_400_000_000


METRICS = {
    "ctr": lambda each: each.clicks > 0,
    "conversion": lambda each: each.conversions > 0,
    "ndcg": lambda each: each.ndcg,
}


def outcome(number: int, user: str = "ann", clicks: int = 0, **fields: object) -> Outcome:
    labels = {f"i{n}": 1 for n in range(clicks)}
    made = Outcome(
        f"r{number}", "", user, NOW_US, "m", "1", "champion", {"e": "a"}, 10, clicks, 0, clicks / 4, labels, False
    )
    return made._replace(**fields)


@pytest.fixture
def store(settings: Settings) -> OutcomeStore:
    return OutcomeStore(settings.database_url)


def test_a_row_is_overwritten_until_it_is_final(store: OutcomeStore) -> None:
    store.write([])
    store.write([outcome(1), outcome(1, clicks=1)])
    assert store.labels(NOW_US, NOW_US + 1) == {}, "not as long as the window is open"
    store.write([outcome(1, clicks=2, final=True)])
    store.write([outcome(1, clicks=1)])
    assert store.labels(NOW_US, NOW_US + 1) == {"r1": {"i0": 1, "i1": 1}}
    assert store.labels(NOW_US + 1, NOW_US + 2) == {}


def test_moments_are_sums_over_users_by_experiment_and_variant(store: OutcomeStore) -> None:
    lists = [outcome(n, f"u{n % 3}", clicks=n % 2) for n in range(10)]
    lists += [outcome(10, "u9", 1, experiments={"e": "b", "f": "x"}, conversions=1), outcome(11, experiments={})]
    lists += [outcome(0, "u0", 2, shadow="e:dark", experiments={})]
    store.write(lists)
    found = store.moments()
    assert set(found) == {("e", "a"), ("e", "b"), ("e", "dark"), ("f", "x")}
    by_user = np.array([4, 3, 3]), np.array([2, 2, 1])
    assert found["e", "a"]["ctr"] == moments_of(*by_user, by_user[1])
    assert found["e", "a"]["ndcg"] == moments_of(by_user[0], by_user[1] / 4, by_user[1] / 16)
    assert found["e", "b"]["conversion"].total == 1
    assert found["e", "dark"]["ndcg"].total == 0.5


def test_counts_follow_every_write(store: OutcomeStore) -> None:
    random = np.random.default_rng(0)
    last: dict[tuple[int, str], Outcome] = {}
    for _ in range(20):
        batch = {}
        for number in random.integers(12, size=4).tolist():
            clicks, final = int(random.integers(3)), bool(random.random() < 0.2)
            shadow = "e:dark" if random.random() < 0.3 else ""
            each = outcome(number, f"u{number % 3}", clicks, conversions=clicks // 2, final=final, shadow=shadow)
            batch[number, shadow] = each
        store.write(list(batch.values()))
        last |= {key: each for key, each in batch.items() if each.final or key not in last or not last[key].final}
    store.erase("u1", NOW_US + 1)
    found = store.moments()
    for variant, shadow in (("a", ""), ("dark", "e:dark")):
        by_user = [[e for e in last.values() if (e.user_key, e.shadow) == (user, shadow)] for user in ("u0", "u2")]
        lists = [len(some) for some in by_user]
        for metric, value in METRICS.items():
            totals = [sum(value(each) for each in some) for some in by_user]
            squares = [sum(value(each) ** 2 for each in some) for some in by_user]
            expected = moments_of(lists, totals, squares)
            assert list(found["e", variant][metric]) == pytest.approx([float(each) for each in expected])


def test_an_erased_user_leaves_and_does_not_come_back(store: OutcomeStore, settings: Settings) -> None:
    store.write([outcome(1, "ann", 1), outcome(2, "bob", 1)])
    assert store.erase("ann", NOW_US + 1) == 1
    assert store.erase("ann", NOW_US + 1) == 0
    assert store.moments()["e", "a"]["ctr"].users == 1
    receipts = Erasures(settings.database_url)
    wish = receipts.request("ann-id")
    key = receipts.erased_since(wish.requested_at)
    (ann,) = key
    receipts.done(wish.erasure_id, DATAFLOW, time.time_ns() // 1_000)
    store.write([outcome(3, ann), outcome(4, ann, time_us=time.time_ns() // 1_000 + 1_000_000)])
    assert store.moments()["e", "a"]["ctr"].lists == 2, "bob's, and the one of after the erasure"


def test_what_is_old_goes(store: OutcomeStore) -> None:
    store.write([outcome(1, time_us=NOW_US - DAY_US), outcome(2)])
    assert store.drop_before(NOW_US) == 1
    assert store.drop_before(NOW_US) == 0
    assert store.moments()["e", "a"]["ctr"].lists == 1


def test_results_are_kept_by_variant(store: OutcomeStore) -> None:
    assert store.results() == []
    store.put_results({("e", "b"): {"ctr": 1}, ("e", "a"): {"ctr": 0}})
    store.put_results({("e", "b"): {"ctr": 0.5}})
    assert store.results() == [
        {"experiment": "e", "variant": "a", "result": {"ctr": 0}},
        {"experiment": "e", "variant": "b", "result": {"ctr": 0.5}},
    ]


def test_rates_over_time_by_model(store: OutcomeStore) -> None:
    hour, start = 3_600_000_000, NOW_US // 3_600_000_000 * 3_600_000_000
    old, new = start - hour, start
    store.write(
        [outcome(1, time_us=old), outcome(2, clicks=1, time_us=old), outcome(3, time_us=new, model_version="n")]
    )
    store.write([outcome(4, shadow="e:s", time_us=new)])
    assert store.rates(old, hour) == [(old, "m", 2, 1), (new, "n", 1, 0)]
