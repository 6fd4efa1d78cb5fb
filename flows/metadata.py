"""Catalogue and profiles in PostgreSQL: what items and users are, beside what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from feature_repo.events import Item, UserProfile
from infra.database import Database

TABLES = """
CREATE TABLE IF NOT EXISTS items (
    item_id text PRIMARY KEY,
    title text NOT NULL,
    categories jsonb NOT NULL,
    published_at timestamptz,
    price double precision
);
ALTER TABLE items ADD COLUMN IF NOT EXISTS logged_us bigint NOT NULL DEFAULT 0;
ALTER TABLE items ADD COLUMN IF NOT EXISTS in_stock boolean NOT NULL DEFAULT true;
ALTER TABLE items ADD COLUMN IF NOT EXISTS expires_at timestamptz;
CREATE TABLE IF NOT EXISTS users (
    user_id text PRIMARY KEY,
    segments jsonb NOT NULL
);
ALTER TABLE users ADD COLUMN IF NOT EXISTS logged_us bigint NOT NULL DEFAULT 0;
"""

UPSERT_ITEM = """
INSERT INTO items (item_id, title, categories, published_at, price, in_stock, expires_at, logged_us)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (item_id) DO UPDATE SET title = excluded.title, categories = excluded.categories,
    published_at = excluded.published_at, price = excluded.price, in_stock = excluded.in_stock,
    expires_at = excluded.expires_at, logged_us = excluded.logged_us
"""

UPSERT_USER = """
INSERT INTO users (user_id, segments, logged_us) VALUES (%s, %s, %s)
ON CONFLICT (user_id) DO UPDATE SET segments = excluded.segments, logged_us = excluded.logged_us
"""


class MetadataStore:
    """Items and users of one database; the tables are created when they are absent.

    Errors are psycopg's: OperationalError while the server is away.

    Args:
        database_url: postgresql://user@host:port/database.
    """

    def __init__(self, database_url: str) -> None:
        self._database = Database(database_url, TABLES)

    def upsert_items(self, items: Sequence[Item], logged_us: Sequence[int] = ()) -> None:
        """Write items in one transaction; the last of an id wins.

        Args:
            items: catalogue entries.
            logged_us: when each entered the log, microseconds since the epoch; empty: unknown.
        """
        times = logged_us or [0] * len(items)
        self._write(
            UPSERT_ITEM,
            [
                (i.item_id, i.title, _json(i.categories), i.published_at, i.price, i.in_stock, i.expires_at, at)
                for i, at in zip(items, times, strict=True)
            ],
        )

    def upsert_users(self, users: Sequence[UserProfile], logged_us: Sequence[int] = ()) -> None:
        """Write profiles in one transaction, as ``upsert_items`` does."""
        times = logged_us or [0] * len(users)
        self._write(UPSERT_USER, [(u.user_id, _json(u.segments), at) for u, at in zip(users, times, strict=True)])

    def delete_users(self, user_ids: Sequence[str]) -> None:
        """Delete profiles in one transaction; an unknown id is no error."""
        self._write("DELETE FROM users WHERE user_id = %s", [(user_id,) for user_id in user_ids])

    def delete_older_user(self, user_id: str, before_us: int) -> bool:
        """Delete a profile that entered the log before a time (microseconds since the epoch); returns whether so."""
        query = "DELETE FROM users WHERE user_id = %s AND logged_us < %s"
        with self._database.connected() as connection:
            return connection.execute(query, (user_id, before_us)).rowcount > 0

    def items(self) -> list[Item]:
        """The catalogue, by id."""
        return [item for item, _ in self.logged_items()]

    def users(self) -> list[UserProfile]:
        """The profiles, by id."""
        return [user for user, _ in self.logged_users()]

    def logged_items(self) -> list[tuple[Item, int]]:
        """The catalogue, and when each entry entered the log, in microseconds since the epoch (0: unknown)."""
        rows = self._read(
            "SELECT item_id, title, categories, published_at, price, in_stock, expires_at, logged_us"
            " FROM items ORDER BY item_id"
        )
        return [(_item(row), row[-1]) for row in rows]

    def logged_users(self) -> list[tuple[UserProfile, int]]:
        """The profiles, and when each entered the log."""
        rows = self._read("SELECT user_id, segments, logged_us FROM users ORDER BY user_id")
        return [(UserProfile(user_id=row[0], segments=tuple(row[1])), row[2]) for row in rows]

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._database.close()

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            with self._database.connected() as connection, connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(statement, rows)

    def _read(self, query: str) -> list[tuple[Any, ...]]:
        with self._database.connected() as connection:
            return connection.execute(query).fetchall()


def _item(row: tuple[Any, ...]) -> Item:
    item_id, title, categories, published_at, price, in_stock, expires_at, _ = row
    return Item(
        item_id=item_id,
        title=title,
        categories=tuple(categories),
        published_at=published_at,
        price=price,
        in_stock=in_stock,
        expires_at=expires_at,
    )


def _json(labels: Sequence[str]) -> str:
    return orjson.dumps(labels).decode()
