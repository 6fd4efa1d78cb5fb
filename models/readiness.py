"""Whether a training can go on at all: what is missing is said before hours are spent or anything is written."""

from __future__ import annotations

from collections.abc import Sized

import pandas as pd

from feature_repo.events import iso_seconds
from models.training import MIN_EVENTS, Plan


class CannotTrain(ValueError):
    """The data do not make a model; the message says what is missing and what to do."""


def check_data(events: Sized, items: Sized, users: Sized) -> None:
    """Refuse data of too few events, or without a catalogue."""
    read = f"{len(events):,} events, {len(items):,} items and {len(users):,} profiles were read"
    if len(events) < MIN_EVENTS:
        raise CannotTrain(
            f"events: {read}; at least {MIN_EVENTS} events are needed: load a data set (make load DATASET=...), "
            "or check EVENT_STORE_URL and that the dataflow runs"
        )
    if not len(items):
        raise CannotTrain(f"items: {read}; only items of the catalogue are recommended: PUT /items/ID, or items.jsonl")


def check_windows(plan: Plan) -> None:
    """Refuse a window of time without a moment: without an item that some user met there for the first time."""
    history, split = plan.history, plan.split
    labelled = history.time_us[history.weight > 0]
    begin = int(history.time_us.min())
    windows = {
        "the retriever's window (first 85 % of events)": (begin, split.validation_us),
        "the ranker's window (85-90 %)": (split.validation_us, split.test_us),
        "the test window (last 10 %)": (split.test_us, split.end_us),
    }
    for name, (since_us, until_us) in windows.items():
        if not ((labelled >= since_us) & (labelled < until_us)).any():
            raise CannotTrain(
                f"{name}, {iso_seconds(since_us)} to {iso_seconds(until_us)}, is empty: "
                "no user met an item for the first time there "
                "(remove_from_cart does not count); more events are needed"
            )


def check_labels(pairs: pd.DataFrame) -> None:
    """Refuse pairs of which all or none were chosen: they teach no order."""
    if not len(pairs):
        raise CannotTrain(
            "labels: all of one class: in the ranker's window no user chose any item that would have been offered "
            "to him; more events are needed"
        )
    if (pairs["label"] > 0).all():
        raise CannotTrain(
            "labels: all of one class: in the ranker's window users chose every item that would have been offered "
            "to them; a larger catalogue is needed"
        )
