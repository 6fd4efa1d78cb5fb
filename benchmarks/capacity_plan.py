"""The arithmetic of ``benchmarks.capacity``: from what was measured and what is wished to how much of everything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

DAY_S = 86_400
CROSSING_US = 192 - 69
"""docs/benchmarks.md, Throughput: what an event costs more when users and items live in two processes."""

SEARCH_MORE_MS = 1.45 - 0.39
"""docs/benchmarks.md, The index: search among a million vectors, and among 100,000."""

OUTCOME_US = 137
"""docs/benchmarks.md, Outcomes: a shown list through its dataflow."""

TRAIN_S, TRAIN_EVENTS = 314, 850_000
"""docs/benchmarks.md, Quality: CPU seconds of a training on so many events (MovieLens-1M, the first 85 %)."""


@dataclass(frozen=True)
class Wish:
    """What is to be carried; all of it assumed.

    Attributes:
        events: a day; peak: the busiest second over the mean one.
        users: known ones; active: share of them who act on a day; items: in the catalogue.
        events_per_request: acts that one list leads to.
        busy: how much of a core, or of a server's memory, is used at the peak.
        replicas: of the log and of Redis' nodes (one more); days: how long the log keeps events.
        node_gb: memory of a Redis server.
        sample: events that a model is trained on.
    """

    events: float = 1e9
    peak: float = 3
    users: float = 1e8
    active: float = 0.2
    items: float = 1e6
    events_per_request: float = 5
    busy: float = 0.6
    replicas: int = 3
    days: int = 7
    node_gb: float = 64
    sample: float = 1e7


class Line(NamedTuple):
    """One step: what, the arithmetic, the result, and where its numbers are from."""

    what: str
    how: str
    result: str
    source: str


class Measured(NamedTuple):
    """The figures that the arithmetic starts from; bytes and microseconds.

    Attributes:
        event_us, waiting_us: CPU of the dataflow an event as it comes, and from a backlog, at most users.
        redis_us, request_redis_us: of Redis an event and a request; rows: that an event writes.
        request_ms: CPU of a request at most items; base_bytes, item_bytes: memory of a recommender, and of each item.
        rebuild_per_s: events a second that a dataflow without states reads.
        sizes: of ``benchmarks.growth_sizes``; impression: bytes of a shown list's message.
        item_hash: bytes of an item in Redis.
    """

    event_us: float
    waiting_us: float
    redis_us: float
    rows: float
    request_redis_us: float
    request_ms: float
    base_bytes: float
    item_bytes: float
    rebuild_per_s: float
    impression: float
    item_hash: float
    sizes: Mapping[str, Any]

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Measured:
        """From the file of ``benchmarks.growth``."""
        points = list(figures["points"].values())
        crowd = max(points, key=lambda each: (each["users"], each["items"]))
        large = max(points, key=lambda each: (each["items"], each["users"]))
        small = min((each for each in points if each["users"] == large["users"]), key=lambda each: each["items"])
        comes = crowd["stream"]["everybody"]
        more = large["requests"]["rss_bytes"] - small["requests"]["rss_bytes"]
        item_bytes = more / max(1, large["items"] - small["items"])
        return cls(
            event_us=comes["cpu_us"],
            waiting_us=crowd["stream"]["waiting"]["cpu_us"],
            redis_us=comes["redis_us"],
            rows=comes["rows"],
            request_redis_us=large["requests"]["redis_us"],
            request_ms=large["requests"]["cpu_ms"],
            base_bytes=large["requests"]["rss_bytes"] - item_bytes * large["items"],
            item_bytes=item_bytes,
            rebuild_per_s=crowd["stream"]["acts_per_user"] * crowd["users"] / crowd["stream"]["rebuild_s"],
            impression=large["requests"]["impression_bytes"],
            item_hash=large["stream"]["item_hash_bytes"],
            sizes=figures["sizes"],
        )


def plan(found: Measured, wish: Wish) -> dict[str, list[Line]]:
    """All steps by section."""
    mean = wish.events / DAY_S
    return {
        "Load": _load(wish),
        "Ingest": _ingest(found, wish, mean),
        "Log": _log(found, wish, mean),
        "Dataflow": _dataflow(found, wish, mean),
        "Redis": _redis(found, wish, mean),
        "Recommender": _recommender(found, wish, mean),
        "Event store and offline": _offline(found, wish),
    }


def _load(wish: Wish) -> list[Line]:
    mean, asked = wish.events / DAY_S, wish.events / wish.events_per_request / DAY_S
    return [
        Line("events a second", f"{wish.events:,.0f} / {DAY_S:,} s", f"{mean:,.0f}", "wish"),
        Line("at the peak", f"x {wish.peak:g}", f"{wish.peak * mean:,.0f}", "assumed"),
        Line("requests a second", f"an act in {wish.events_per_request:g} asks", f"{asked:,.0f}", "assumed"),
        Line("at the peak", f"x {wish.peak:g}", f"{wish.peak * asked:,.0f}", "assumed"),
        Line(
            "acts of an active user a day",
            f"{wish.events:,.0f} / ({wish.users:,.0f} users x {wish.active:g})",
            f"{wish.events / (wish.users * wish.active):,.0f}",
            "assumed",
        ),
    ]


def _ingest(found: Measured, wish: Wish, mean: float) -> list[Line]:
    door, peak = found.sizes["ingest"], wish.peak * mean
    return [
        _cores("cores, arrays of 20", peak, door["array_us"], wish),
        _cores("cores, one event a POST", peak, door["one_us"], wish),
    ]


def _cores(what: str, per_s: float, us: float, wish: Wish, more: str = "") -> Line:
    how = f"{per_s:,.0f}/s x {us:,.0f} µs{more} / {wish.busy:g}"
    return Line(what, how, f"{_up(per_s * us / 1e6 / wish.busy):,}", "computed from measured")


def _log(found: Measured, wish: Wish, mean: float) -> list[Line]:
    sizes = found.sizes["event"]
    each, asked = sizes["message"] + sizes["key"], mean / wish.events_per_request
    raw, packed = each * wish.events, sizes["zstd"] * wish.events
    lists = found.impression * asked * DAY_S
    kept = wish.days * wish.replicas
    return [
        Line("bytes of an event", "message and key, without the record's frame", f"{each:,.0f}", "measured"),
        Line("into the log", f"{mean:,.0f}/s x {each:,.0f} B", f"{mean * each / 1e6:,.1f} MB/s", "computed"),
        Line("at the peak", f"x {wish.peak:g}", f"{wish.peak * mean * each / 1e6:,.1f} MB/s", "computed"),
        Line(
            "disk, as it is sent",
            f"{raw / 1e9:,.0f} GB a day x {wish.days} days x {wish.replicas} copies",
            f"{kept * raw / 1e12:,.1f} TB",
            "computed",
        ),
        Line(
            "disk, if brokers keep zstd",
            f"{sizes['zstd']:,.0f} B each in batches of 1,000",
            f"{kept * packed / 1e12:,.1f} TB",
            "measured size; brokers not tried",
        ),
        Line(
            "shown lists besides",
            f"{asked:,.0f}/s x {found.impression:,.0f} B, before lz4",
            f"{lists / 1e12:,.1f} TB a day",
            "measured size",
        ),
    ]


def _dataflow(found: Measured, wish: Wish, mean: float) -> list[Line]:
    peak, users = wish.peak * mean, found.sizes["users"]
    us, late_us = found.event_us + CROSSING_US, found.waiting_us + CROSSING_US
    processes = _up(peak * us / 1e6 / wish.busy)
    partitions = 2 ** math.ceil(math.log2(processes))
    acting, quiet = wish.users * wish.active, wish.users * (1 - wish.active)
    states = acting * users["200"]["state"] + quiet * users["20"]["state"]
    snapshots = acting * users["200"]["snapshot"] + quiet * users["20"]["snapshot"]
    return [
        Line("CPU of an event", "in small batches, each writing its rows", f"{found.event_us:,.0f} µs", "measured"),
        Line("users and items in different processes", "192 - 69 µs", f"+ {CROSSING_US} µs", "quoted: Throughput"),
        _cores("**processes**", peak, us, wish),
        Line("partitions", "the next power of two", f"{partitions}", "computed"),
        Line(
            "catching up after an hour of standstill",
            f"{3_600 * mean:,.0f} events / ({processes} / {late_us:,.0f} µs - {mean:,.0f}/s that still come)",
            f"{3_600 * mean / (processes * 1e6 / late_us - mean) / 60:,.1f} min",
            "computed; events that wait come in large batches",
        ),
        Line(
            "memory of states",
            f"{acting:,.0f} x {users['200']['state']:,.0f} B (200 acts) + {quiet:,.0f} x "
            f"{users['20']['state']:,.0f} B (20 acts)",
            f"{states / 1e9:,.0f} GB",
            "computed from measured",
        ),
        Line("a process", f"{states / 1e9:,.0f} GB / {processes}", f"{states / processes / 1e9:,.1f} GB", "computed"),
        Line(
            "snapshots on disk",
            f"the same users, {users['200']['snapshot']:,.0f} and {users['20']['snapshot']:,.0f} B",
            f"{snapshots / 1e9:,.0f} GB",
            "computed from measured",
        ),
        Line(
            "counting anew from the event store",
            f"a day's {wish.events:,.0f} events / ({found.rebuild_per_s:,.0f}/s x {processes})",
            f"{wish.events / found.rebuild_per_s / processes / 60:,.0f} min for each day of history",
            "extrapolated from one process",
        ),
        _cores("outcomes of shown lists, cores", peak / wish.events_per_request, OUTCOME_US, wish),
    ]


def _redis(found: Measured, wish: Wish, mean: float) -> list[Line]:
    users, peak = found.sizes["users"], wish.peak * mean
    acting, quiet = wish.users * wish.active, wish.users * (1 - wish.active)
    lines, fits = [], wish.node_gb * 1e9 * wish.busy
    for how, name in (("as it comes", "redis"), ("hash-max-listpack-value 2048", "redis_compact")):
        total = acting * users["200"][name] + quiet * users["20"][name] + wish.items * found.item_hash
        arithmetic = f"{acting:,.0f} x {users['200'][name]:,.0f} B + {quiet:,.0f} x {users['20'][name]:,.0f} B + items"
        lines.append(Line(f"memory, {how}", arithmetic, f"{total / 1e9:,.0f} GB", "computed from measured"))
        nodes = f"{_up(total / fits)}, as many again for copies"
        lines.append(
            Line(f"**servers of {wish.node_gb:g} GB**", f"/ ({wish.node_gb:g} GB x {wish.busy:g})", nodes, "computed")
        )
    asked = peak / wish.events_per_request
    work = (peak * found.redis_us + asked * found.request_redis_us) / 1e6
    how = (
        f"{peak:,.0f}/s x {found.redis_us:,.0f} µs ({found.rows:.1f} rows each) + {asked:,.0f}/s x "
        f"{found.request_redis_us:,.0f} µs, / {wish.busy:g}"
    )
    return [*lines, Line("cores of Redis", how, f"{_up(work / wish.busy)}", "computed from measured")]


def _recommender(found: Measured, wish: Wish, mean: float) -> list[Line]:
    asked, ms = wish.peak * mean / wish.events_per_request, found.request_ms + SEARCH_MORE_MS
    memory = found.base_bytes + wish.items * found.item_bytes
    more = f"{found.request_ms:.2f} ms + {SEARCH_MORE_MS:.2f} ms"
    return [
        Line("CPU of a request", more, f"{ms:.2f} ms", "measured at the largest catalogue; quoted: The index"),
        Line(
            "**workers**",
            f"{asked:,.0f}/s x {ms:.2f} ms / {wish.busy:g}",
            f"{_up(asked * ms / 1e3 / wish.busy):,}",
            "computed from measured",
        ),
        Line(
            "memory of a worker",
            f"{found.base_bytes / 1e6:,.0f} MB + {wish.items:,.0f} items x {found.item_bytes:,.0f} B",
            f"{memory / 1e9:,.1f} GB",
            "extrapolated tenfold",
        ),
        Line(
            "while a release is changed",
            "two of them stand side by side",
            f"{(memory + wish.items * found.item_bytes) / 1e9:,.1f} GB",
            "computed",
        ),
    ]


def _offline(found: Measured, wish: Wish) -> list[Line]:
    event, backfill = found.sizes["event"], found.sizes["backfill"]
    hours = wish.events * backfill["cpu_us"] / 1e6 / 3_600
    training_s = wish.sample / TRAIN_EVENTS * TRAIN_S
    return [
        Line(
            "Parquet a day",
            f"{wish.events:,.0f} x {event['parquet']:,.0f} B",
            f"{wish.events * event['parquet'] / 1e9:,.0f} GB",
            "measured size",
        ),
        Line(
            "MongoDB a day",
            f"{wish.events:,.0f} x {event['bson']:,.0f} B, before its compression, without 3 indexes",
            f"{wish.events * event['bson'] / 1e9:,.0f} GB",
            "measured size; no MongoDB was",
        ),
        Line(
            "offline store a day",
            f"{wish.events:,.0f} x {backfill['bytes']:,.0f} B",
            f"{wish.events * backfill['bytes'] / 1e9:,.0f} GB",
            "measured size",
        ),
        Line(
            "**backfill of a day, one process**",
            f"{wish.events:,.0f} x {backfill['cpu_us']:,.0f} µs",
            f"{hours:,.0f} h",
            "computed from measured",
        ),
        Line(
            "cores of Spark to do it in an hour",
            f"{hours:,.0f} h / {wish.busy:g}",
            f"{_up(hours / wish.busy)}",
            "assumed to cost a core as much as one process; of 100,000 events Spark took 7 times that",
        ),
        Line(
            f"training on {wish.sample:,.0f} events",
            f"{wish.sample / TRAIN_EVENTS:.1f} x {TRAIN_S} CPU-s",
            f"{training_s / 3_600:.1f} h of a core",
            "extrapolated; quoted: Quality",
        ),
    ]


def _up(value: float) -> int:
    return math.ceil(value)
