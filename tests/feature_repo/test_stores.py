"""Every feature_store.*.yaml as Feast loads it; and the same join by every offline store that can run here."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlparse

import pandas as pd
import psycopg
import pytest
from feast.infra.offline_stores.offline_utils import get_offline_store_from_config
from feast.infra.online_stores.helpers import get_online_store_from_config
from feast.repo_config import load_repo_config

import feature_repo
from feature_repo.events import EVENT_TYPES, Event
from feature_repo.schema import TIMESTAMP
from feature_repo.store import apply_definitions, open_store
from flows import offline_tables
from flows.backfill import write_history
from flows.training_set import item_rows, user_rows
from infra.settings import Settings, SettingsError

FOLDER = Path(feature_repo.__file__).parent
FILES = {path.name: path for path in FOLDER.glob("feature_store*.yaml")}
START = 1_790_000_000
SENTINELS = "redis+sentinel://:key@a:26379,b:26380/features/2"

# file, REDIS_URL, Feast's online settings, offline store
KINDS = [
    ("feature_store.yaml", "redis://a:1/2", ("redis", "a:1,db=2"), "DuckDBOfflineStore"),
    ("feature_store.redis-cluster.yaml", "redis+cluster://a:1,b:2", ("redis_cluster", "a:1,b:2"), "DuckDBOfflineStore"),
    (
        "feature_store.redis-sentinel.yaml",
        SENTINELS,
        ("redis_sentinel", "a:26379,b:26380,db=2,password=key"),
        "DuckDBOfflineStore",
    ),
    ("feature_store.postgres.yaml", "redis://a:1/0", ("redis", "a:1,db=0"), "PostgreSQLOfflineStore"),
    ("feature_store.spark.yaml", "redis+cluster://a:1", ("redis_cluster", "a:1"), "SparkOfflineStore"),
    ("feature_store.ray.yaml", SENTINELS, ("redis_sentinel", "a:26379,b:26380,db=2,password=key"), "RayOfflineStore"),
]


@pytest.fixture
def engines(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables of the offline engines: the test's own PostgreSQL, Spark in this process."""
    url = urlparse(settings.database_url)
    values = {
        "FEAST_POSTGRES_HOST": url.hostname,
        "FEAST_POSTGRES_PORT": url.port,
        "FEAST_POSTGRES_DATABASE": url.path.strip("/"),
        "FEAST_POSTGRES_SCHEMA": "features",
        "FEAST_POSTGRES_USER": url.username,
        "FEAST_POSTGRES_PASSWORD": url.password or "",
        "FEAST_POSTGRES_SSLMODE": "disable",
        "FEAST_SPARK_MASTER": "local[2]",
        "FEAST_SPARK_PARTITIONS": 2,
        "FEAST_RAY_STORAGE": tmp_path / "ray",
        "FEAST_RAY_ADDRESS": "local",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


def test_every_file_is_looked_at() -> None:
    assert {kind[0] for kind in KINDS} == set(FILES)


@pytest.mark.usefixtures("engines")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_feast_loads_it(kind: Any, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    file, url, online, offline = kind
    if "ray" in file and find_spec("ray") is None:
        pytest.skip("ray is not installed: Feast's own extra, feast[ray]")
    for name, value in home.model_copy(update={"redis_url": url}).environment().items():
        monkeypatch.setenv(name, value)
    config = load_repo_config(FOLDER, FILES[file])
    assert (config.online_store.redis_type.value, config.online_store.connection_string) == online
    if online[0] == "redis_sentinel":
        assert config.online_store.sentinel_master == "features"
    assert type(get_online_store_from_config(config.online_store)).__name__ == "RedisOnlineStore"
    assert type(get_offline_store_from_config(config.offline_store)).__name__ == offline
    assert "${" not in repr([config.online_store, config.offline_store, config.registry])


def joined(settings: Settings, file: str, patch: pytest.MonkeyPatch, read_definitions: Any) -> list[pd.DataFrame]:
    """The training's two joins, by the offline store of a file."""
    patch.setenv("FEAST_FS_YAML_FILE_PATH", str(FILES[file]))
    own = settings.model_copy(update={"feast_registry": str(settings.home / f"{file}.db")})
    read_definitions(own, patch)
    store = open_store(own)
    apply_definitions(store)
    if "postgres" in file:
        assert offline_tables.publish(own)["user_features"] > 100
    moments = pd.DataFrame(
        {TIMESTAMP: pd.to_datetime([START + 3_000, START + 40_000, START + 90_000], unit="s", utc=True)}
    )
    users = moments.merge(pd.DataFrame({"user_id": ["u1", "u2", "nobody"]}), how="cross")
    items = moments.merge(pd.DataFrame({"item_id": ["i1", "i2", "nothing"]}), how="cross")
    return [user_rows(store, users), item_rows(store, items)]


@pytest.fixture
def wanted(settings: Settings, monkeypatch: pytest.MonkeyPatch, read_definitions: Any) -> list[pd.DataFrame]:
    """What DuckDB joins, of a history that lies in the test's offline store."""
    random = Random(3)
    times = sorted(START + random.randrange(80_000) + random.choice((0, 0.25)) for _ in range(400))
    events = [
        Event(
            user_id=f"u{random.randrange(4)}",
            item_id=f"i{random.randrange(9)}",
            event_type=random.choice(EVENT_TYPES),
            timestamp=time,
            value=random.choice((None, 2.5)),
        )
        for time in times
    ]
    write_history(settings.offline_dir, events, [], [])
    return joined(settings, "feature_store.yaml", monkeypatch, read_definitions)


@pytest.mark.usefixtures("engines")
def test_postgres_joins_as_duckdb_does(
    wanted: list[pd.DataFrame], settings: Settings, monkeypatch: pytest.MonkeyPatch, read_definitions: Any
) -> None:
    same_frames(joined(settings, "feature_store.postgres.yaml", monkeypatch, read_definitions), wanted)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("engines")
def test_spark_joins_as_duckdb_does(
    wanted: list[pd.DataFrame], settings: Settings, monkeypatch: pytest.MonkeyPatch, read_definitions: Any
) -> None:
    assert shutil.which("java"), "Spark needs Java 17: `make tools`"
    from pyspark.sql import SparkSession

    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    try:
        same_frames(joined(settings, "feature_store.spark.yaml", monkeypatch, read_definitions), wanted)
    finally:
        if running := SparkSession.getActiveSession():
            running.stop()  # it would be the session of whoever asks for one later


def same_frames(found: list[pd.DataFrame], wanted: list[pd.DataFrame]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        assert len(theirs) == 9
        pd.testing.assert_frame_equal(_plain(ours[theirs.columns]), _plain(theirs), check_dtype=False)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists as tuples and float64 everywhere: engines differ in how they hand the same values out."""
    lists = [name for name in frame if frame[name].map(lambda value: hasattr(value, "__len__")).any()]
    made = frame.assign(**{name: frame[name].map(lambda v: tuple(v) if hasattr(v, "__len__") else v) for name in lists})
    return made.assign(**{TIMESTAMP: pd.to_datetime(made[TIMESTAMP], utc=True).astype("datetime64[us, UTC]")})


def test_tables_are_for_postgres_only(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"duckdb.*feature_store\.postgres\.yaml"):
        offline_tables.publish(settings)


def test_tables_are_replaced_whole(settings: Settings, engines: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(FILES["feature_store.postgres.yaml"]))
    events = [Event(user_id=f"u{n}", item_id="i", event_type="click", timestamp=START + n) for n in range(3)]
    write_history(settings.offline_dir, events, [], [])
    assert offline_tables.publish(settings)["user_features"] == 3
    write_history(settings.offline_dir, events[1:], [], [])
    assert offline_tables.publish(settings)["user_features"] == 2
    with psycopg.connect(settings.database_url) as connection:
        found = connection.execute("SELECT user_id, event_count, recent_items FROM features.user_features").fetchall()
    assert found == [("u1", 1, ["i"]), ("u2", 1, ["i"])]
