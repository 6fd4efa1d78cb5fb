"""The dataflow as one cluster of processes: ``python -m flows.cluster flows.stream:flow -r recovery -s 10 -b 0``.

Takes the arguments of ``bytewax.run`` and starts it FRESHET_STREAM_PROCESSES times. The processes share topics,
states and recovery store; when one dies the others could only wait for it, so all of them end, and whoever supervises
this process starts all of them again from their last snapshot.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from infra.processes import free_ports
from infra.settings import Settings, load_settings, variable


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Run all processes until the first of them ends, kill the others, and return its exit code."""
    ports = free_ports(settings.host, settings.stream_processes)
    addresses = ";".join(f"{settings.host}:{port}" for port in ports)
    processes = [_start(settings, arguments, addresses, number) for number in range(settings.stream_processes)]
    try:
        while not (ended := [code for process in processes if (code := process.poll()) is not None]):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # until there is one to poll
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
    return ended[0] if ended[0] >= 0 else 128 - ended[0]


def _start(settings: Settings, arguments: Sequence[str], addresses: str, number: int) -> subprocess.Popen[bytes]:
    own = {
        "BYTEWAX_PROCESS_ID": str(number),
        "BYTEWAX_ADDRESSES": addresses,
        variable("stream_metrics_port"): str(settings.stream_metrics_port + number),
    }
    return subprocess.Popen([sys.executable, "-m", "bytewax.run", *arguments], env=os.environ | own)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(run(load_settings(), sys.argv[1:]))
