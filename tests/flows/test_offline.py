"""Erased users leave the offline store's files, and no writer that began before brings them back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo import schema
from feature_repo.erasures import STORES, Erasures
from feature_repo.events import Event, UserProfile, pseudonym, to_us
from flows.backfill import erased_from_now_on, write_history
from flows.offline import forget
from infra.settings import Settings

PEOPLE = ("anna", "bert", "carl")
PROFILES = [UserProfile(user_id=user, segments=("s",)) for user in PEOPLE]
USER_VIEWS = (schema.USER_FEATURES, schema.USER_SEEN, schema.USER_PROFILE)


def events() -> Iterator[Event]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(30):
        yield Event(
            user_id=PEOPLE[n % 3],
            item_id=f"i{n % 5}",
            event_type="click",
            timestamp=start + timedelta(hours=n),
            value=None,
            event_id=f"e{n}",
        )


def rows(folder: Path, view: schema.View) -> list[dict[str, object]]:
    return list(pq.read_table(folder / f"{view.name}.parquet").to_pylist())


def without(user: str, found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [row for row in found if row["user_id"] != user]


def test_an_erased_user_leaves_every_file_and_the_others_stay(tmp_path: Path) -> None:
    write_history(tmp_path, events(), [], PROFILES)
    before = {view.name: rows(tmp_path, view) for view in USER_VIEWS}
    untouched = {path: path.read_bytes() for path in tmp_path.glob("*.parquet") if "user_" not in path.name}
    (tmp_path / "user_seen.parquet.new").write_bytes(b"anna, left by a kill")
    assert forget(tmp_path, [pseudonym("anna")]) == sorted(f"{view.name}.parquet" for view in USER_VIEWS)
    for view in USER_VIEWS:
        assert rows(tmp_path, view) == without("anna", before[view.name]) != before[view.name]
        assert pq.read_schema(tmp_path / f"{view.name}.parquet").field(schema.TIMESTAMP).type.tz == "UTC"
    assert {path: path.read_bytes() for path in untouched} == untouched
    assert [path.name for path in tmp_path.iterdir() if b"anna" in path.read_bytes()] == []
    assert forget(tmp_path, [pseudonym("anna")]) == [], "a second time there is nothing to do"


def test_any_file_with_a_user_column_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    pq.write_table(pa.table({"user_id": [7, 8, None], "n": [1, 2, 3]}), tmp_path / "deep" / "numbers.parquet")
    pq.write_table(pa.table({"item_id": ["7"]}), tmp_path / "items.parquet")
    assert forget(tmp_path, [pseudonym("7")]) == ["numbers.parquet"]
    assert pq.read_table(tmp_path / "deep" / "numbers.parquet")["user_id"].to_pylist() == [8, None]
    assert pq.read_table(tmp_path / "items.parquet").num_rows == 1
    assert forget(tmp_path / "absent", [pseudonym("7")]) == []


@pytest.mark.parametrize("finished", [True, False])
def test_a_backfill_that_ran_meanwhile_does_not_bring_him_back(settings: Settings, finished: bool) -> None:
    with closing(Erasures(settings.database_url)) as erasures:
        erased = erased_from_now_on(settings)

        def interrupted() -> Iterator[Event]:
            for n, event in enumerate(events()):
                if n == 20:
                    erasure = erasures.request("anna")
                    if finished:
                        for store in STORES:
                            erasures.done(erasure.erasure_id, store, to_us(erasure.requested_at) + 1)
                        assert erasures.finish(erasures.pending()[0])
                        assert forget(settings.offline_dir, [pseudonym("anna")]) == []
                yield event

        write_history(settings.offline_dir, interrupted(), [], PROFILES, erased)
    whole = settings.offline_dir.with_name("whole")
    write_history(whole, events(), [], PROFILES)
    for view in USER_VIEWS:
        assert rows(settings.offline_dir, view) == without("anna", rows(whole, view))
    assert rows(settings.offline_dir, schema.ITEM_FEATURES) == rows(whole, schema.ITEM_FEATURES)
