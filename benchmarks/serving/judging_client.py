"""A watching client that notes of each answer which model gave it, and whether anything in it was bad.

``python -m benchmarks.serving.judging_client URL RATE``: as ``watching_client``. It prints one JSON array a request:
when it was due and when it was answered (seconds since the epoch), the status (0: no answer), the model's version, the
variant, and whether a score was no number.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from benchmarks.serving.watching_client import PATIENCE_S, WatchingClient


class Judged(NamedTuple):
    """One answer."""

    due: float
    answered: float
    status: int
    version: str | None
    variant: str | None
    is_bad: bool


class JudgingClient(WatchingClient):
    """Looks into every answer."""

    async def _ask(self, user: str, due: float) -> Any:
        try:
            status, body = await asyncio.wait_for(self._get(f"/recommend?user_id={quote(user)}&k=10"), PATIENCE_S)
        except (OSError, EOFError, TimeoutError):
            return Judged(due, time.time(), 0, None, None, False)
        answered = time.time()
        if status != 200:
            return Judged(due, answered, status, None, None, False)
        answer = orjson.loads(body)
        is_bad = any(item["score"] is None for item in answer["recommendations"])
        return Judged(due, answered, status, answer["model_version"], answer["variant"], is_bad)


async def _main(url: str, rate: float) -> list[Any]:
    users, ended = sys.stdin.readline().split(), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)  # nothing more comes but its end
    return await JudgingClient(url).run(users, rate, ended)


def main() -> None:
    """The command line."""
    url, rate = sys.argv[1:]
    answers = asyncio.run(_main(url, float(rate)))
    sys.stdout.buffer.write(b"\n".join(orjson.dumps(tuple(each)) for each in answers))


if __name__ == "__main__":
    main()
