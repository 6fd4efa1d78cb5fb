"""A data set: a folder of ``events.jsonl``, ``items.jsonl`` and ``users.jsonl``, one JSON object a line.

Everything that is loaded is turned into this first, so that any shop's data can be used without touching code.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from feature_repo.events import BadEvent, Event, Item, Message, UserProfile, decode


class DatasetError(ValueError):
    """A data set is missing or wrong; the message names file, line and field."""


@dataclass(frozen=True)
class Dataset:
    """The files of one folder, checked while they are read."""

    folder: Path

    @property
    def events_file(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def items_file(self) -> Path:
        return self.folder / "items.jsonl"

    @property
    def users_file(self) -> Path:
        return self.folder / "users.jsonl"

    def items(self) -> Iterator[Item]:
        """The catalogue. Raises DatasetError."""
        return (message for _, message in _read(self.items_file, Item))

    def users(self) -> Iterator[UserProfile]:
        """The profiles. Raises DatasetError."""
        return (message for _, message in _read(self.users_file, UserProfile))

    def events(self) -> Iterator[Event]:
        """The events, in the order of the file. One without an id gets one that a second reading gives again."""
        for line, event in _read(self.events_file, Event):
            if "event_id" in event.model_fields_set:
                yield event
            else:
                yield event.model_copy(update={"event_id": f"line-{blake2b(line, digest_size=16).hexdigest()}"})


def open_dataset(folder: Path) -> Dataset:
    """The data set in a folder. Raises DatasetError when a file is missing."""
    dataset = Dataset(folder)
    for path in (dataset.events_file, dataset.items_file, dataset.users_file):
        if not path.is_file():
            raise DatasetError(f"{path}: no such file; a data set folder has events.jsonl, items.jsonl, users.jsonl")
    return dataset


def write_dataset(
    folder: Path, items: Iterable[Item], users: Iterable[UserProfile], events: Iterable[Event]
) -> Dataset:
    """Write a data set folder, whole or not at all; a folder that exists already is replaced."""
    aside = Dataset(folder.with_name(f"{folder.name}.new"))
    shutil.rmtree(aside.folder, ignore_errors=True)
    aside.folder.mkdir(parents=True)
    messages: list[tuple[Path, Iterable[Message]]] = [
        (aside.items_file, items),
        (aside.users_file, users),
        (aside.events_file, events),
    ]
    for path, written in messages:
        with path.open("wb") as file:
            file.writelines(message.encode() + b"\n" for message in written)
    shutil.rmtree(folder, ignore_errors=True)
    aside.folder.rename(folder)
    return Dataset(folder)


def _read(path: Path, kind: type[Message]) -> Iterator[tuple[bytes, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if not text:
                continue
            try:
                yield text, decode(kind, text)
            except BadEvent as error:
                raise DatasetError(f"{path}, line {number}: {error.detail}") from None
