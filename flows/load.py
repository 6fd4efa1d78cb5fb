"""Loads a data set into Freshet: ``python -m flows.load [--dataset DIR|ml-100k|...] [--convert-only DIR]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from rich.console import Console

from flows.dataset import Dataset, DatasetError, open_dataset
from flows.loader import Loaded, LoadError, load_dataset
from flows.movielens import convert_1m, convert_100k
from flows.synthetic import ShopSize, write_shop
from infra.settings import Settings, SettingsError, load_settings

console = Console()


@flow(name="load", log_prints=True)
def load(dataset: str = "") -> dict[str, float]:
    """Load a data set through ingest; empty: the one that the setting DATASET names."""
    settings = load_settings()
    return run(settings, dataset or settings.dataset)._asdict()


def run(settings: Settings, source: str) -> Loaded:
    """Load what a source names. Raises DatasetError, LoadError."""
    return load_dataset(settings, prepare(source, settings.home / "dataset"))


def prepare(source: str, folder: Path) -> Dataset:
    """The data set folder of a source: the source itself, or MovieLens or a made-up shop, made once in ``folder``.

    Args:
        source: ``ml-100k``, ``ml-1m:PATH`` (zip file or folder), ``synthetic:USERSxITEMS``, or a data set folder.
        folder: where conversions are kept, so that loading again loads the same events.
    """
    name, _, path = source.partition(":")
    if name == "synthetic" and path:
        made = folder / source.replace(":", "-")
        return open_dataset(made) if made.is_dir() else convert(source, made)
    if name in ("ml-100k", "ml-1m") and not (folder / name).is_dir():
        convert(source, folder / name)
    if name == "ml-100k" or (name == "ml-1m" and path):
        return open_dataset(folder / name)
    return open_dataset(Path(source).expanduser())


def convert(source: str, folder: Path) -> Dataset:
    """Write MovieLens or a made-up shop as a data set folder. Raises DatasetError."""
    name, _, path = source.partition(":")
    now = datetime.now(UTC)
    if name == "ml-100k":
        return convert_100k(folder, now)
    if name == "ml-1m" and path:
        return convert_1m(Path(path).expanduser(), folder, now)
    if name == "synthetic" and path:
        return write_shop(folder, ShopSize.parse(path), now)
    raise DatasetError(f"{source}: cannot be converted; ml-100k, ml-1m:PATH and synthetic:USERSxITEMS can")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.load", description=__doc__)
    parser.add_argument("--dataset", help="folder, ml-100k, ml-1m:PATH, or synthetic:USERSxITEMS (default: $DATASET)")
    parser.add_argument("--convert-only", type=Path, metavar="DIR", help="write the data set folder and load nothing")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        source = options.dataset or settings.dataset
        if options.convert_only:
            console.print(f"wrote {convert(source, options.convert_only).folder}")
            return 0
        loaded = run(settings, source)
    except (SettingsError, DatasetError, LoadError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(
        f"loaded {loaded.items:,} items, {loaded.users:,} users, {loaded.events:,} events: "
        f"{loaded.sending_s:.1f} s to send, {loaded.waiting_s:.1f} s more until the features were there"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
