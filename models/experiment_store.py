"""Experiments in PostgreSQL: what runs, and what has run. Errors of a server that is away are psycopg's."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from feature_repo.events import describe
from infra.database import TIMEOUT_S, Database
from models.experiments import Experiment, ExperimentError

log = logging.getLogger(__name__)

TABLES = """
CREATE TABLE IF NOT EXISTS experiments (
    name text PRIMARY KEY,
    definition jsonb NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
"""

ALL = "SELECT name, definition, started_at, ended_at FROM experiments"
RUNNING = f"{ALL} WHERE ended_at IS NULL ORDER BY name"
INSERT = "INSERT INTO experiments (name, definition) VALUES (%s, %s) RETURNING started_at"
END = "UPDATE experiments SET ended_at = clock_timestamp() WHERE name = %s AND ended_at IS NULL RETURNING ended_at"


class Stored(NamedTuple):
    """An experiment with its times; it runs while ``ended_at`` is None."""

    experiment: Experiment
    started_at: datetime
    ended_at: datetime | None

    @property
    def state(self) -> str:
        """running or ended."""
        return "running" if self.ended_at is None else "ended"


class ExperimentStore:
    """The experiments of one database; the table is created when it is absent.

    Args:
        database_url: postgresql://user@host:port/database.
        timeout_s: longest wait for a connection.
    """

    def __init__(self, database_url: str, timeout_s: int = TIMEOUT_S) -> None:
        self._database = Database(database_url, TABLES, timeout_s)
        self._unreadable: set[str] = set()

    def put(self, experiment: Experiment) -> datetime:
        """Start an experiment; the same one again changes nothing. Returns when it started.

        Raises:
            ExperimentError: it would change one that runs or take the name of one that has ended, either of which
                would mix results; or a running one varies the same thing.
        """
        with self._database.connected() as connection, connection.transaction():
            # Two that start at once must not both find the field empty.
            connection.execute("LOCK TABLE experiments IN SHARE ROW EXCLUSIVE MODE")
            found = connection.execute(f"{ALL} WHERE name = %s", (experiment.name,)).fetchone()
            if found is not None:
                return _unchanged(experiment, *found[1:])
            for other in self._stored(connection.execute(RUNNING).fetchall()):
                _check_apart(experiment, other.experiment)
            definition = experiment.model_dump_json(exclude_defaults=True)
            start: datetime = connection.execute(INSERT, (experiment.name, definition)).fetchall()[0][0]
        return start

    def end(self, name: str) -> datetime:
        """End a running experiment. Returns when. Raises ExperimentError: there is none of that name that runs."""
        with self._database.connected() as connection:
            ended = connection.execute(END, (name,)).fetchone()
            if ended is not None:
                end: datetime = ended[0]
                return end
            found = connection.execute(f"{ALL} WHERE name = %s", (name,)).fetchone()
            running = [row[0] for row in connection.execute(RUNNING).fetchall()]
        if found is not None:
            raise ExperimentError(f"name: experiment {name} has ended already, at {found[3]:%Y-%m-%d %H:%M:%S} UTC")
        raise ExperimentError(f"name: there is no experiment {name}; running: {', '.join(running) or 'none'}")

    def running(self) -> list[Stored]:
        """Those that run, by name."""
        with self._database.connected() as connection:
            return self._stored(connection.execute(RUNNING).fetchall())

    def all(self) -> list[Stored]:
        """All there ever were: those that run first, then the one that ended last."""
        query = f"{ALL} ORDER BY ended_at DESC NULLS FIRST, name"
        with self._database.connected() as connection:
            return self._stored(connection.execute(query).fetchall())

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._database.close()

    def _stored(self, rows: Sequence[Any]) -> list[Stored]:
        found = []
        for name, definition, started_at, ended_at in rows:
            try:
                found.append(Stored(Experiment.model_validate(definition), started_at, ended_at))
            except ValidationError as error:  # by a newer version, perhaps: those that can be read go on
                if name not in self._unreadable:
                    log.error("experiment %s cannot be read and is left out: %s", name, describe(error))
                self._unreadable.add(name)
        return found


def _unchanged(experiment: Experiment, definition: Any, started_at: datetime, ended_at: datetime | None) -> datetime:
    name = experiment.name
    if ended_at is not None:
        raise ExperimentError(
            f"name: experiment {name} has ended, at {ended_at:%Y-%m-%d %H:%M:%S} UTC; "
            "another run's results would mix with its own: take another name"
        )
    if Experiment.model_validate(definition) != experiment:
        raise ExperimentError(
            f"name: experiment {name} runs with another definition; a change would mix results: end it "
            f"(python -m flows.experiments end {name}) and take another name"
        )
    return started_at


def _check_apart(experiment: Experiment, other: Experiment) -> None:
    both = sorted(experiment.varies & other.varies)
    if both:
        raise ExperimentError(
            f"variants: experiment {other.name} runs and varies {' and '.join(both)}, too; "
            f"end it first (python -m flows.experiments end {other.name}), or vary something else"
        )
