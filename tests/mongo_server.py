"""A MongoDB for tests: MongoDB's wire protocol over SQLite, as a process of its own."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.processes import Process, free_ports
from infra.servers import script

HOST = "127.0.0.1"


class MongoServer:
    """A server with its data in one folder, running inside ``with``; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (self._port,) = free_ports(HOST, 1)

    def url(self, database: str) -> str:
        """Connection string of one of its databases."""
        return f"mongodb://{HOST}:{self._port}/{database}?directConnection=true"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        command = [script("nx-27017"), "--host", HOST, "--port", str(self._port), "--data-dir", str(folder / "data")]
        # A killed server leaves its pid file, in which a later one would find some other process.
        (folder / "pid").unlink(missing_ok=True)
        command += ["--pid-file", str(folder / "pid"), "--log-file", os.devnull]
        self._process = Process("mongo", command, os.environ, folder / "log")
        self._process.wait_until(self._listens, 30, lambda: False, "is nx-27017 installed?")

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Let it write nothing for a while."""
        pid = self._process.pid
        assert pid is not None
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        yield
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self._port), timeout=1):
            return True
        return False

    def __enter__(self) -> MongoServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
