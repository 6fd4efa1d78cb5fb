"""Where each view's rows come from: Parquet written by the backfill, and pushes while the stream runs."""

from datetime import timedelta
from pathlib import Path

import yaml
from feast import Field, FileSource, PushSource
from feast.data_source import DataSource
from feast.types import Array, FeastType, Float32, Int64, String
from feast.utils import get_default_yaml_file_path

from feature_repo.entities import ENTITIES
from feature_repo.schema import TIMESTAMP, View
from feature_repo.state import Dtype
from infra.settings import load_settings

FEAST_TYPES: dict[Dtype, FeastType] = {
    "string": String,
    "int64": Int64,
    "float32": Float32,
    "strings": Array(String),
    "int64s": Array(Int64),
    "float32s": Array(Float32),
}
_settings = load_settings()
_offline_store = yaml.safe_load(get_default_yaml_file_path(Path(__file__).parent).read_text())["offline_store"]["type"]


def batch_source(view: View) -> DataSource:
    """The view's rows at rest, as the offline store of the feature_store.yaml in use reads them."""
    name, path = f"{view.name}_rows", str(_settings.offline_dir / f"{view.name}.parquet")
    if _offline_store == "postgres":
        from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource

        return PostgreSQLSource(name=name, table=view.name, timestamp_field=TIMESTAMP)
    if _offline_store == "spark":
        from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource

        return SparkSource(name=name, path=path, file_format="parquet", timestamp_field=TIMESTAMP)
    return FileSource(name=name, path=path, timestamp_field=TIMESTAMP)


def ttl(view: View) -> timedelta | None:
    """How old a row may be that a point-in-time join finds. On reads online it is enforced in ``online.py``."""
    return timedelta(seconds=_settings.feature_ttl_s) if view.expires else None


def push_source(view: View) -> PushSource:
    """The view's rows as they happen, for ``store.push``; rests in the batch source."""
    return PushSource(name=f"{view.name}_push", batch_source=batch_source(view))


def schema(view: View) -> list[Field]:
    """The view's fields, and its join key, as Feast knows them."""
    fields = [Field(name=n, dtype=FEAST_TYPES[d], description=view.descriptions[n]) for n, d in view.fields.items()]
    return [Field(name=ENTITIES[view.entity].join_key, dtype=String), *fields]
