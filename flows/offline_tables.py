"""The offline store as tables of PostgreSQL, for feature_store.postgres.yaml: ``python -m flows.offline_tables``.

Run it after a backfill. Each table is replaced whole: whoever was erased from the files is in the tables until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow.parquet as pq
from psycopg import sql

from feature_repo.schema import TIMESTAMP, VIEWS, View
from feature_repo.state import Dtype
from feature_repo.store import open_store
from infra.settings import Settings, SettingsError, load_settings

TYPES: dict[Dtype, str] = {
    "string": "text",
    "int64": "bigint",
    "float32": "real",
    "strings": "text[]",
    "int64s": "bigint[]",
    "float32s": "real[]",
}


def publish(settings: Settings) -> dict[str, int]:
    """Every view's file as a table of its name, where Feast's configuration says. Returns rows by view.

    Raises:
        SettingsError: Feast's offline store is another.
    """
    config: Any = open_store(settings).config.offline_store
    if config.type != "postgres":
        raise SettingsError(
            f"Feast's offline store is {config.type}; set FEAST_FS_YAML_FILE_PATH to feature_store.postgres.yaml"
        )
    rows: dict[str, int] = {}
    with _connected(config) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(config.db_schema)))
        for view in VIEWS:
            path = settings.offline_dir / f"{view.name}.parquet"
            if path.exists():
                with pq.ParquetFile(path) as file:
                    rows[view.name] = _replace(connection, view, file)
    return rows


def _connected(config: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=config.host,
        port=config.port,
        dbname=config.database,
        user=config.user,
        password=config.password,
        sslmode=config.sslmode,
        options=f"-c search_path={config.db_schema}",
    )


def _replace(connection: psycopg.Connection[Any], view: View, file: pq.ParquetFile) -> int:
    types = {view.entity: "text", TIMESTAMP: "timestamptz", **{name: TYPES[d] for name, d in view.fields.items()}}
    columns = sql.SQL(", ").join(sql.SQL("{} " + kind).format(sql.Identifier(name)) for name, kind in types.items())
    table = sql.Identifier(view.name)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, columns))
    names = sql.SQL(", ").join(map(sql.Identifier, types))
    count = 0
    with connection.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)) as copy:
        for row in _rows(file, [*types]):
            copy.write_row(row)
            count += 1
    keys = sql.SQL(", ").join(map(sql.Identifier, (view.entity, TIMESTAMP)))
    connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(table, keys))
    return count


def _rows(file: pq.ParquetFile, names: list[str]) -> Iterator[tuple[Any, ...]]:
    for batch in file.iter_batches(10_000, columns=names):
        yield from zip(*(batch[name].to_pylist() for name in names), strict=True)


if __name__ == "__main__":
    print(publish(load_settings()))
