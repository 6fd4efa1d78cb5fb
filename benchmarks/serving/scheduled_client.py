"""An open-loop client: requests leave by a schedule, whatever becomes of the earlier ones.

``python -m benchmarks.serving.scheduled_client HOST PORT FILE --rate R --seconds S`` prints one line of JSON. A
latency counts from the moment at which its request was due, so that a server that stands still is charged for all who
would have come meanwhile (what a closed loop leaves out: "coordinated omission", Gil Tene, "How NOT to measure
latency").

Threads with one connection each take the next place in the schedule, sleep until it is due, send, and wait for the
answer; a sleep is more exact than the timers of an event loop, which come on whole milliseconds.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

CONNECTIONS = 128
"""Requests that may wait for an answer at once; when all do, the next ones leave late, and are charged for it."""

PATIENCE_S = 30.0
LEAD_S = 0.5
HOPELESS = 2


class Connection:
    """One kept connection over HTTP/1.1, for answers that declare their length."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> int:
        """Send, read the whole answer, return its status. Raises OSError."""
        self._socket.sendall(request)
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more()
        head = got[:end].lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        missing = end + 4 + int(head[at:].split(b"\r\n", 1)[0]) - len(got)
        while missing > 0:
            missing -= len(self._more())
        return int(head[9:12])

    def _more(self) -> bytes:
        if not (part := self._socket.recv(65_536)):
            raise ConnectionResetError("the server closed the connection")
        return part

    def close(self) -> None:
        self._socket.close()


def encoded(line: str, host: str, port: int) -> bytes:
    """The bytes of a request that is told as ``METHOD PATH [BODY]``."""
    method, path, *body = line.split(" ", 2)
    content = body[0].encode() if body else b""
    kind = f"content-type: application/json\r\ncontent-length: {len(content)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nhost: {host}:{port}\r\n{kind}\r\n".encode() + content


class Schedule:
    """Requests and when they are due, taken by many threads, and what became of them.

    Args:
        requests: what to send, in turn.
        rate: requests a second, evenly spaced.
        count: how many in all.

    Attributes:
        start: when the first request is due.
        latency_s: of every answered request, from when it was due.
        refused: answers of another status than 200; failed: requests without an answer, also those that were not sent
            because the server was HOPELESS times the whole time behind.
    """

    def __init__(self, requests: Sequence[bytes], rate: float, count: int) -> None:
        self.latency_s: list[float] = []
        self.refused = self.failed = 0
        self._requests, self._rate, self._count = requests, rate, count
        self._next, self._lock = 0, threading.Lock()
        self.start = time.perf_counter() + LEAD_S
        self._end = self.start + HOPELESS * count / rate

    def serve(self, host: str, port: int) -> None:
        """Send what is due over one connection until all is sent."""
        connection: Connection | None = None
        while (place := self._take()) is not None:
            due = self.start + place / self._rate
            if time.perf_counter() > self._end:
                self._count_failure()
                continue
            try:
                connection = connection or Connection(host, port)  # while there is time
                time.sleep(max(0.0, due - time.perf_counter()))
                status = connection.ask(self._requests[place % len(self._requests)])
            except OSError:
                self._count_failure()
                connection = None
                continue
            self._count_answer(time.perf_counter() - due, status)
        if connection:
            connection.close()

    def _take(self) -> int | None:
        with self._lock:
            if self._next == self._count:
                return None
            self._next += 1
            return self._next - 1

    def _count_answer(self, latency_s: float, status: int) -> None:
        with self._lock:
            self.latency_s.append(latency_s)
            self.refused += status != 200

    def _count_failure(self) -> None:
        with self._lock:
            self.failed += 1


def run(host: str, port: int, lines: Sequence[str], rate: float, seconds: float) -> dict[str, float]:
    """Send by schedule and wait for all answers. Latencies in milliseconds."""
    schedule = Schedule([encoded(line, host, port) for line in lines], rate, max(1, round(rate * seconds)))
    threads = [threading.Thread(target=schedule.serve, args=(host, port)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latency_ms = 1e3 * np.array(schedule.latency_s or [np.nan])
    p50, p99, p999, worst = np.percentile(latency_ms, [50, 99, 99.9, 100]).tolist()
    return {
        "requests": len(schedule.latency_s),
        "seconds": time.perf_counter() - schedule.start,
        "failed": schedule.failed,
        "refused": schedule.refused,
        "p50": p50,
        "p99": p99,
        "p999": p999,
        "worst": worst,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.scheduled_client", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("file", type=Path, help="requests, one a line: METHOD PATH [BODY]")
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    lines = options.file.read_text().splitlines()
    Random(7).shuffle(lines)
    sys.setswitchinterval(0.0005)
    print(json.dumps(run(options.host, options.port, lines, options.rate, options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
