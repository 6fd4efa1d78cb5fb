"""An MLflow tracking server for tests, as a process of its own that can be killed and started again."""

from __future__ import annotations

import os
from pathlib import Path

from infra.processes import Process, free_ports
from infra.servers import answers, script

HOST = "127.0.0.1"


class MlflowServer:
    """A server over SQLite and a folder of artifacts, running inside ``with``.

    Attributes:
        url: where it answers; store: its database as MLflow's own URI, which can be read while it is away.
    """

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(HOST, 1)
        self.url, self.store = f"http://{HOST}:{port}", f"sqlite:///{folder / 'mlflow.db'}"
        self._folder, self._port = folder, port

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            *(script("mlflow"), "server", "--host", HOST, "--port", str(self._port), "--workers", "1"),
            *("--backend-store-uri", self.store, "--artifacts-destination", str(self._folder / "artifacts")),
        ]
        # Its job runner is eight more processes, which no test asks for.
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = Process("mlflow", command, environment, self._folder / "log")
        self._process.wait_until(lambda: answers(f"{self.url}/health"), 120, lambda: False, "see its log")

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()

    def __enter__(self) -> MlflowServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
