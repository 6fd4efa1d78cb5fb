"""Do training and serving see the same numbers? ``python -m flows.skew`` compares them, row by row, bit by bit.

What was served (``flows.served``) against Feast's point-in-time join at the very clock of each request, finished by
the same function. The candidate sources' own columns are not compared: they are the model's, and recorded as served.

Rows may differ without anything being wrong, where an act was under way when the request was made: serving cannot know
it yet, the join does. Such rows are told apart ("in flight"); all others are skew. (So is an act that reaches the
log long after it was done: serving did not know it, and history does not tell when it came.)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psycopg
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from feature_repo.events import MICROSECONDS, Item, pseudonym
from feature_repo.item_table import ItemTable
from feature_repo.request_features import REQUEST_FEATURES
from feature_repo.schema import TIMESTAMP
from feature_repo.store import apply_definitions, open_store
from flows.backfill import erased_from_now_on, write_history
from flows.console import tracked
from flows.event_store import open_event_store
from flows.metadata import MetadataStore
from flows.served import served_rows
from flows.training_set import item_rows, user_rows
from infra.settings import Settings, SettingsError, load_settings
from models import registry
from models.bundle import Bundle, BundleError
from models.pairs import request_matrix

STREAM_S = 2.0
"""How long an act may be under way from its client to the online store, besides the item table's refreshing."""

MAX_LISTS = 2_000

EXAMPLES = 20

VISITORS = pseudonym("anonymous")
"""Who is asked for by a session of events alone (bento/recommender/schemas.py)."""

Flags = NDArray[np.bool_]
Floats = NDArray[np.float32]


class FeatureSkew(NamedTuple):
    """A feature's rows that differ, and the largest difference."""

    rows: int
    largest: float


@dataclass(frozen=True)
class Skew:
    """What the comparison found.

    Attributes:
        rows: compared. differ: of them, in any feature, without those in flight. in_flight: differ while the user or
            the item acted, or the catalogue entry was changed.
        left_out: reason -> rows that cannot be compared.
        features: of the rows that differ and are not in flight.
        examples: rows of ``served_rows`` that do, with ``features`` as "name: served, joined"; at most 20.
    """

    rows: int
    differ: int
    in_flight: int
    left_out: dict[str, int]
    features: dict[str, FeatureSkew] = field(default_factory=dict)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)

    def as_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        features = {name: each._asdict() for name, each in self.features.items()}
        counts = {"rows": self.rows, "differ": self.differ, "in_flight": self.in_flight, "left_out": self.left_out}
        return {**counts, "features": features, "examples": self.examples.to_dict("records")}


def measure(
    settings: Settings, since_us: int, until_us: int, *, under_way_s: float | None = None, limit: int = MAX_LISTS
) -> Skew:
    """Compare what was served with the point-in-time join. Writes the offline store anew first.

    Args:
        settings: of a stack that runs, or whose stores are reachable.
        since_us, until_us: which requests, microseconds since the epoch.
        under_way_s: how near an act must be to a request to be in flight; None: item_refresh_s + STREAM_S.
        limit: most lists (a seeded sample).
    """
    under_way_s = settings.item_refresh_s + STREAM_S if under_way_s is None else under_way_s
    served = _sample(served_rows(settings, since_us, until_us), limit)
    history = History.of(settings)
    rows, left_out = comparable(served, history)
    tables = _tables(settings, rows, history, left_out)
    rows = rows[rows["release"].isin(tables.keys())].reset_index(drop=True)
    if rows.empty:
        return Skew(0, 0, 0, dict(left_out))
    joined = _joined(settings, rows, tables)
    ours = rows.reindex(columns=list(REQUEST_FEATURES)).to_numpy(np.float32)
    return compared(rows, ours, joined, history.near(rows, round(under_way_s * MICROSECONDS)), dict(left_out))


def _sample(served: pd.DataFrame, limit: int) -> pd.DataFrame:
    lists = served["recommendation_id"].unique()
    if len(lists) <= limit:
        return served
    chosen = np.random.default_rng(0).choice(len(lists), limit, replace=False)
    return served[served["recommendation_id"].isin(lists[chosen])]


