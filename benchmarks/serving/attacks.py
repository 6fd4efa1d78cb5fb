"""Clients that mean ill: ``python -m benchmarks.serving.attacks KIND HOST PORT PATH``, which prints a line of JSON.

It counts what they were answered, by status; 0: the connection was closed without an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, NamedTuple

TIMES = 10
"""How much larger than is taken a body is."""
RATE = 50.0
"""Oversized, multipart and random requests a second, each on a connection of its own."""
SLOW = 300
"""Connections at once that send a byte a second."""
PATIENCE_S = 15.0
CHUNK = 65_536


class Target(NamedTuple):
    """What is attacked."""

    host: str
    port: int
    path: str
    limit: int

    def head(self, *headers: str) -> bytes:
        """A request's head, without the line that ends it."""
        return "\r\n".join([f"POST {self.path} HTTP/1.1", f"host: {self.host}", *headers, ""]).encode()


Attack = Callable[[Target, asyncio.StreamWriter, Random], Coroutine[Any, Any, None]]


async def declared(target: Target, writer: asyncio.StreamWriter, _random: Random) -> None:
    """A body that says that it is too large, and is."""
    size = TIMES * target.limit
    writer.write(target.head("content-type: application/json", f"content-length: {size}", ""))
    for _ in range(size // CHUNK):
        writer.write(b" " * CHUNK)
        await writer.drain()


async def chunked(target: Target, writer: asyncio.StreamWriter, _random: Random) -> None:
    """A body that does not say so, but is."""
    writer.write(target.head("content-type: application/json", "transfer-encoding: chunked", ""))
    for _ in range(TIMES * target.limit // CHUNK):
        writer.write(b"%x\r\n" % CHUNK + b" " * CHUNK + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def multipart(target: Target, writer: asyncio.StreamWriter, _random: Random) -> None:
    """A form with 200 parts."""
    part = '--x\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n' + "b" * 1_000 + "\r\n"
    body = (part * 200 + "--x--\r\n").encode()
    writer.write(
        target.head("content-type: multipart/form-data; boundary=x", f"content-length: {len(body)}", "") + body
    )


async def fuzz(target: Target, writer: asyncio.StreamWriter, random: Random) -> None:
    """A request in which some bytes are others, or none at all."""
    body = b'{"user_id": "1", "item_id": "1", "event_type": "click"}'
    whole = bytearray(target.head("content-type: application/json", f"content-length: {len(body)}", "") + body)
    if random.random() < 0.2:
        whole = bytearray(random.randbytes(random.randrange(1, 5_000)))
    for _ in range(random.randrange(1, 12)):
        whole[random.randrange(len(whole))] = random.randrange(256)
    writer.write(bytes(whole))
    writer.write_eof()


async def slow_head(target: Target, writer: asyncio.StreamWriter, _random: Random) -> None:
    """Slow loris: a head, a byte a second."""
    writer.write(target.head())
    await _drop(writer, b"x: ")


async def slow_body(target: Target, writer: asyncio.StreamWriter, _random: Random) -> None:
    """A body, a byte a second."""
    writer.write(target.head("content-type: application/json", "content-length: 1000", ""))
    await _drop(writer, b"[")


async def _drop(writer: asyncio.StreamWriter, first: bytes) -> None:
    writer.write(first)
    while True:
        await asyncio.sleep(1)
        writer.write(b"a")
        await writer.drain()


ATTACKS: dict[str, Attack] = {
    "declared": declared,
    "chunked": chunked,
    "multipart": multipart,
    "fuzz": fuzz,
    "slow heads": slow_head,
    "slow bodies": slow_body,
}
LASTING = frozenset({"slow heads", "slow bodies"})


async def once(attack: Attack, target: Target, random: Random) -> int:
    """One connection; the status of its answer, 0 without one."""
    try:
        reader, writer = await asyncio.open_connection(target.host, target.port)
    except OSError:
        return 0
    sending = asyncio.create_task(attack(target, writer, random))
    try:
        async with asyncio.timeout(PATIENCE_S):
            line = await reader.readline()
            return int(line[9:12]) if line.startswith(b"HTTP/1.1 ") else 0
    except (OSError, TimeoutError, ValueError):
        return 0
    finally:
        sending.cancel()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await sending
        writer.close()


async def run(kind: str, target: Target, seconds: float) -> Counter[int]:
    """Attack for a while. Returns how many were answered how."""
    found: Counter[int] = Counter()
    random, loop = Random(7), asyncio.get_running_loop()
    end = loop.time() + seconds

    async def again() -> None:
        while loop.time() < end:
            found[await once(ATTACKS[kind], target, random)] += 1

    async def one() -> None:
        found[await once(ATTACKS[kind], target, random)] += 1

    if kind in LASTING:
        tasks = [asyncio.create_task(again()) for _ in range(SLOW)]
    else:
        tasks = []
        for n in range(round(RATE * seconds)):
            await asyncio.sleep(max(0.0, end - seconds + n / RATE - loop.time()))
            tasks.append(asyncio.create_task(one()))
    await asyncio.wait(tasks, timeout=PATIENCE_S)
    return found


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.attacks", description=__doc__)
    parser.add_argument("kind", choices=ATTACKS)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--limit", type=int, default=1_048_576, help="largest body that is taken")
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    target = Target(options.host, options.port, options.path, options.limit)
    print(json.dumps(asyncio.run(run(options.kind, target, options.seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
