"""What people see in a terminal: progress bars and the table of quality figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # whoever only loads or replays needs no PyTorch
    from models.judging import Evaluation
    from models.recipe import Steps
    from models.retriever import Progress as Callback

T = TypeVar("T")


class RateColumn(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", justify="right")


def bar(console: Console | None = None) -> Progress:
    """A progress display: name, bar, count, a note such as the unit, rate, time gone and time left."""
    return Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def tracked(items: Iterable[T], name: str, total: int | None = None, unit: str = "") -> Iterator[T]:
    """Iterate with a progress bar."""
    with bar() as progress:
        task = progress.add_task(name, total=total, unit=unit)
        for item in items:
            yield item
            progress.advance(task)


@contextmanager
def training_bars(console: Console | None = None) -> Iterator[Steps]:
    """A bar for each long step of a training, while the context lasts."""
    with bar(console) as progress:

        def step(name: str) -> Callback:
            task = progress.add_task(name, total=None, unit="")

            def tell(done: int, total: int, loss: float) -> None:
                progress.update(task, completed=done, total=total, unit=f"loss {loss:.3f}" if loss else "")

            return tell

        yield step


def quality_table(evaluation: Evaluation) -> Table:
    """Figures of all systems, frozen and live; fits 80 columns."""
    first = next(iter(evaluation.results["live"].values()))
    table = Table(
        title=f"All {evaluation.catalog_size:,} items ranked, seen left out; "
        f"{first.moments:,} moments of {first.users:,} users; ± 95 % by user\n"
        "NDCG@10 of the moment's items; future: of all that the user meets until the end"
    )
    for name in ("system", "state", "NDCG@10", "future", "R@10", "R@50", "cov@10"):
        table.add_column(name, justify="left" if name in ("system", "state") else "right", no_wrap=True)
    for system in next(iter(evaluation.results.values())):
        for mode, systems in evaluation.results.items():
            q = systems[system]
            ndcg = f"{q.means['ndcg@10']:.4f} ±{q.half_widths['ndcg@10']:.4f}"
            future = evaluation.judgements[mode][system].quality["future"]["all"].means["ndcg@10"]
            recalls = [f"{q.means[name]:.3f}" for name in ("recall@10", "recall@50")]
            table.add_row(system, mode, ndcg, f"{future:.4f}", *recalls, f"{q.coverage:.2f}")
    return table