@dataclass(frozen=True)
class History:
    """Who acted on what and when, and when catalogue entries changed.

    Attributes:
        user_ids: pseudonym -> id of every user with an event or a profile.
        users, items: times of the events of each, ascending.
        entries: when each catalogue entry entered the log; catalogue: the entries.
    """

    user_ids: Mapping[str, str]
    users: Mapping[str, NDArray[np.int64]]
    items: Mapping[str, NDArray[np.int64]]
    entries: Mapping[str, int]
    catalogue: Sequence[Item]

    @classmethod
    def of(cls, settings: Settings) -> History:
        """Of the event store and the metadata; the offline store is written from them, too."""
        store, metadata = open_event_store(settings.event_store_url), MetadataStore(settings.database_url)
        with closing(store), closing(metadata):
            erased = erased_from_now_on(settings)
            entries, users = metadata.logged_items(), metadata.users()
            items = [item for item, _ in entries]
            events = tracked(store.scan(), "backfill", total=store.count(), unit="events")
            write_history(settings.offline_dir, events, items, users, erased)
            columns = ["user_id", "item_id", "time_us"]
            found = [table.select(columns).to_pandas() for table in store.tables()]
        acts = pd.concat([pd.DataFrame(columns=columns), *found])
        known = {*acts["user_id"].unique(), *(user.user_id for user in users)}
        return cls(
            {pseudonym(user_id): user_id for user_id in known},
            _times(acts, "user_id"),
            _times(acts, "item_id"),
            {item.item_id: logged_us for item, logged_us in entries},
            items,
        )

    def near(self, rows: pd.DataFrame, within_us: int) -> Flags:
        """Whether the user or the item acted, or the entry changed, so near to a row's clock: bool [len(rows)]."""
        columns = zip(rows["user_id"], rows["item_id"], rows["time_us"], strict=True)
        return np.array(
            [
                _any(self.users.get(user_id), now_us, within_us)
                or _any(self.items.get(item_id), now_us, within_us)
                or self.entries.get(item_id, 0) > now_us - within_us
                for user_id, item_id, now_us in columns
            ],
            np.bool_,
        )


def _times(acts: pd.DataFrame, entity: str) -> dict[str, NDArray[np.int64]]:
    return {name: np.sort(part.to_numpy(np.int64)) for name, part in acts.groupby(entity)["time_us"]}


def _any(times_us: NDArray[np.int64] | None, now_us: int, within_us: int) -> bool:
    if times_us is None:
        return False
    first, last = np.searchsorted(times_us, [now_us - within_us, now_us + within_us + 1])
    return bool(last > first)


def comparable(served: pd.DataFrame, history: History) -> tuple[pd.DataFrame, Counter[str]]:
    """Rows that a model ranked by stored features; with user_id (a pseudonym where it is unknown) and release."""
    reasons = {
        "not ranked": served.reindex(columns=list(REQUEST_FEATURES)).isna().all(axis=1),
        "fallback": served["fallback"].notna(),
        "a visitor's session, of which nothing is stored": served["user_key"] == VISITORS,
    }
    left_out: Counter[str] = Counter()
    kept = pd.Series(data=True, index=served.index)
    for reason, rows in reasons.items():
        left_out[reason] += int((rows & kept).sum())
        kept &= ~rows
    rows = served[kept].reset_index(drop=True)
    user_ids = [history.user_ids.get(key, key) for key in rows["user_key"]]
    return rows.assign(user_id=user_ids, release=rows["registered_version"].fillna("")), +left_out


def _tables(settings: Settings, rows: pd.DataFrame, history: History, left_out: Counter[str]) -> dict[str, ItemTable]:
    """The item table of each release that served, with the catalogue, by registered version ("": from a folder)."""
    found: dict[str, ItemTable] = {}
    for release, part in rows.groupby("release"):
        try:
            table = found[release] = _bundle(settings, release).new_item_table()
        except (registry.RegistryError, BundleError) as error:
            left_out[f"its release is gone: {error}"] += len(part)
            continue
        for item in history.catalogue:
            table.put_catalog(item.item_id, item.row())
    return found


def _bundle(settings: Settings, release: str) -> Bundle:
    if not release:
        if settings.bundle_dir is None:
            raise BundleError("it was served from a folder, and FRESHET_BUNDLE_DIR is not set")
        return Bundle.load(settings.bundle_dir)
    with tempfile.TemporaryDirectory(prefix="freshet-") as folder:
        return Bundle.load(registry.download(settings, release, Path(folder)))


