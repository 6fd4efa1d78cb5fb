"""What answers are written with: items, clocks, and the refusal of a field."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from bento.errors import Invalid
from bento.recommender.ask import Choice, Json
from bento.recommender.release import Release
from infra.settings import Settings


def items_of(release: Release, choice: Choice) -> list[Json]:
    """A list as the contract has it."""
    table = release.catalog.table
    return [
        {"item_id": table.ids[n], "score": score, "source": source}
        | ({"title": title} if (title := table.titles[n]) else {})
        for n, score, source in zip(choice.numbers.tolist(), choice.scores.tolist(), choice.sources, strict=True)
    ]


def invalid(field: str, message: str) -> Invalid:
    """The refusal of a field."""
    return Invalid(f"{field}: {message}", [{"field": field, "message": message}])


def check_k(k: int, settings: Settings) -> None:
    """Raise Invalid when more items are asked for than one request may."""
    if k > settings.max_k:
        raise invalid("k", f"must be at most {settings.max_k}, not {k}")


def clock_us() -> int:
    """Now, microseconds since the epoch."""
    return time.time_ns() // 1_000


def iso(time_us: int) -> str:
    """A time in microseconds as ISO 8601, in UTC."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
