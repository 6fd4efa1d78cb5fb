"""The tables of ``benchmarks.growth``: for the terminal, and for docs/benchmarks.md between two marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks.growth_bounds import Figures, Verdict

MARK, END = "python -m benchmarks.growth", "<!-- end -->"
MIB = 2**20


class Shown(NamedTuple):
    """One table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def rich(self) -> Table:
        """For the terminal."""
        # A column's name may come twice: for a terminal it is enough that its place tells.
        table = Table(title=self.title, caption=self.note, title_justify="left", caption_justify="left")
        for column in self.columns:
            table.add_column(column, justify="left" if column == "bound" else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a document."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{self.title}:\n\n{text}" + (f"\n\n{self.note}" if self.note else "")


def put(document: str, block: str, mark: str = MARK) -> str:
    """The document with a block between ``<!-- mark: begin -->`` and END. Raises ValueError without them."""
    begin = f"<!-- {mark}: begin -->"
    head, found, rest = document.partition(begin)
    _, end, tail = rest.partition(END)
    if not found or not end:
        raise ValueError(f"the document has no place between {begin} and {END}")
    return f"{head}{begin}\n\n{block.strip()}\n\n{END}{tail}"


def report_tables(
    points: Sequence[Figures], sizes: Mapping[str, Any] | None, judged: Sequence[Verdict]
) -> Sequence[Shown]:
    """All tables; ``sizes``: of ``growth_sizes``, where they were taken."""
    ordered = sorted(points, key=lambda point: (point["items"], point["users"]))
    return [
        _stream(ordered),
        _memory(ordered),
        _requests(ordered),
        *([_users(sizes), _events(sizes)] if sizes else []),
        _bounds(judged),
    ]


def _size(point: Figures) -> tuple[str, str]:
    return f"{point['users']:,}", f"{point['items']:,}"


def _stream(points: Sequence[Figures]) -> Shown:
    rows = []
    for point in points:
        ways = [point["stream"][way] for way in ("few", "everybody", "waiting")]
        costs = (f"{way['cpu_us']:,.0f} ({way['rows']:.1f})" for way in ways)
        redis_us = (f"{way['redis_us']:,.0f}" for way in ways[1:])
        rows.append((*_size(point), *costs, f"{1e6 / ways[2]['cpu_us']:,.0f}", f"{ways[2]['per_s']:,.0f}", *redis_us))
    columns = ("users", "items", "1,000 users act", "everybody acts", "waiting", "waiting, events/s/core",
               "on the clock", "Redis, everybody", "Redis, waiting")  # fmt: skip
    return Shown("CPU us an event (rows it writes)", columns, rows)


def _memory(points: Sequence[Figures]) -> Shown:
    rows = []
    for point in points:
        stream, asked = point["stream"], point["requests"]
        sizes = (stream["rss_bytes"], stream["redis_bytes"], asked["rss_bytes"], asked["bundle_bytes"])
        hashes = (stream["user_hash_bytes"], stream["item_hash_bytes"], stream["rebuild_s"])
        texts = (*(f"{size / MIB:,.0f}" for size in sizes), *(f"{value:,.0f}" for value in hashes))
        rows.append((*_size(point), *texts))
    columns = ("users", "items", "dataflow", "Redis", "recommender", "release on disk", "bytes of a user's hash",
               "of an item's", "s to count anew")  # fmt: skip
    return Shown("Memory, MiB", columns, rows)


def _requests(points: Sequence[Figures]) -> Shown:
    rows = []
    for point in points:
        asked, timely = point["requests"], point["requests"]["on_time"]
        rows.append(
            (
                *_size(point),
                f"{asked['cpu_ms']:.2f}",
                f"{1e3 / asked['cpu_ms']:,.0f}",
                f"{asked['per_s']:,.0f}",
                *(f"{asked[name]:,.1f}" for name in ("p50_ms", "p99_ms")),
                *(f"{timely[name]:,.1f}" for name in ("cpu_ms", "p50_ms", "p99_ms")),
                f"{asked['redis_us']:,.0f}",
                f"{asked['start_s']:.0f}",
            )
        )
    columns = ("users", "items", "CPU ms", "requests/s/core", "on the clock", "p50 ms", "p99 ms", "CPU ms at 50/s",
               "p50 ms at 50/s", "p99 ms at 50/s", "Redis us", "start s")  # fmt: skip
    return Shown("Requests, saturated by 4 connections, then 50 a second on time", columns, rows)


def _users(sizes: Mapping[str, Any]) -> Shown:
    names = ("state", "snapshot", "redis", "redis_compact")
    rows = [(acts, *(f"{user[name]:,.0f}" for name in names)) for acts, user in sizes["users"].items()]
    columns = ("acts", "in the dataflow", "snapshot", "in Redis", "in Redis, hash-max-listpack-value 2048")
    return Shown("Bytes of one user by what he did within 30 days", columns, rows)


def _events(sizes: Mapping[str, Any]) -> Shown:
    event, door, backfill = sizes["event"], sizes["ingest"], sizes["backfill"]
    columns = ("message", "its key", "lz4 of 1,000", "zstd of 1,000", "Parquet", "BSON", "rows of the offline store",
               "ingest, one a POST", "ingest, 20 a POST", "backfill")  # fmt: skip
    names = ("message", "key", "lz4", "zstd", "parquet", "bson")
    costs = (door["one_us"], door["array_us"], backfill["cpu_us"])
    sized = (*(event[name] for name in names), backfill["bytes"])
    row = (*(f"{size:,.0f}" for size in sized), *(f"{cost:,.0f} us" for cost in costs))
    return Shown("One event: bytes, and CPU", columns, [row])


def _bounds(judged: Sequence[Verdict]) -> Shown:
    rows = [(each.what, each.found, each.allowed, "held" if each.held else "**broken**") for each in judged]
    return Shown("Bounds, said before anything was measured", ("bound", "found", "allowed", ""), rows)