def _joined(settings: Settings, rows: pd.DataFrame, tables: Mapping[str, ItemTable]) -> Floats:
    """Request features by the point-in-time join: float32 [len(rows), len(REQUEST_FEATURES)]."""
    store = open_store(settings)
    apply_definitions(store)
    stamps = pd.to_datetime(rows["time_us"], unit="us", utc=True).astype("datetime64[us, UTC]")
    pairs = rows[["user_id", "item_id", "release"]].assign(**{TIMESTAMP: stamps})
    users, items = user_rows(store, pairs), item_rows(store, pairs)
    out = np.empty((len(rows), len(REQUEST_FEATURES)), np.float32)
    for release, part in pairs.groupby("release"):
        out[part.index] = request_matrix(part.reset_index(drop=True), users, items, tables[release])
    return out


def compared(rows: pd.DataFrame, ours: Floats, joined: Floats, near: Flags, left_out: dict[str, int]) -> Skew:
    """The comparison of n rows.

    Args:
        rows: [n] of ``served_rows``; ours, joined: float32 [n, len(REQUEST_FEATURES)] as served, and as joined.
        near: [n] whether an act excuses a difference.
        left_out: what is not among them, and why.
    """
    unlike = (ours != joined) & ~(np.isnan(ours) & np.isnan(joined))
    differ = unlike.any(1)
    skewed = differ & ~near
    gaps = np.where(unlike, np.abs(ours.astype(np.float64) - joined), 0)[skewed]
    features = {
        name: FeatureSkew(int(unlike[skewed, n].sum()), float(gaps[:, n].max()))
        for n, name in enumerate(REQUEST_FEATURES)
        if unlike[skewed, n].any()
    }
    some = np.flatnonzero(skewed)[:EXAMPLES]
    columns = ["recommendation_id", "user_key", "item_id", "position", "time_us"]
    examples = rows.loc[some, columns].assign(features=[_how(ours[n], joined[n], unlike[n]) for n in some])
    return Skew(len(rows), int(skewed.sum()), int((differ & near).sum()), left_out, features, examples)


def _how(ours: Floats, joined: Floats, unlike: Flags) -> str:
    names = np.array(REQUEST_FEATURES)[unlike]
    pairs = zip(names, ours[unlike], joined[unlike], strict=True)
    return "; ".join(f"{name}: {served:.9g}, {told:.9g}" for name, served, told in pairs)


def table_of(skew: Skew) -> Table:
    """The comparison for people."""
    share = f" ({skew.in_flight / skew.rows:.2%})" if skew.rows else ""
    table = Table(title="Served values against the point-in-time join, bit by bit")
    table.add_column("")
    table.add_column("rows", justify="right")
    table.add_column("largest difference", justify="right")
    table.add_row("compared", f"{skew.rows:,}", "")
    table.add_row("differ, an act was in flight", f"{skew.in_flight:,}{share}", "")
    table.add_row("differ otherwise", f"{skew.differ:,}", "")
    for name, found in skew.features.items():
        table.add_row(f"  {name}", f"{found.rows:,}", f"{found.largest:.3g}")
    for reason, rows in skew.left_out.items():
        table.add_row(f"not compared: {reason}", f"{rows:,}", "")
    return table


def main() -> int:
    """Print the comparison of the last hours; 1 when rows differ that were not in flight."""
    parser = argparse.ArgumentParser(description="Compare served feature values with the point-in-time join.")
    parser.add_argument("--hours", type=float, default=24.0, help="how far back (default: 24)")
    parser.add_argument("--lists", type=int, default=MAX_LISTS, help=f"most lists, a sample (default: {MAX_LISTS})")
    parser.add_argument("--in-flight", type=float, metavar="S", help="how near an act excuses a row; 0: none is")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args()
    now_us = time.time_ns() // 1_000
    try:
        settings = load_settings()
        since_us = now_us - round(chosen.hours * 3_600 * MICROSECONDS)
        found = measure(settings, since_us, now_us, under_way_s=chosen.in_flight, limit=chosen.lists)
    except (SettingsError, OSError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        print(json.dumps(found.as_json()))
    else:
        Console().print(table_of(found), *([found.examples.to_string(index=False)] if found.differ else []))
    return 1 if found.differ else 0


if __name__ == "__main__":
    sys.exit(main())
