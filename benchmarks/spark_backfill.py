"""What does Spark cost a backfill, and is it the same? ``python -m benchmarks.spark_backfill [--master local[2]]``.

MovieLens-100K lies in a Parquet event store. One process writes the offline store, then Spark in local mode does; every
file is compared. CPU seconds are those of the process and, with Spark, of Java and of its Python workers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from feature_repo.schema import VIEWS
from flows import backfill, spark_backfill
from flows.movielens import convert_100k
from flows.parquet_events import ParquetEvents

console = Console()

Costs = dict[str, tuple[float, float]]
"""Step -> wall seconds, CPU seconds."""


@contextmanager
def measured(costs: Costs, step: str) -> Iterator[None]:
    """Enter what a step took, with its child processes."""
    began, used = time.monotonic(), _cpu_s()
    yield
    costs[step] = time.monotonic() - began, _cpu_s() - used


def _cpu_s() -> float:
    """CPU of this process and of those below it; of ended ones as far as their parents waited for them."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def run(folder: Path, master: str) -> tuple[Costs, dict[str, int]]:
    """Both backfills of MovieLens-100K. Raises ValueError when a file differs."""
    data = convert_100k(folder / "data", datetime.now(UTC))
    items, users, costs = list(data.items()), list(data.users()), Costs()
    with closing(ParquetEvents(folder / "events")) as store:
        store.append(list(data.events()))
    with measured(costs, "one process"):
        rows = backfill.write_history(folder / "one", store.scan(), items, users)
    with measured(costs, "Spark: start"):
        spark = spark_backfill.session(master)
    with spark:
        for step in ("Spark: first backfill", "Spark: second, same session"):
            with measured(costs, step):
                events = spark_backfill.stored_events(spark, f"file://{folder}/events")
                spark_backfill.write_history(spark, folder / "spark", events, items, users)
    for view in VIEWS:
        one, other = (pq.read_table(folder / name / f"{view.name}.parquet") for name in ("one", "spark"))
        if not one.equals(other):
            raise ValueError(f"{view.name}: Spark's rows differ")
    return costs, rows


def table(costs: Costs, rows: dict[str, int]) -> Table:
    """The figures."""
    events = rows["user_features"] + rows["item_features"]
    made = Table(title=f"Backfill of MovieLens-100K: {events:,} point-in-time rows, all files equal")
    made.add_column("")
    for column in ("s", "CPU s"):
        made.add_column(column, justify="right")
    for step, (wall_s, cpu_s) in costs.items():
        made.add_row(step, f"{wall_s:.1f}", f"{cpu_s:.1f}")
    return made


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--master", default="local[2]", help="Spark's master URL")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            console.print(table(*run(Path(folder), options.master)))
        except ValueError as error:
            console.print(f"[red]{error}[/red]")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
