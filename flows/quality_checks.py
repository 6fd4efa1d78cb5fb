"""Whether served rows are fit to be judged at all: what is broken is to be mended, not to be learned.

Pure functions of data frames. Event types need no check here: ingest and the dataflow take those of the schema only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from models.sources import SOURCES

KNOWN_SOURCES = frozenset((*SOURCES, "new", "segment", "popular", "static"))
"""What an item of a list can come from: the model's own sources, exploration, and the fallbacks."""

CHANCE = 1e-6
"""A feature that never varies is an alert only where chance alone would do that less often."""


class Alert(NamedTuple):
    """Something that a person should look at.

    Attributes:
        check: ``nulls``, ``constant``, ``unknown source``, ``unknown item`` or ``silence``.
        feature: the column; None: the whole.
        message: a sentence with the figures.
    """

    check: str
    feature: str | None
    message: str


def nulls(rows: pd.DataFrame, features: Sequence[str], max_share: float) -> Iterator[Alert]:
    """Features that are missing in more than a share of the rows.

    Args:
        rows: ranked rows; a feature that has no column is missing in all.
        features: names that the model was trained with.
    """
    for name in features:
        share = float(rows[name].isna().mean()) if name in rows and len(rows) else float(len(rows) > 0)
        if share > max_share:
            yield Alert(
                "nulls", name, f"{name} is missing in {share:.1%} of {len(rows):,} rows, allowed {max_share:.1%}"
            )


def constants(reference: pd.DataFrame, rows: pd.DataFrame, features: Sequence[str], lists: int) -> Iterator[Alert]:
    """Features that have one value only, though the reference has others often enough.

    Args:
        lists: number of lists that the rows belong to: rows of one list are no independent looks.
    """
    for name in features:
        if name not in rows or name not in reference:
            continue
        values, known = rows[name].dropna(), reference[name].dropna()
        if len(values) and len(known) and values.nunique() == 1:
            value = values.iloc[0]
            usual = float(np.mean(known == value))
            if usual ** max(lists, 1) < CHANCE:
                yield Alert(
                    "constant",
                    name,
                    f"{name} is {value:g} in all {len(values):,} rows, in {usual:.1%} of the reference",
                )


def unknown(rows: pd.DataFrame, catalogue: Collection[str], max_share: float) -> Iterator[Alert]:
    """Sources that no list knows, and items that the catalogue does not have (more than a share of the rows)."""
    if rows.empty:
        return
    for source, count in rows.loc[~rows["source"].isin(KNOWN_SOURCES), "source"].value_counts(dropna=False).items():
        yield Alert("unknown source", "source", f"source {source!r} is new, in {count:,} of {len(rows):,} rows")
    strange = rows.loc[~rows["item_id"].isin(catalogue), "item_id"]
    if len(strange) / len(rows) > max_share:
        yield Alert(
            "unknown item",
            "item_id",
            f"{len(strange):,} of {len(rows):,} rows show items that the catalogue does not have, "
            f"{strange.value_counts().index[0]!r} most often",
        )


def silence(what: str, newest_us: int | None, now_us: int, longest_s: float) -> Iterator[Alert]:
    """Nothing new for too long.

    Args:
        what: "served row" or "event".
        newest_us: time of the newest, microseconds since the epoch; None: there is none.
    """
    if newest_us is None:
        yield Alert("silence", None, f"no {what} at all")
    elif (gone_s := (now_us - newest_us) / 1e6) > longest_s:
        yield Alert("silence", None, f"no {what} for {gone_s:,.0f} s, longest allowed {longest_s:,.0f} s")
