"""Systems to serve from, prepared once and kept: a data set, its bundle, and a Redis with all of Feast's rows.

``python -m benchmarks.serving.home [--homes FOLDER] [--dataset ...]`` prepares them and says where they are; benchmarks
of the request path do the same when they begin. The first time takes some ten minutes of one core for 100,000 items
and users, nearly all of it for training. Rows come from the stream's own states and are written as the stream writes
them.

A kept home grows old, and the scorer takes a standing stream for one that is away: each time it is opened one item's
row is written again as of now.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import redis
from rich.console import Console

from benchmarks.serving.light_training import train
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_FEATURES, SEGMENT_FAVOURITES, VIEWS
from feature_repo.state import Row, States
from flows.backfill import SegmentFavourites
from flows.console import tracked, training_bars
from flows.dataset import Dataset, DatasetError
from flows.load import prepare
from infra.settings import Settings, SettingsError, any_ports, load_settings
from infra.stack import Stack, StackError
from models.bundle import Bundle, BundleError
from models.recipe import TrainingSettings

T = TypeVar("T")
Rows = Mapping[str, tuple[Row, int]]
"""Entity id -> features and event time in microseconds."""

DATASETS = ("ml-100k", "synthetic:100000x100000x8")
QUICK = ("synthetic:300x500x40",)
CANDIDATES = 500
PARTS = ("kafka", "redis", "feast")
LIGHT = TrainingSettings(epochs=1, fine_tune_epochs=1, max_moments=400, candidates=CANDIDATES, threads=1)
ROWS_AT_ONCE = 500
MARK = "filled.json"
FIELDS = {view.name: list(view.fields) for view in VIEWS}
"""Rows of other fields are written anew."""


console = Console()


@dataclass(frozen=True)
class ServingHome:
    """One data set's place.

    Attributes:
        source: the data set as ``flows.load`` names it.
        folder: holds ``dataset/``, ``bundle/`` and ``state/``, the home of the embedded servers.
    """

    source: str
    folder: Path

    @property
    def bundle_dir(self) -> Path:
        return self.folder / "bundle"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def dataset(self) -> Dataset:
        """The data set, made where it is missing. Raises DatasetError."""
        return prepare(self.source, self.folder / "dataset")

    def user_ids(self, count: int, seed: int = 7) -> list[str]:
        """Some of the data set's users in a seeded random order, each at most once."""
        everybody = [user.user_id for user in self.dataset().users()]
        return [everybody[n] for n in np.random.default_rng(seed).permutation(len(everybody))[:count]]


def prepared(source: str, homes: Path) -> ServingHome:
    """The place of a data set below a folder, with a bundle that this code can serve; trained where there is none."""
    home = ServingHome(source, homes / source.replace(":", "-").replace("/", "-"))
    try:
        Bundle.load(home.bundle_dir).check_features()
    except BundleError:
        dataset = home.dataset()
        events, items, users = list(dataset.events()), list(dataset.items()), list(dataset.users())
        with training_bars(console) as steps:
            train(events, items, users, LIGHT, steps).save(home.bundle_dir)
    return home


@contextmanager
def opened(home: ServingHome, **overrides: object) -> Iterator[Stack]:
    """Kafka, Redis with all rows, and Feast's registry: running until the context ends. Raises StackError.

    ``stack.settings`` serve the home's bundle with CANDIDATES candidates and make every answer anew.

    Args:
        overrides: other settings, by field.
    """
    served: dict[str, object] = {"bundle_dir": home.bundle_dir, "candidates": CANDIDATES, "answer_cache": 0}
    settings = load_settings(home=home.state_dir, **any_ports(), **(served | overrides))
    with Stack(settings, PARTS) as stack:
        mark = home.state_dir / MARK
        if not mark.exists() or json.loads(mark.read_text())["fields"] != FIELDS:
            mark.unlink(missing_ok=True)
            rows = fill(stack.settings, home.dataset())
            mark.write_text(json.dumps({"fields": FIELDS, "rows": rows}))
        renew(stack.settings, home.dataset())
        yield stack


def fill(settings: Settings, dataset: Dataset) -> dict[str, int]:
    """Write the rows of all views into an empty Redis. Returns how many each view has."""
    states, users = States(), list(dataset.users())
    favourites = SegmentFavourites(users)
    for event in tracked(dataset.events(), "states", unit="events"):
        states.apply(event)
        favourites.add(event)
    now_us = time.time_ns() // 1_000
    rows: dict[str, Iterable[tuple[str, tuple[Row, int]]]] = {
        "user_features": ((user, (state.row(), state.last_us)) for user, state in states.users.items()),
        "user_seen": ((user, (state.seen_row(), state.last_us)) for user, state in states.users.items()),
        "item_features": ((item, (state.row(), state.last_us)) for item, state in states.items.items()),
        "item_catalog": ((item.item_id, (item.row(), now_us)) for item in dataset.items()),
        "user_profile": ((user.user_id, (user.row(), now_us)) for user in users),
        SEGMENT_FAVOURITES.name: ((segment, (row, at)) for segment, at, row in favourites.rows()),
    }
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()
        store = OnlineStore(client, VIEWS)
        return {
            view: sum(store.write({view: dict(batch)}) for batch in tracked(_batches(each), view, unit="batches"))
            for view, each in rows.items()
        }


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    left = iter(rows)
    while batch := list(islice(left, ROWS_AT_ONCE)):
        yield batch


def renew(settings: Settings, dataset: Dataset) -> None:
    """Let one item have been met just now, as in a shop that is open."""
    item_id = next(iter(dataset.events())).item_id
    with redis.Redis.from_url(settings.redis_url) as client:
        store = OnlineStore(client, [ITEM_FEATURES])
        (row,) = store.read(ITEM_FEATURES.name, [item_id])
        if row is None:
            raise DatasetError(
                f"item {item_id} has no row in {settings.redis_url}; remove {settings.home} and try again"
            )
        now_us = time.time_ns() // 1_000
        store.write({ITEM_FEATURES.name: {item_id: (row.features | {"last_event_us": now_us}, now_us)}})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose homes, for every benchmark that serves from them."""
    parser.add_argument("--homes", type=Path, default=Path(".local/serving"), help="folder that they are kept in")
    parser.add_argument("--dataset", nargs="*", help=f"data sets (default: {' '.join(DATASETS)})")
    parser.add_argument("--quick", action="store_true", help=f"a smoke test: {' '.join(QUICK)}, everything short")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")


def chosen(options: argparse.Namespace) -> Sequence[ServingHome]:
    """The prepared homes that ``add_arguments``' options ask for."""
    names = options.dataset or (QUICK if options.quick else DATASETS)
    return [prepared(name, options.homes.absolute()) for name in names]


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write figures where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.home", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        for home in chosen(options):
            began = time.monotonic()
            with opened(home) as stack:
                stack.say("")
            filled = json.loads((home.state_dir / MARK).read_text())["rows"]
            console.print(f"{home.source}: {home.folder}, {filled} rows, {time.monotonic() - began:.0f} s")
    except (SettingsError, DatasetError, StackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
