"""Starts, ends and lists experiments: ``python -m flows.experiments put FILE.json | end NAME | list``.

A file holds one experiment::

    {"name": "more-variety", "metric": "ctr", "variants": [
        {"name": "control", "share": 0.5},
        {"name": "varied", "share": 0.5, "rules": {"diversity": 0.5}},
        {"name": "next", "model": "challenger", "shadow": true}]}

The recommender takes it up within FRESHET_EXPERIMENTS_POLL_S. A definition that runs does not change any more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from psycopg import OperationalError
from rich.console import Console
from rich.table import Table

from infra.settings import SettingsError, load_settings
from models.experiment_store import ExperimentStore, Stored
from models.experiments import Experiment, ExperimentError, Variant, read

console = Console()


def put(store: ExperimentStore, path: Path) -> None:
    """Start the experiment of a file. Raises ExperimentError, OSError."""
    experiment = read(path.read_bytes())
    started_at = store.put(experiment)
    console.print(f"experiment {experiment.name} runs since {_time(started_at)}: {_outside(experiment)}")


def end(store: ExperimentStore, name: str) -> None:
    """End a running experiment. Raises ExperimentError."""
    console.print(f"experiment {name} ended at {_time(store.end(name))}")


def table(stored: Sequence[Stored]) -> Table:
    """Experiments and their variants, a row each."""
    shown = Table(title="Experiments", title_justify="left")
    for column in ("experiment", "state", "since", "until", "metric", "variant", "share", "model", "rules"):
        shown.add_column(column, overflow="fold")
    for experiment, started_at, ended_at in stored:
        state, until = ("running", "") if ended_at is None else ("ended", _time(ended_at))
        first = (experiment.name, state, _time(started_at), until, experiment.metric)
        for n, variant in enumerate(experiment.variants):
            shown.add_row(*(first if n == 0 else [""] * len(first)), *_cells(variant))
        shown.add_section()
    return shown


def _cells(variant: Variant) -> tuple[str, str, str, str]:
    share = "shadow" if variant.shadow else f"{variant.share:.1%}"
    rules = ", ".join(f"{name}={value:g}" for name, value in variant.rules.given.items())
    return variant.name, share, variant.model, rules


def _outside(experiment: Experiment) -> str:
    shares = ", ".join(f"{variant.name} {variant.share:.1%}" for variant in experiment.shown)
    rest = 1 - sum(variant.share for variant in experiment.variants)
    return f"{shares}; {max(rest, 0):.1%} of users outside"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.experiments", description="Controlled experiments.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("put", help="start the experiment of a JSON file").add_argument("file", type=Path)
    commands.add_parser("end", help="end a running one").add_argument("name")
    commands.add_parser("list", help="all there ever were, those that run first")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    options = _options(arguments)
    try:
        with closing(ExperimentStore(load_settings().database_url)) as store:
            if options.command == "put":
                put(store, options.file)
            elif options.command == "end":
                end(store, options.name)
            else:
                console.print(table(store.all()))
    except (SettingsError, ExperimentError, OperationalError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
