"""What several workers of one recommender have in common: a folder that their metrics meet in.

``bentoml serve`` starts the workers as children of one supervisor; each writes its counts to files of its own there,
and whichever is asked for ``/metrics`` adds them up. A worker that ended has left its counts, as counters must not
fall; a supervisor that ended has left nothing that a later one would count.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil


def metrics_folder(home: Path) -> Path:
    """The folder of this process's supervisor, below ``home``; made when it is not there, rid of what is over."""
    supervisor = psutil.Process(os.getppid())
    # Numbers of processes come round, in containers at every start: the time tells them apart.
    own = home / "metrics" / "recommender" / f"{supervisor.pid}-{int(supervisor.create_time())}"
    own.mkdir(parents=True, exist_ok=True)
    for folder in own.parent.iterdir():
        pid, _, started = folder.name.partition("-")
        if folder != own and not _runs(int(pid), int(started)):
            shutil.rmtree(folder, ignore_errors=True)
    for file in own.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not psutil.pid_exists(int(pid)):
            file.unlink(missing_ok=True)
    return own


def _runs(pid: int, started: int) -> bool:
    try:
        return int(psutil.Process(pid).create_time()) == started
    except psutil.NoSuchProcess:
        return False
