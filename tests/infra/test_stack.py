"""The embedded stack with real servers: it starts, reports, survives and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis

from infra.home import AlreadyRuns, read_state, write_state
from infra.local import Stack, StackError
from infra.processes import Process, free_ports
from infra.servers import PARTS
from infra.settings import ROOT, Settings
from infra.stack import STEADY_S

SERVERS = ("kafka", "redis", "postgres")


def below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def wait_for(true: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def supervisor(home: Settings):  # type: ignore[no-untyped-def]
    """``python -m infra.local up`` with the three servers, once it is up; its output is in ``up.log``."""
    home.home.mkdir(parents=True)
    log = (home.home / "up.log").open("wb")
    command = [sys.executable, "-m", "infra.local", "up", "--only", ",".join(SERVERS)]
    environment = os.environ | home.environment()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    wait_for(lambda: b"Ctrl-C" in (home.home / "up.log").read_bytes() or process.poll() is not None)
    assert process.poll() is None, (home.home / "up.log").read_text()
    yield process
    process.kill()
    process.wait()


def cli(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.local", *arguments]
    environment = os.environ | settings.environment()
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_start_and_stop_leave_data_but_no_process(home: Settings) -> None:
    before = set(below(os.getpid()))
    with Stack(home, SERVERS) as stack:
        started = set(below(os.getpid())) - before
        assert len(alive(list(started))) > 2 * len(SERVERS)
        with redis.Redis.from_url(stack.settings.redis_url) as client:
            client.set("kept", "yes")
        exports = (home.home / "env").read_text()
        assert f"export REDIS_URL={stack.settings.redis_url}\n" in exports
        assert "export MLFLOW_DISABLE_TELEMETRY=true\n" in exports
    assert alive(list(started)) == []
    assert not (home.home / "env").exists()
    with Stack(home, ("redis",)) as stack, redis.Redis.from_url(stack.settings.redis_url) as client:
        assert client.get("kept") == b"yes"


def test_the_password_of_prefects_database_reaches_its_server_alone(home: Settings) -> None:
    url = "postgresql+asyncpg://prefect:secret@db/prefect"
    with Stack(home.model_copy(update={"prefect_database_url": url}), ("redis",)) as stack:
        assert "secret" not in (home.home / "env").read_text()
        assert (home.home / "env").stat().st_mode & 0o777 == 0o600
        assert not any("secret" in value for value in stack.environment().values())
        assert "secret" not in " ".join(PARTS["prefect"].command(stack.settings))
        assert PARTS["prefect"].environment(stack.settings) == {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}


def test_a_killed_supervisor_leaves_no_orphan(home: Settings, supervisor: subprocess.Popen[bytes]) -> None:
    children = below(supervisor.pid)
    assert len(children) > 2 * len(SERVERS)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    wait_for(lambda: not alive(children))
    with Stack(home, SERVERS):
        pass


def test_status_and_down_work_from_another_shell(home: Settings, supervisor: subprocess.Popen[bytes]) -> None:
    children = below(supervisor.pid)
    status = cli(home, "status")
    assert status.returncode == 0
    assert [status.stdout.count(f" {name} ") for name in SERVERS] == [1, 1, 1]

    second = cli(home, "up", "--only", "redis")
    assert second.returncode == 0
    assert f"already runs (pid {supervisor.pid})" in second.stdout

    assert cli(home, "down").stdout == "stopped\n"
    assert supervisor.wait(5) == 0
    assert alive(children) == []
    assert cli(home, "status").returncode == 1
    assert "no stack runs" in cli(home, "down").stdout


def test_two_stacks_do_not_share_a_folder(home: Settings) -> None:
    with Stack(home, ("redis",)) as first:
        with pytest.raises(AlreadyRuns, match=f"already runs \\(pid {os.getpid()}\\)"):
            Stack(home, ("redis",)).start()
        assert first.process("redis").exit_code is None


def test_a_taken_port_is_one_clear_line(home: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        expected = rf"redis: port {port} on 127.0.0.1 is taken by \S+ \(pid {os.getpid()}\); .*FRESHET_REDIS_PORT"
        with pytest.raises(StackError, match=expected) as error:
            Stack(home.with_ports(redis_port=port), SERVERS).start()
    assert "\n" not in str(error.value)
    assert cli(home, "status").returncode == 1


def test_a_child_that_dies_at_the_start_is_one_clear_line(home: Settings) -> None:
    broken = home.home / "redis" / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("nonsense\n")
    before = below(os.getpid())
    with pytest.raises(StackError) as error:
        Stack(home, SERVERS).start()
    line = str(error.value)
    assert line.startswith("redis ended with code 1: ")
    assert f"(log: {home.home / 'logs' / 'redis.log'})" in line
    assert "FRESHET_REDIS_PORT" in line
    assert "\n" not in line
    assert [p for p in alive(below(os.getpid())) if p not in before] == []


def test_an_unknown_part_is_refused(home: Settings) -> None:
    with pytest.raises(StackError, match="unknown part rediss; there are kafka, redis"):
        Stack(home, ("rediss",))


def test_a_server_that_is_elsewhere_is_not_started(home: Settings) -> None:
    with Stack(home, ("redis",)) as there:
        here = home.model_copy(update={"redis_url": there.settings.redis_url, "home": home.home / "here"})
        with Stack(here, ("redis", "kafka")) as stack:
            assert [part.name for part in stack.parts] == ["kafka"]
            assert stack.settings.redis_url == there.settings.redis_url


def test_a_dead_part_is_reported_and_restarted(home: Settings) -> None:
    said: list[str] = []
    with Stack(home, ("redis",), say=said.append) as stack:
        stack.watch()
        said.clear()
        pid = stack.process("redis").pid
        stack.kill("redis")
        stack.watch()
        assert said[0].startswith("redis was killed by SIGKILL: ")
        assert said[0].endswith("; restarting it in 0.5 s")
        wait_for(lambda: stack.watch() or stack.process("redis").exit_code is None)
        assert stack.process("redis").pid != pid
        with redis.Redis.from_url(stack.settings.redis_url) as client:
            assert client.ping()
        stack.kill("redis")
        stack.watch()
        assert said[-1].endswith("; restarting it in 1 s"), "a part that keeps dying is restarted ever later"


def test_a_part_that_was_healthy_for_a_while_is_restarted_at_once(home: Settings) -> None:
    said: list[str] = []
    with Stack(home, ("redis",), say=said.append) as stack:
        for _ in range(2):
            time.sleep(STEADY_S)
            stack.kill("redis")
            stack.watch()
            assert said[-1].endswith("; restarting it in 0.25 s")
            wait_for(lambda: stack.watch() or stack.process("redis").exit_code is None)


def test_a_service_whose_worker_dies_is_restarted(home: Settings) -> None:
    with Stack(home, ("kafka", "ingest")) as stack:
        service = stack.process("ingest")
        (worker,) = service.children()
        worker.kill()
        wait_for(lambda: stack.watch() or stack.process("ingest") is not service)
        assert worker.pid not in [child.pid for child in stack.process("ingest").children()]
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.settings.ingest_port}/health", timeout=5) as answer:
            assert answer.status == 200


def test_an_empty_broker_makes_the_dataflow_forget_the_old_one(home: Settings) -> None:
    recovery = home.home / "recovery"
    recovery.mkdir(parents=True)
    (recovery / "part-0.sqlite3").touch()
    seen: list[bool] = []
    with Stack(home, ("kafka",), after_broker_start=lambda stack: seen.append(recovery.exists())) as stack:
        recovery.mkdir()
        stack.restart("kafka")
    assert seen == [False, False]


def test_what_a_killed_predecessor_left_is_ended_first(home: Settings, tmp_path: Path) -> None:
    left = Process("left", ["sleep", "600"], os.environ, tmp_path / "left.log")
    wait_for(lambda: left.pid)
    home.home.mkdir(parents=True)
    write_state(home, {"left": {"pid": left.guard_pid, "started": left.started, "port": None}})
    with Stack(home, ("redis",)):
        assert left.exit_code is not None
        assert set((read_state(home) or {})["parts"]) == {"redis"}


def test_a_part_leaves_no_worker_behind_when_it_is_killed(tmp_path: Path) -> None:
    """Also not one in a session of its own that ignores SIGTERM."""
    script = "setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' & echo started; wait"
    process = Process("shell", ["sh", "-c", script], os.environ, tmp_path / "log")
    wait_for(lambda: process.last_line() == "started" and len(below(process.guard_pid)) >= 2)
    tree = below(process.guard_pid)
    os.kill(process.pid or 0, signal.SIGKILL)
    assert process.wait(5) == 128 + signal.SIGKILL
    assert alive(tree) == []


def test_a_part_that_ignores_the_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    script = "trap '' TERM; echo started; while :; do sleep 0.1; done"
    process = Process("shell", ["sh", "-c", script], os.environ, tmp_path / "log", grace_s=0.3)
    wait_for(lambda: process.last_line() == "started")
    process.stop()
    assert process.exit_code == 128 + signal.SIGKILL


def test_free_ports_differ() -> None:
    ports = free_ports("127.0.0.1", 50)
    assert len(set(ports)) == 50
