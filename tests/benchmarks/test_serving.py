"""What the serving benchmarks compare is comparable: rows, feature values and stages, on the sample shop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sample_shop import sample_bundle, sample_events, sample_items, sample_users

from benchmarks.serving.equal_features import largest_difference
from benchmarks.serving.home import fill
from benchmarks.serving.light_training import sampled
from benchmarks.serving.request_stages import FLOORS, STAGES, Bench
from feature_repo.online import OnlineStore
from feature_repo.schema import VIEWS
from feature_repo.state import States
from feature_repo.store import apply_definitions, open_store
from flows.dataset import Dataset, write_dataset
from infra.settings import Settings
from models.dataset import History


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    events = sample_events()
    shift = datetime.now(UTC) - events[-1].timestamp
    lately = [event.model_copy(update={"timestamp": event.timestamp + shift}) for event in events]
    return write_dataset(tmp_path_factory.mktemp("shop") / "shop", sample_items(), sample_users(), lately)


@pytest.fixture(scope="module")
def bundle_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_bundle().save(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def home(settings: Settings, dataset: Dataset, bundle_dir: Path) -> Settings:
    """Settings of a Redis with the shop's rows, and its bundle."""
    ready = settings.model_copy(update={"bundle_dir": bundle_dir, "answer_cache": 0})
    fill(ready, dataset)
    return ready


def test_all_rows_are_there(home: Settings, dataset: Dataset, redis_client: object) -> None:
    states = States()
    for event in dataset.events():
        states.apply(event)
    store = OnlineStore(redis_client, VIEWS)
    for user, state in states.users.items():
        (row,) = store.read("user_features", [user])
        assert row is not None
        assert (row.features["recent_items"], row.time_us) == (state.recent_items, state.last_us)
    for view, ids in (("item_catalog", [item.item_id for item in dataset.items()]), ("item_features", states.items)):
        assert all(store.read(view, list(ids)))
    assert store.read("segment_favourites", ["likes:music"])[0] is not None


def test_the_peer_ranks_by_the_same_feature_values(home: Settings) -> None:
    from benchmarks.serving.textbook import Recommender

    apply_definitions(open_store(home))
    assert largest_difference(home, ["user-0", "user-1", "nobody"]) < 1e-6
    answer = Recommender(home).recommend("user-0", 10)
    scores = [item["score"] for item in answer]
    assert len({item["item_id"] for item in answer}) == 10
    assert scores == sorted(scores, reverse=True)


def test_the_stages_are_those_of_the_request(home: Settings) -> None:
    async def compared() -> None:
        async with Bench.opened(home) as bench:
            assert await bench.prepare("nobody") is None
            user = await bench.prepare("user-3")
            assert user is not None
            stages, floors = bench.calls(STAGES), bench.calls(FLOORS)
            assert (await bench.read(user)).row == user.visitor.row
            assert all(value is not None for value in bench.bare_read(user)[:5])
            for name in ("encode the user", "request features"):
                ours, bare = np.asarray(stages[name](user)), np.asarray(floors[f"{name}, bare"](user))
                np.testing.assert_array_equal(ours[..., : bare.shape[-1]], bare)
            found, without_mask = bench.retrieve(user)[0], bench.bare_retrieve(user)[0]
            np.testing.assert_array_equal(found, without_mask[user.mask[without_mask]])
            np.testing.assert_array_equal(bench.fuse(user).items, user.pool.items)
            np.testing.assert_array_equal(bench.bare_fuse(user), user.pool.fusion)
            ranked = bench.scorer.recommend(user.query, 10, user.mask)
            np.testing.assert_array_equal(user.pool.items[bench.rank(user)], ranked.items)
            assert b'"fallback":null' in await bench.whole(user)

    asyncio.run(compared())


def test_a_sample_of_users_keeps_the_items_numbers(dataset: Dataset) -> None:
    history = History.of(dataset.events())
    some = sampled(history, 10, seed=1)
    assert some.item_ids == history.item_ids
    assert len(some.user_ids) == 10
    for n, user_id in enumerate(some.user_ids):
        part, whole = some.user == n, history.user == history.user_ids.index(user_id)
        assert some.start[n + 1] - some.start[n] == part.sum()
        np.testing.assert_array_equal(some.item[part], history.item[whole])
        np.testing.assert_array_equal(some.time_us[part], history.time_us[whole])
