"""Catalogue and profiles in a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest

from feature_repo.events import Item, UserProfile
from flows.metadata import MetadataStore
from infra.settings import Settings


@pytest.fixture
def store(settings: Settings) -> MetadataStore:
    return MetadataStore(settings.database_url)


def test_items_come_back_as_they_were(store: MetadataStore) -> None:
    full = Item(
        item_id="b",
        title='Ça ira "1789"',
        categories=("Drama", "Children's"),
        published_at=datetime(1995, 1, 1, tzinfo=UTC),
        price=9.5,
        in_stock=False,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    bare = Item.model_validate({"item_id": "a"})
    store.upsert_items([full, bare])
    assert store.items() == [bare, full]


def test_the_last_write_wins(store: MetadataStore) -> None:
    store.upsert_users([UserProfile(user_id="u", segments=("age:18-24",)), UserProfile(user_id="u", segments=("x",))])
    assert store.users() == [UserProfile(user_id="u", segments=("x",))]
    store.upsert_users([UserProfile(user_id="u")])
    assert store.users() == [UserProfile(user_id="u")]


def test_writing_nothing_is_nothing(store: MetadataStore) -> None:
    store.upsert_items([])
    assert store.items() == []


def test_deleted_users_are_gone_and_unknown_ones_are_no_error(store: MetadataStore) -> None:
    store.upsert_users([UserProfile(user_id="u"), UserProfile(user_id="v")])
    store.delete_users(["u", "nobody"])
    assert store.users() == [UserProfile(user_id="v")]


def test_only_a_profile_from_before_is_deleted(store: MetadataStore) -> None:
    store.upsert_users([UserProfile(user_id="u"), UserProfile(user_id="v")], [10, 20])
    assert store.delete_older_user("u", 15) and not store.delete_older_user("u", 15)
    assert not store.delete_older_user("v", 15)
    assert store.users() == [UserProfile(user_id="v")]


def test_a_broken_connection_is_replaced(store: MetadataStore, settings: Settings) -> None:
    store.upsert_users([UserProfile(user_id="u")])
    with psycopg.connect(settings.database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    assert store.users() == [UserProfile(user_id="u")]


def test_two_that_start_at_once_create_the_tables_once(settings: Settings) -> None:
    stores = [MetadataStore(settings.database_url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda store: store.items(), stores)) == [[]] * 8
