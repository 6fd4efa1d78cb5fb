"""The backfill on Spark gives the single process's files, row for row: Spark itself, in local mode."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from feature_repo import schema
from feature_repo.events import EVENT_TYPES, Event, Item, UserProfile, pseudonym
from flows import backfill, spark_backfill
from flows.parquet_events import ParquetEvents
from infra.settings import SettingsError

pytestmark = pytest.mark.timeout(900)  # Java starts slowly on a busy machine

START = 1_700_000_000
USERS = [UserProfile(user_id=f"u{n}", segments=(f"age:{n % 3}", "all")) for n in range(25)]
ITEMS = [Item(item_id=f"i{n}", title=f"Ü {n}", categories=["c"], price=n) for n in range(40)]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    assert shutil.which("java"), "Spark needs Java 17: `make tools`"
    # Little data: what Spark and Java do to make much data fast would take most of the time.
    options = {"spark.sql.shuffle.partitions": "2", "spark.sql.adaptive.enabled": "false"}
    options |= {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        with spark_backfill.session("local[2]", options) as session:
            yield session


@pytest.fixture(scope="module")
def shop() -> list[Event]:
    """Acts over three days, many at one moment; order of arrival is not that of time."""
    random = Random(5)
    events = [
        Event(
            user_id=f"u{random.randrange(30)}",
            item_id=f"i{random.randrange(40)}",
            event_type=random.choice(EVENT_TYPES),
            timestamp=START + random.randrange(3 * 86_400 // 600) * 600 + random.choice((0, 0, 0.000001)),
            value=random.choice((None, 0.1, 4.5)),
            event_id=f"e{random.randrange(10**6):06d}",
            properties=random.choice((None, {"page": "ä"})),
        )
        for _ in range(1_200)
    ]
    return [*events, *random.sample(events, 100)]


@pytest.fixture
def store(tmp_path: Path, shop: list[Event]) -> Iterator[ParquetEvents]:
    """The shop's events, most of them sealed, in several files a day, the rest where a living writer appends."""
    folder = tmp_path / "events"
    for first in range(0, 1_000, 200):
        writer = ParquetEvents(folder)
        writer.append(shop[first : first + 200])
        writer.close()
    living = ParquetEvents(folder)
    living.append(shop[1_000:])
    assert len(list(folder.glob("day=*/*.parquet"))) > 9 and list(folder.glob("open/*.jsonl"))
    yield living
    living.close()


def test_spark_writes_the_same_rows_in_the_same_order(spark: Any, store: ParquetEvents, tmp_path: Path) -> None:
    store.erase("u1", (START + 90_000) * 1_000_000)  # what he did later counts
    store.erase("u2", 2**62)

    def erased() -> list[str]:
        return [pseudonym("u3")]  # while the backfill ran

    events = spark_backfill.stored_events(spark, f"file://{tmp_path}/events")
    ours = spark_backfill.write_history(spark, tmp_path / "spark", events, ITEMS, USERS, erased=erased)
    theirs = backfill.write_history(tmp_path / "one", store.scan(), ITEMS, USERS, erased)
    assert ours == theirs
    assert ours["user_features"] < store.count(), "some acts share a moment"
    for view in schema.VIEWS:
        one, other = (pq.read_table(tmp_path / folder / f"{view.name}.parquet") for folder in ("spark", "one"))
        assert one.num_rows, view.name
        assert one.schema.equals(other.schema, check_metadata=True)
        assert one.equals(other), view.name
    users = set(pq.read_table(tmp_path / "spark" / "user_features.parquet")["user_id"].to_pylist())
    assert "u1" in users and not users & {"u2", "u3"}


def test_no_events_give_empty_files(spark: Any, tmp_path: Path) -> None:
    events = spark_backfill.stored_events(spark, f"file://{tmp_path}/events")
    counts = spark_backfill.write_history(spark, tmp_path / "spark", events, ITEMS, [])
    assert counts == backfill.write_history(tmp_path / "one", [], ITEMS, [])
    assert counts["item_catalog"] == len(ITEMS) and counts["user_features"] == 0
    tables = [pq.read_table(tmp_path / name / "item_catalog.parquet") for name in ("spark", "one")]
    assert tables[0].equals(tables[1])


def test_another_event_store_is_refused_by_name(spark: Any) -> None:
    with pytest.raises(SettingsError, match=r"EVENT_STORE_URL.*mongodb"):
        spark_backfill.stored_events(spark, "mongodb://host/freshet")
