"""A made-up shop of any size as a data set folder: what a load is tried with where no real data set is large enough.

Nothing in it is uniform, because nothing in a shop is: items are popular by a power law, users act a lot or hardly,
each likes a few shelves, comes by day rather than by night, and walks through a shelf in sessions of a few minutes, in
which one item leads to its neighbours. Part of the items came while the history went on. Equal size, seed and time give
equal bytes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from pathlib import Path

import numpy as np
from rich.progress import Progress, TaskID

from feature_repo.events import MICROSECONDS
from flows.console import bar
from flows.dataset import Dataset, DatasetError
from flows.synthetic_shop import KINDS, LOYALTY, Acts, Numbers, Shelves, acts_of, visits_of

SIZE = re.compile(r"(\d+)x(\d+)(?:x(\d+))?")
REGIONS = ("north", "east", "south", "west")
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
LINES_AT_ONCE = 20_000


@dataclass(frozen=True)
class ShopSize:
    """How large a shop is.

    Attributes:
        users, items: how many of each.
        events_per_user: mean, roughly; the median user has about half of it, and everybody one session at least.
    """

    users: int
    items: int
    events_per_user: int = 10

    @classmethod
    def parse(cls, text: str) -> ShopSize:
        """``USERSxITEMS`` or ``USERSxITEMSxEVENTS_PER_USER``. Raises DatasetError."""
        found = SIZE.fullmatch(text)
        sizes = [int(each) for each in found.groups() if each] if found else []
        if not sizes or min(sizes) < 1:
            raise DatasetError(
                f"synthetic:{text}: give the size as USERSxITEMS or USERSxITEMSxEVENTS_PER_USER, as in 1000x500"
            )
        return cls(*sizes)


def write_shop(folder: Path, size: ShopSize, now: datetime, seed: int = 7) -> Dataset:
    """Write a shop whose last event is of ``now``, whole or not at all; a folder that exists already is replaced."""
    random = np.random.default_rng(seed)
    shelves = Shelves.stocked(size.items, random)
    visits = visits_of(size.users, size.events_per_user, shelves, random)
    acts = acts_of(visits, shelves, random)
    shift_s = now.timestamp() - float(acts.time_s[-1])
    aside = Dataset(folder.with_name(f"{folder.name}.new"))
    shutil.rmtree(aside.folder, ignore_errors=True)
    aside.folder.mkdir(parents=True)
    with bar() as progress:
        for path, count, lines in (
            (aside.items_file, size.items, _item_lines(shelves, shift_s)),
            (aside.users_file, size.users, _user_lines(visits.tastes, shelves, random)),
            (aside.events_file, len(acts.time_s), _event_lines(acts, shift_s, seed)),
        ):
            _write(path, lines, progress, progress.add_task(path.name, total=count, unit="lines"))
    shutil.rmtree(folder, ignore_errors=True)
    aside.folder.rename(folder)
    return Dataset(folder)


def _write(path: Path, blocks: Iterator[list[str]], progress: Progress, task: TaskID) -> None:
    with path.open("w", encoding="utf-8") as file:
        for block in blocks:
            file.write("\n".join(block) + "\n")
            progress.advance(task, len(block))


def _item_lines(shelves: Shelves, shift_s: float) -> Iterator[list[str]]:
    for first, last in _blocks(len(shelves.shelf)):
        columns = (shelves.shelf, shelves.born_s + shift_s, shelves.price)
        rows = zip(range(first, last), *(column[first:last].tolist() for column in columns), strict=True)
        yield [
            f'{{"item_id":"i{n}","title":"{shelves.department(shelf).title()} {shelf}-{n}",'
            f'"categories":["{shelves.department(shelf)}","{shelves.department(shelf)}-{shelf}"],'
            f'"published_at":{born_s:.0f},"price":{price}}}'
            for n, shelf, born_s, price in rows
        ]


def _user_lines(tastes: Numbers, shelves: Shelves, random: np.random.Generator) -> Iterator[list[str]]:
    for first, last in _blocks(len(tastes)):
        count = last - first
        told = np.where(
            random.random(count) < LOYALTY, tastes[first:last, 0], random.integers(len(shelves.first), size=count)
        )
        ages, regions = random.integers(len(AGES), size=count), random.integers(len(REGIONS), size=count)
        yield [
            f'{{"user_id":"u{n}","segments":["likes:{shelves.department(shelf)}","age:{AGES[age]}",'
            f'"region:{REGIONS[region]}"]}}'
            for n, shelf, age, region in zip(
                range(first, last), told.tolist(), ages.tolist(), regions.tolist(), strict=True
            )
        ]


def _event_lines(acts: Acts, shift_s: float, seed: int) -> Iterator[list[str]]:
    time_us = np.round((acts.time_s + shift_s) * MICROSECONDS).astype(np.int64)
    columns = (acts.user, acts.session, acts.item, acts.kind, time_us, acts.value)
    for first, last in _blocks(len(time_us)):
        rows = zip(range(first, last), *(column[first:last].tolist() for column in columns), strict=True)
        yield [
            f'{{"user_id":"u{user}","item_id":"i{item}","event_type":"{KINDS[kind]}",'
            f'"timestamp":{at // MICROSECONDS}.{at % MICROSECONDS:06d},"event_id":"shop{seed}-{n}",'
            f'"session_id":"shop{seed}-{session}"' + (f',"value":{value}}}' if not isnan(value) else "}")
            for n, user, session, item, kind, at, value in rows
        ]


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + LINES_AT_ONCE, count)) for first in range(0, count, LINES_AT_ONCE))
