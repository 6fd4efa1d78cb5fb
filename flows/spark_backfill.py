"""The backfill on Spark: ``python -m flows.spark_backfill [--master URL]``, or the same file with spark-submit.

The same states take the same events: ``apply`` runs inside ``applyInPandas``, a user's or an item's history at a time,
so it holds one entity's events in memory and no more. The files are those of ``flows.backfill``, row for row, in the
same order. Only this module imports pyspark (``pip install freshet[spark]``, and a Java of 17 or more).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlparse

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sql

from feature_repo import schema
from feature_repo.events import Event, Item, UserProfile
from feature_repo.schema import TIMESTAMP, View
from feature_repo.state import CountedState, Dtype, ItemState, Row, UserState
from flows.event_columns import EMPTY, SCHEMA, distinct, events_of
from flows.event_segments import read_segment
from flows.history_rows import NO_LIKING, SegmentFavourites, moments, standing_rows
from flows.metadata import MetadataStore
from flows.offline import Erased, ViewWriter, nobody, write_view
from infra.settings import Settings, SettingsError, load_settings

NEEDED = ("event_id", "user_id", "item_id", "event_type", "time_us", "value")
"""Columns of an event that features are made of; only these travel between processes."""

NAME = ("time_us", "event_id", "user_id")
"""What names an event, and the order of history."""

ORDER = ("_time_us", "_event_id", "_user_id")
"""Columns beside a row: the event whose place in history is the row's place in its file."""

TYPES: dict[Dtype, str] = {
    "string": "string",
    "int64": "bigint",
    "float32": "float",
    "strings": "array<string>",
    "int64s": "array<bigint>",
    "float32s": "array<float>",
}

Placed = Iterator[tuple[Event, int, Row]]
"""Rows of one entity: the event whose place they take, their time, their features."""


def session(master: str | None = None, options: Mapping[str, str] | None = None) -> SparkSession:
    """A Spark session.

    Args:
        master: as Spark names it; None: the one that spark-submit was told, else all cores of this machine.
        options: of Spark, by name; they win.
    """
    if master is None and "PYSPARK_GATEWAY_PORT" not in os.environ:  # which spark-submit sets
        master = "local[*]"
    builder = SparkSession.builder.appName("freshet-backfill").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.session.timeZone", "UTC")
    if master is not None:
        builder = builder.master(master)
    if master is not None and master.startswith("local"):  # all of it is this machine's business
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.sql.shuffle.partitions", 2 * (os.cpu_count() or 1))
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = builder.config(map=dict(options or {}))
    spark: SparkSession = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def rewrite(spark: SparkSession, settings: Settings) -> dict[str, int]:
    """Every view's file anew from the event store and the metadata; returns rows by view."""
    from flows.backfill import erased_from_now_on  # imports Prefect, which no worker needs

    erased, metadata = erased_from_now_on(settings), MetadataStore(settings.database_url)
    events = stored_events(spark, settings.event_store_url)
    return write_history(spark, settings.offline_dir, events, metadata.items(), metadata.users(), erased=erased)


def stored_events(spark: SparkSession, url: str) -> DataFrame:
    """The events of a Parquet event store; its folder must be reachable for every worker.

    Raises:
        SettingsError: the store is another.
    """
    parts = urlparse(url)
    if parts.scheme != "file":
        raise SettingsError(f"EVENT_STORE_URL: Spark reads file:///folder (Parquet), not {parts.scheme}://")
    root = Path(unquote(parts.path))
    # Living writers' files first, as every reader does: what is sealed meanwhile is seen twice, not never.
    fresh = pa.concat_tables([EMPTY, *map(read_segment, sorted((root / "open").glob("*.jsonl")))])
    events = spark.createDataFrame(fresh.select(NEEDED))
    if sealed := [str(path) for path in sorted(root.glob("day=*/part-*.parquet"))]:
        events = events.unionByName(spark.read.parquet(*sealed).select(*NEEDED))
    return events


def write_history(
    spark: SparkSession,
    folder: Path,
    events: DataFrame,
    items: Sequence[Item],
    users: Sequence[UserProfile],
    *,
    erased: Erased = nobody,
) -> dict[str, int]:
    """What ``flows.backfill.write_history`` writes.

    Args:
        folder: the offline store's; workers must reach it too.
        events: with the columns of NEEDED, in any order; repeats count once.
        items, users, erased: as there.

    Returns:
        Number of rows by view name.
    """
    once = events.dropDuplicates([*NAME]).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts = {
            view.name: _write_streamed(folder, view, once, rows, erased if view.entity == "user_id" else nobody)
            for view, rows in STREAMED
        }
        first = {entity: _first_us(once, entity) for entity in ("user_id", "item_id")}
        start_us = min(first["item_id"].values(), default=0)
        catalog = standing_rows(((item.item_id, item) for item in items), first["item_id"], start_us)
        counts[schema.ITEM_CATALOG.name] = write_view(folder, schema.ITEM_CATALOG, catalog)
        profiles = standing_rows(((user.user_id, user) for user in users), first["user_id"], start_us)
        counts[schema.USER_PROFILE.name] = write_view(folder, schema.USER_PROFILE, profiles, erased)
        favourites = _favourites(spark, once, users)
        counts[schema.SEGMENT_FAVOURITES.name] = write_view(folder, schema.SEGMENT_FAVOURITES, favourites)
        return counts
    finally:
        once.unpersist()


