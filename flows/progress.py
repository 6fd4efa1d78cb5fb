"""Progress bars for people; nothing for machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


def bar() -> Progress:
    """A progress display: name, bar, count, rate, time gone and time left."""
    return Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def tracked(items: Iterable[T], name: str, total: int | None = None, unit: str = "") -> Iterator[T]:
    """Iterate with a progress bar."""
    with bar() as progress:
        task = progress.add_task(name, total=total, unit=unit)
        for item in items:
            yield item
            progress.advance(task)
