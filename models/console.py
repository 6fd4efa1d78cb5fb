"""What training and evaluation show in a terminal: progress bars and the table of figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from models.evaluate import Evaluation
from models.recipe import Steps
from models.retriever import Progress as Callback


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Steps]:
    """A bar for each long step, while the context lasts."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:

        def step(name: str) -> Callback:
            task = bars.add_task(name, total=None, note="")

            def tell(done: int, total: int, loss: float) -> None:
                bars.update(task, completed=done, total=total, note=f"loss {loss:.3f}" if loss else "")

            return tell

        yield step


def quality_table(evaluation: Evaluation) -> Table:
    """Figures of all systems, frozen and live."""
    first = next(iter(evaluation.results["live"].values()))
    table = Table(
        title=f"Full ranking of {evaluation.catalog_size:,} items, seen left out; "
        f"{first.moments:,} moments of {first.users:,} users; ± 95 % by user"
    )
    for name in ("system", "state", "NDCG@10", "HR@10", "Recall@10", "Recall@20", "Recall@50", "coverage@10"):
        table.add_column(name, justify="left" if name in ("system", "state") else "right")
    for system in first_systems(evaluation):
        for mode, systems in evaluation.results.items():
            q = systems[system]
            cells = [f"{q.means['ndcg@10']:.4f} ± {q.half_widths['ndcg@10']:.4f}"]
            cells += [f"{q.means[name]:.3f}" for name in ("hr@10", "recall@10", "recall@20", "recall@50")]
            table.add_row(system, mode, *cells, f"{q.coverage:.2f}")
    return table


def first_systems(evaluation: Evaluation) -> list[str]:
    """The systems, in order of the evaluation."""
    return list(next(iter(evaluation.results.values())))
