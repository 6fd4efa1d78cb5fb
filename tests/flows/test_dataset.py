"""Data set folders, and MovieLens as one."""

from __future__ import annotations

import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.events import Event, Item, UserProfile
from flows.dataset import Dataset, DatasetError, open_dataset, write_dataset
from flows.load import main, prepare
from flows.movielens import convert_1m, convert_100k

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
GOOD = '{"user_id":"u","item_id":"i","event_type":"view"}\n'

MOVIES = "1::Toy Story (1995)::Animation|Children's\n2::Misérables, Les (1995)::Drama\n3::No Year::Drama\n"
USERS = "1::F::1::10::48067\n2::M::56::16::70072\n"
RATINGS = "1::2::3::978300760\n2::1::5::978300700\n1::1::4::978300760\n"


@pytest.fixture(scope="module")
def ml_100k(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return convert_100k(tmp_path_factory.mktemp("ml") / "ml-100k", NOW)


def folder_with(tmp_path: Path, events: str = GOOD, items: str = "", users: str = "") -> Path:
    for name, text in (("events", events), ("items", items), ("users", users)):
        (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    items = [Item.model_validate({"item_id": "i", "title": "T", "price": 1})]
    users = [UserProfile(user_id="u", segments=("gender:F",))]
    events = [Event(user_id="u", item_id="i", event_type="view", event_id="e", timestamp=NOW)]
    written = write_dataset(tmp_path / "set", items, users, events)
    again = open_dataset(written.folder)
    assert (list(again.items()), list(again.users()), list(again.events())) == (items, users, events)


def test_events_without_an_id_get_the_same_one_each_time(tmp_path: Path) -> None:
    dataset = open_dataset(folder_with(tmp_path, GOOD + "\n" + GOOD.replace("view", "click")))
    first, second = [[event.event_id for event in dataset.events()] for _ in range(2)]
    assert first == second
    assert len(set(first)) == 2


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"events": GOOD + GOOD.replace("view", "stare")}, r"events\.jsonl, line 2: event_type"),
        ({"events": "\n\nno json\n"}, r"events\.jsonl, line 3: .*JSON"),
        ({"items": '{"item_id":"i","price":-1}\n'}, r"items\.jsonl, line 1: price"),
        ({"users": '{"user_id":"u"}\n{"segments":[]}\n'}, r"users\.jsonl, line 2: user_id"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, broken: dict[str, str], message: str) -> None:
    dataset = open_dataset(folder_with(tmp_path, **broken))
    with pytest.raises(DatasetError, match=message):
        list(dataset.items()), list(dataset.users()), list(dataset.events())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (folder_with(tmp_path) / "users.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"users\.jsonl: no such file"):
        open_dataset(tmp_path)


def test_movielens_100k_is_whole(ml_100k: Dataset) -> None:
    items, users, events = list(ml_100k.items()), list(ml_100k.users()), list(ml_100k.events())
    assert (len(items), len(users), len(events)) == (1_682, 943, 100_000)
    assert items[0] == Item.model_validate(
        {
            "item_id": "1",
            "title": "Toy Story (1995)",
            "categories": ["Animation", "Children's", "Comedy"],
            "published_at": "1995-01-01T00:00:00Z",
        }
    )
    assert users[0].segments == ("gender:M", "age:18-24", "occupation:technician")
    bands = Counter(segment for user in users for segment in user.segments if segment.startswith("age:"))
    assert set(bands) == {"age:1-17", "age:18-24", "age:25-34", "age:35-44", "age:45-49", "age:50-55", "age:56+"}
    assert {event.event_type for event in events} == {"rate"}
    assert {event.value for event in events} == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert {event.item_id for event in events} == {item.item_id for item in items}


def test_movielens_ends_now_and_keeps_its_gaps(ml_100k: Dataset) -> None:
    events = list(ml_100k.events())
    times = [event.timestamp for event in events]
    assert times == sorted(times)
    assert times[-1] == NOW
    # 1997-09-20 03:05:10 and 1998-04-22 23:10:38
    assert times[-1] - times[0] == timedelta(seconds=893_286_638 - 874_724_710)
    assert [events[0].event_id, events[-1].event_id] == ["ml-100k-000000", "ml-100k-099999"]


@pytest.mark.parametrize("zipped", [False, True])
def test_movielens_1m_is_read_from_folder_and_zip(tmp_path: Path, zipped: bool) -> None:
    source = tmp_path / "ml-1m"
    source.mkdir()
    for name, text in (("movies", MOVIES), ("users", USERS), ("ratings", RATINGS)):
        (source / f"{name}.dat").write_text(text, encoding="latin-1")
    if zipped:
        with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as archive:
            for path in source.iterdir():
                archive.write(path, f"ml-1m/{path.name}")
        source = tmp_path / "ml-1m.zip"
    dataset = convert_1m(source, tmp_path / "out", NOW)
    items, users, events = list(dataset.items()), list(dataset.users()), list(dataset.events())
    assert [item.title for item in items] == ["Toy Story (1995)", "Misérables, Les (1995)", "No Year"]
    assert [item.published_at and item.published_at.year for item in items] == [1995, 1995, None]
    assert items[0].categories == ("Animation", "Children's")
    assert users[1].segments == ("gender:M", "age:56+", "occupation:self-employed")
    assert [(e.user_id, e.item_id, e.value) for e in events] == [("2", "1", 5.0), ("1", "1", 4.0), ("1", "2", 3.0)]
    assert [NOW - e.timestamp for e in events] == [timedelta(seconds=60), timedelta(0), timedelta(0)]


@pytest.mark.parametrize("source", ["nowhere", "nowhere.zip"])
def test_a_missing_movielens_1m_is_named(tmp_path: Path, source: str) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        convert_1m(tmp_path / source, tmp_path / "out", NOW)
    assert not (tmp_path / "out").exists()


def test_movielens_is_converted_once(tmp_path: Path) -> None:
    first = prepare("ml-100k", tmp_path)
    before = first.events_file.stat().st_mtime_ns
    assert prepare("ml-100k", tmp_path).events_file.stat().st_mtime_ns == before


def test_the_command_line_names_what_it_cannot_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err
    assert main(["--dataset", "ml-25m", "--convert-only", str(tmp_path / "out")]) == 1
    assert "ml-1m:PATH" in capsys.readouterr().err
