"""The folder that the workers' metrics meet in: one for each supervisor that lives."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from bento.recommender.workers import metrics_folder


def test_what_a_gone_supervisor_left_is_removed_and_what_a_gone_worker_counted_is_kept(tmp_path: Path) -> None:
    own = metrics_folder(tmp_path)
    gone = own.parent / "4194304-1"  # above the largest pid there can be
    reused = own.parent / f"{os.getpid()}-1"  # this pid, but of a process of 1970
    for folder in (gone, reused):
        folder.mkdir()
    for name in ("counter_4194304.db", "gauge_livesum_4194304.db", f"gauge_livesum_{os.getpid()}.db"):
        (own / name).touch()
    assert metrics_folder(tmp_path) == own
    assert list(own.parent.iterdir()) == [own]
    assert {path.name for path in own.iterdir()} == {"counter_4194304.db", f"gauge_livesum_{os.getpid()}.db"}


def test_another_living_supervisors_folder_is_left_alone(tmp_path: Path) -> None:
    me = psutil.Process()
    other = tmp_path / "metrics" / "recommender" / f"{me.pid}-{int(me.create_time())}"
    other.mkdir(parents=True)
    assert metrics_folder(tmp_path) != other and other.exists()
