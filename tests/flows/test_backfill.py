"""The offline rows against counts that can be done by hand."""

import pyarrow.parquet as pq
import pytest

from feature_repo import schema
from feature_repo.events import Event, Item, UserProfile
from flows.backfill import write_history
from flows.offline import ViewWriter, arrow_schema, write_view

START = 1_700_000_000


def act(user, item, seconds, kind="click"):
    return Event(user_id=user, item_id=item, event_type=kind, timestamp=START + seconds)


@pytest.fixture
def rows(tmp_path):
    events = [
        act("u", "i", 0),
        act("v", "i", 5),
        act("u", "j", 9),
        act("u", "k", 9),
        act("w", "j", 12, "remove_from_cart"),
    ]
    items = [Item(item_id=item, title=item.upper(), categories=["c"]) for item in ("i", "new")]
    users = [UserProfile(user_id=user, segments=["s"]) for user in ("u", "w")]
    counts = write_history(tmp_path, events, items, users)
    tables = {view.name: pq.read_table(tmp_path / f"{view.name}.parquet").to_pylist() for view in schema.VIEWS}
    assert counts == {name: len(table) for name, table in tables.items()}
    return tables


def seconds(row):
    return row[schema.TIMESTAMP].timestamp() - START


def test_a_user_has_one_row_a_moment_and_ties_share_it(rows):
    mine = [row for row in rows["user_features"] if row["user_id"] == "u"]
    assert [(seconds(row), row["event_count"], row["recent_items"]) for row in mine] == [
        (0, 1, ["i"]),
        (9, 3, ["i", "j", "k"]),
    ]


def test_an_item_has_a_row_for_every_user_who_touched_it(rows):
    mine = [row for row in rows["item_features"] if row["item_id"] == "i"]
    assert [(seconds(row), row["event_count"]) for row in mine] == [(0, 1), (5, 2)]
    assert mine[1]["click_1h"] == pytest.approx(1 + 2 ** (-5 / 3600), rel=1e-6)


def test_standing_rows_hold_from_the_first_event_on(rows):
    assert {row["user_id"]: seconds(row) for row in rows["user_profile"]} == {"u": 0, "w": 12}
    assert {row["item_id"]: seconds(row) for row in rows["item_catalog"]} == {"i": 0, "new": 0}


def test_seen_items_are_the_last_row_only(rows):
    seen = {row["user_id"]: row["seen_items"] for row in rows["user_seen"]}
    assert seen == {"u": ["i", "j", "k"], "v": ["i"], "w": ["j"]}


def test_favourites_are_what_a_segment_liked_and_not_what_it_took_back(rows):
    (favourites,) = rows["segment_favourites"]
    assert favourites["segment"] == "s"
    assert favourites["items"] == ["j", "k", "i"]
    assert sum(favourites["scores"]) == pytest.approx(1)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_view(tmp_path, schema.USER_PROFILE, [("u", 1, {"segments": ["old"]})])
    with pytest.raises(ZeroDivisionError), ViewWriter(tmp_path, schema.USER_PROFILE) as writer:
        writer.add("u", 2, {"segments": ["new"]})
        raise ZeroDivisionError
    (row,) = pq.read_table(tmp_path / "user_profile.parquet").to_pylist()
    assert row["segments"] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["user_profile.parquet"]


def test_files_have_microseconds_which_materialize_needs():
    for view in schema.VIEWS:
        assert str(arrow_schema(view).field(schema.TIMESTAMP).type) == "timestamp[us, tz=UTC]"
