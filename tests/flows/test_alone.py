"""One at a time, across processes, and not for ever when the holder dies."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import psycopg
import pytest

from flows.alone import AlreadyRuns, LockLost, alone, holder
from infra.settings import ROOT

HOLD = """
import sys
from flows.alone import alone
from infra.settings import load_settings
with alone(load_settings(), "train"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(settings):
    """A process that does the work "train" until its standard input ends."""
    environment = os.environ | settings.environment()
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def free_within(settings, seconds):
    deadline = time.monotonic() + seconds
    while holder(settings, "train") is not None:
        assert time.monotonic() < deadline, "the lock is still held"
        time.sleep(0.02)


def test_work_that_runs_elsewhere_is_refused_and_named(settings):
    with another(settings) as process:
        with (
            pytest.raises(AlreadyRuns, match=rf"train already runs: train \(pid {process.pid} on .*since 20\d\d-"),
            alone(settings, "train"),
        ):
            pass
        with alone(settings, "backfill"):
            assert holder(settings, "backfill").process.startswith(f"backfill (pid {os.getpid()}")
        process.stdin.close()
        assert process.wait(10) == 0
    with alone(settings, "train"):
        pass


def test_a_killed_holder_holds_nothing(settings):
    with another(settings) as process:
        process.kill()
        process.wait()
        free_within(settings, 5)
        with alone(settings, "train") as lock:
            lock.check()


def test_work_that_fails_leaves_no_lock(settings):
    with pytest.raises(ZeroDivisionError), alone(settings, "train"):
        assert holder(settings, "train") is not None
        raise ZeroDivisionError
    assert holder(settings, "train") is None


def test_a_lock_that_postgresql_has_lost_is_noticed(settings):
    with alone(settings, "train") as lock:
        lock.check()
        with psycopg.connect(settings.database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^train'"
            )
        with pytest.raises(LockLost, match="train: PostgreSQL"):
            lock.check()
