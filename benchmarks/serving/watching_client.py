"""A client that asks for recommendations on time whatever the server does, and notes of each answer what it was.

``python -m benchmarks.serving.watching_client URL RATE`` sends GET /recommend for users in a seeded random order at the
moments of a Poisson process. The first line of its input names the users; it asks until the input ends. It is run as a
process of its own beside what is measured, and
prints one JSON array a request: when it was due (seconds since the epoch), how long after that it was answered,
the status (0: no answer), and the fallback.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

import numpy as np
import orjson

PATIENCE_S = 15.0
SEED = 7

Seen = tuple[float, float, int, str | None]
"""due, seconds, status, fallback"""


class WatchingClient:
    """Connections to one server, made as they are needed and kept.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port or 80
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def run(self, users: Sequence[str], rate: float, until: asyncio.Event) -> list[Seen]:
        """Ask ``rate`` times a second until told to stop."""
        random, due, asked = np.random.default_rng(SEED), time.time(), []
        while not until.is_set():
            due += random.exponential(1 / rate)
            await asyncio.sleep(max(0.0, due - time.time()))
            asked.append(asyncio.create_task(self._ask(users[int(random.integers(len(users)))], due)))
        return list(await asyncio.gather(*asked))

    async def _ask(self, user: str, due: float) -> Seen:
        try:
            status, body = await asyncio.wait_for(self._get(f"/recommend?user_id={quote(user)}&k=10"), PATIENCE_S)
        except (OSError, EOFError, TimeoutError):
            return due, time.time() - due, 0, None
        seconds = time.time() - due
        return due, seconds, status, orjson.loads(body)["fallback"] if status == 200 else None

    async def _get(self, path: str) -> tuple[int, bytes]:
        if self._free:
            reader, writer = self._free.popleft()
        else:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._free.append((reader, writer))
        return int(head[9:12]), body


async def _main(url: str, rate: float) -> list[Seen]:
    users, ended = sys.stdin.readline().split(), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)  # nothing more comes but its end
    return await WatchingClient(url).run(users, rate, ended)


def main() -> None:
    """The command line."""
    url, rate = sys.argv[1:]
    sys.stdout.buffer.write(b"\n".join(map(orjson.dumps, asyncio.run(_main(url, float(rate))))))


if __name__ == "__main__":
    main()
