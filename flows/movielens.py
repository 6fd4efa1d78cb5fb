"""MovieLens as a data set folder: its times shifted, gaps kept, so that the last rating is now.

GroupLens' licence forbids redistribution, so the files are read where they are: MovieLens-100K inside the
installed package recbole, MovieLens-1M from a path.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from feature_repo.events import Event, Item, UserProfile
from flows.dataset import Dataset, DatasetError, write_dataset

AGES = {0: "1-17", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}
"""Youngest age of a band -> its name; the bands of MovieLens-1M."""

OCCUPATIONS = (
    "other",
    "educator",
    "artist",
    "clerical",
    "college-student",
    "customer-service",
    "doctor",
    "executive",
    "farmer",
    "homemaker",
    "k12-student",
    "lawyer",
    "programmer",
    "retired",
    "sales",
    "scientist",
    "self-employed",
    "technician",
    "craftsman",
    "unemployed",
    "writer",
)
"""MovieLens-1M's occupations by code."""


class Rating(NamedTuple):
    """One line of a ratings file; ``seconds`` since the epoch."""

    seconds: int
    user_id: str
    item_id: str
    stars: float


def convert_100k(folder: Path, now: datetime) -> Dataset:
    """Write MovieLens-100K into a data set folder. Raises DatasetError when recbole is not installed."""
    spec = find_spec("recbole")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("MovieLens-100K comes with the package recbole==1.2.1, which is not installed")
    source = Path(spec.submodule_search_locations[0]) / "dataset_example" / "ml-100k"
    items = (
        _item(
            row["item_id:token"],
            row["movie_title:token_seq"],
            row["release_year:token"],
            row["class:token_seq"].split(),
        )
        for row in _table(source / "ml-100k.item")
    )
    users = (
        _user(row["user_id:token"], row["gender:token"], int(row["age:token"]), row["occupation:token"])
        for row in _table(source / "ml-100k.user")
    )
    ratings = (
        Rating(
            int(float(row["timestamp:float"])), row["user_id:token"], row["item_id:token"], float(row["rating:float"])
        )
        for row in _table(source / "ml-100k.inter")
    )
    return write_dataset(folder, items, users, _events("ml-100k", ratings, now))


def convert_1m(source: Path, folder: Path, now: datetime) -> Dataset:
    """Write MovieLens-1M, from its zip file or folder, into a data set folder. Raises DatasetError."""
    items = (
        _item(item_id, *_title_and_year(title), genres.split("|"))
        for item_id, title, genres in _lines(source, "movies.dat")
    )
    users = (
        _user(user_id, gender, int(age), OCCUPATIONS[int(occupation)])
        for user_id, gender, age, occupation, _ in _lines(source, "users.dat")
    )
    ratings = (
        Rating(int(seconds), user_id, item_id, float(stars))
        for user_id, item_id, stars, seconds in _lines(source, "ratings.dat")
    )
    return write_dataset(folder, items, users, _events("ml-1m", ratings, now))


def _events(name: str, ratings: Iterable[Rating], now: datetime) -> Iterator[Event]:
    ordered = sorted(ratings)
    shift = now.replace(microsecond=0) - datetime.fromtimestamp(ordered[-1].seconds, UTC)
    width = len(str(len(ordered)))
    for number, rating in enumerate(ordered):
        yield Event(
            user_id=rating.user_id,
            item_id=rating.item_id,
            event_type="rate",
            value=rating.stars,
            timestamp=datetime.fromtimestamp(rating.seconds, UTC) + shift,
            event_id=f"{name}-{number:0{width}d}",
        )


def _item(item_id: str, title: str, year: str, genres: list[str]) -> Item:
    known = re.fullmatch(r"\d{4}", year) is not None
    return Item(
        item_id=item_id,
        title=f"{title} ({year})" if known else title,
        categories=tuple(genre for genre in genres if genre != "unknown"),
        published_at=datetime(int(year), 1, 1, tzinfo=UTC) if known else None,
        price=None,
    )


def _user(user_id: str, gender: str, age: int, occupation: str) -> UserProfile:
    band = AGES[list(AGES)[bisect_right(list(AGES), age) - 1]]
    return UserProfile(user_id=user_id, segments=(f"gender:{gender}", f"age:{band}", f"occupation:{occupation}"))


def _title_and_year(title: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.*) \((\d{4})\)", title)
    return (found[1], found[2]) if found else (title, "")


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _lines(source: Path, name: str) -> Iterator[list[str]]:
    with io.TextIOWrapper(io.BytesIO(_bytes(source, name)), encoding="latin-1") as file:
        for line in file:
            yield line.rstrip("\n").split("::")


def _bytes(source: Path, name: str) -> bytes:
    try:
        if source.is_dir():
            return (source / name).read_bytes()
        with zipfile.ZipFile(source) as archive:
            return archive.read(next(entry for entry in archive.namelist() if entry.endswith(f"/{name}")))
    except (OSError, StopIteration, zipfile.BadZipFile) as error:
        raise DatasetError(f"{source}: no MovieLens-1M with {name} there ({error or 'not in the archive'})") from None