def _write_streamed(
    folder: Path, view: View, events: DataFrame, rows: Callable[[list[Event]], Placed], erased: Erased
) -> int:
    fields = [f"{name} {TYPES[dtype]}" for name, dtype in view.fields.items()]
    columns = [f"{view.entity} string", f"{TIMESTAMP} bigint", *fields]
    places = [f"{ORDER[0]} bigint", f"{ORDER[1]} string", f"{ORDER[2]} string"]
    made = events.groupBy(view.entity).applyInPandas(_history(view, rows), ", ".join([*columns, *places]))
    made.persist(StorageLevel.DISK_ONLY)  # a sort looks at its rows twice, and they are dear to make
    with ViewWriter(folder, view, erased) as writer, TemporaryDirectory(dir=folder) as aside:
        made.sort(*ORDER).drop(*ORDER).write.parquet(f"{aside}/rows")
        made.unpersist()
        for part in sorted(Path(aside).glob("rows/part-*.parquet")):
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches():
                    writer.add_table(pa.Table.from_batches([batch]))
    return writer.rows


def _history(view: View, rows: Callable[[list[Event]], Placed]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """What makes one entity's rows of its events, for ``applyInPandas``."""
    names = [*view.fields]

    def history(found: pd.DataFrame) -> pd.DataFrame:
        entity_id = found[view.entity].iat[0]
        made = [
            (entity_id, time_us, *(row[name] for name in names), place.time_us, place.event_id, place.user_id)
            for place, time_us, row in rows(_events(found))
        ]
        return pd.DataFrame(made, columns=[view.entity, TIMESTAMP, *names, *ORDER])

    return history


def _events(found: pd.DataFrame) -> list[Event]:
    """Rows of Spark as events, in the order of history."""
    whole = found.assign(**dict.fromkeys(set(SCHEMA.names) - set(NEEDED)))
    return list(events_of(distinct(pa.Table.from_pandas(whole, SCHEMA, preserve_index=False))))


def _point_in_time(state: CountedState, events: list[Event]) -> Placed:
    for time_us, group in moments(events):
        for event in group:
            state.apply(event)
        yield group[0], time_us, state.row()


def _user_rows(events: list[Event]) -> Placed:
    return _point_in_time(UserState(), events)


def _item_rows(events: list[Event]) -> Placed:
    return _point_in_time(ItemState(), events)


def _seen_rows(events: list[Event]) -> Placed:
    state = UserState()
    for event in events:
        state.apply(event)
    yield events[0], state.last_us, state.seen_row()


STREAMED = ((schema.USER_FEATURES, _user_rows), (schema.ITEM_FEATURES, _item_rows), (schema.USER_SEEN, _seen_rows))


def _first_us(events: DataFrame, entity: str) -> dict[str, int]:
    found = events.groupBy(entity).agg(sql.min("time_us")).collect()
    return dict(map(tuple, found))


def _favourites(spark: SparkSession, events: DataFrame, users: Sequence[UserProfile]) -> Iterator[tuple[str, int, Row]]:
    liked = events.where(sql.col("event_type") != NO_LIKING)
    ((start_us, last_us),) = liked.agg(sql.min("time_us"), sql.max("time_us")).collect()
    last_profiles = {user.user_id: user.segments for user in users}
    members = [
        (user_id, segment, times)
        for user_id, segments in last_profiles.items()
        for segment, times in Counter(segments).items()
    ]
    if start_us is None or not members:
        return

    def favourites(found: pd.DataFrame) -> pd.DataFrame:
        segment = found["segment"].iat[0]
        times = dict(zip(found["user_id"], found["times"], strict=True))
        profiles = [UserProfile(user_id=user, segments=(segment,) * count) for user, count in times.items()]
        counted = SegmentFavourites(profiles, start_us)
        for event in _events(found):
            counted.add(event)
        return pd.DataFrame([(name, row["items"], row["scores"]) for name, _, row in counted.rows()])

    belonging = spark.createDataFrame(members, "user_id string, segment string, times bigint")
    made = liked.join(sql.broadcast(belonging), "user_id").groupBy("segment")
    rows = made.applyInPandas(favourites, "segment string, items array<string>, scores array<double>").collect()
    for segment, items, scores in sorted(rows):
        yield segment, last_us, {"items": items, "scores": scores}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--master", help="Spark's master URL; all cores of this machine without spark-submit")
    with session(parser.parse_args().master) as running:
        print(rewrite(running, load_settings()))
