"""The made-up shop: the same from the same seed, valid line by line, skewed, and with something to learn in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from feature_repo.events import EVENT_TYPES, Event
from flows.dataset import Dataset, DatasetError
from flows.load import prepare
from flows.synthetic import ShopSize, write_shop
from flows.synthetic_shop import DAYS
from models.covisitation import fit_covisitation
from models.dataset import History

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SIZE = ShopSize(users=1_000, items=2_000, events_per_user=20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_shop(tmp_path_factory.mktemp("synthetic") / "shop", SIZE, NOW)


@pytest.fixture(scope="module")
def events(shop: Dataset) -> Sequence[Event]:
    return list(shop.events())


def texts(dataset: Dataset) -> list[bytes]:
    return [path.read_bytes() for path in (dataset.events_file, dataset.items_file, dataset.users_file)]


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path, shop: Dataset) -> None:
    again = write_shop(tmp_path / "again", SIZE, NOW)
    other = write_shop(tmp_path / "other", SIZE, NOW, seed=8)
    assert texts(again) == texts(shop)
    assert all(a != b for a, b in zip(texts(other), texts(shop), strict=True))


def test_every_line_is_valid_and_the_files_agree(shop: Dataset, events: Sequence[Event]) -> None:
    items = {item.item_id: item for item in shop.items()}
    users = {user.user_id: user for user in shop.users()}
    assert (len(items), len(users)) == (SIZE.items, SIZE.users)
    assert all(len(item.categories) == 2 and item.title and item.price for item in items.values())
    assert all(len(user.segments) == 3 for user in users.values())
    assert {event.user_id for event in events} <= set(users)
    assert len({event.event_id for event in events}) == len(events)
    for event in events:
        published = items[event.item_id].published_at
        assert published is not None
        assert published <= event.timestamp + timedelta(seconds=1)
        assert event.value is None or event.event_type in ("purchase", "rate")


def test_events_end_now_in_order_of_time(events: Sequence[Event]) -> None:
    times = [event.time_us for event in events]
    assert times == sorted(times)
    assert abs(events[-1].timestamp - NOW) < timedelta(milliseconds=1)
    assert timedelta(days=DAYS / 2) < NOW - events[0].timestamp <= timedelta(days=DAYS + 1)


def test_acts_come_in_a_shops_shares(events: Sequence[Event]) -> None:
    shares = {kind: count / len(events) for kind, count in Counter(event.event_type for event in events).items()}
    assert set(shares) == set(EVENT_TYPES)
    assert shares["view"] > shares["click"] > shares["add_to_cart"] > shares["purchase"] > shares["rate"] > 0
    assert 0.5 < len(events) / (SIZE.users * SIZE.events_per_user) < 2


def test_items_and_users_are_skewed(events: Sequence[Event]) -> None:
    for ids, least in (([e.item_id for e in events], 0.4), ([e.user_id for e in events], 0.25)):
        counts = np.sort(np.array(list(Counter(ids).values())))[::-1]
        assert counts[: len(counts) // 10].sum() > least * counts.sum()


def test_items_go_on_coming(shop: Dataset) -> None:
    begin = NOW - timedelta(days=DAYS)
    new = [item for item in shop.items() if item.published_at is not None and item.published_at > begin]
    assert 0.1 < len(new) / SIZE.items < 0.3


def test_what_comes_next_can_be_learned(events: Sequence[Event]) -> None:
    at = int(0.85 * len(events))
    model = fit_covisitation(History.of(events[:at]))
    ids = sorted({event.item_id for event in events[:at]})
    number = {item_id: n for n, item_id in enumerate(ids)}
    popular = {number[item_id] for item_id, _ in Counter(event.item_id for event in events[:at]).most_common(10)}
    sessions: defaultdict[str | None, list[int]] = defaultdict(list)
    for event in events[at:]:
        if event.event_type == "view" and event.item_id in number:
            sessions[event.session_id].append(number[event.item_id])
    steps = [(a, b) for walk in sessions.values() for a, b in pairwise(walk) if a != b]
    followed = np.mean([b in model.of(a)[0][:10] for a, b in steps])
    guessed = np.mean([b in popular for _, b in steps])
    assert followed > 0.2
    assert followed > 2 * guessed


def test_a_data_set_may_be_named_by_its_size(tmp_path: Path) -> None:
    first = prepare("synthetic:60x40x5", tmp_path)
    assert first.folder == tmp_path / "synthetic-60x40x5"
    assert len(list(first.items())) == 40
    assert texts(prepare("synthetic:60x40x5", tmp_path)) == texts(first)
    assert abs(list(first.events())[-1].timestamp - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("size", ["60", "60x", "x40", "0x40", "60x40xmany"])
def test_a_size_that_is_none_is_refused_by_name(tmp_path: Path, size: str) -> None:
    with pytest.raises(DatasetError, match=f"synthetic:{size}: give the size as USERSxITEMS"):
        prepare(f"synthetic:{size}", tmp_path)
