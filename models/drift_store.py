"""What each look for drift found, in PostgreSQL: read by whoever watches over the model.

Errors of a server that is away are psycopg's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

from psycopg.types.json import Jsonb

from infra.database import Database

TABLES = """
CREATE TABLE IF NOT EXISTS drift_reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    version text,
    verdict text NOT NULL,
    reason text NOT NULL,
    rows integer NOT NULL,
    share double precision,
    features jsonb NOT NULL,
    alerts jsonb NOT NULL,
    training text
);
CREATE INDEX IF NOT EXISTS drift_reports_by_time ON drift_reports (at);
"""

COLUMNS = "at, version, verdict, reason, rows, share, features, alerts, training"

Verdict = Literal["bad data", "not judged", "drift", "no drift"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class DriftReport(NamedTuple):
    """One look.

    Attributes:
        at: when.
        version: the champion that it was about; None: there is none.
        verdict: ``bad data``: see ``alerts``; ``not judged``: too little to judge by.
        reason: the verdict in a sentence.
        rows: served rows that were compared.
        share: of the features that count, those that drifted; None when nothing was compared.
        features: name -> {"distance", "threshold", "drifted", "counts"}; prediction and label among them.
        alerts: {"check", "feature", "message"} each.
        training: the Prefect run that was started, or "here".
    """

    at: datetime
    version: str | None
    verdict: Verdict
    reason: str
    rows: int = 0
    share: float | None = None
    features: Mapping[str, Mapping[str, Any]] = {}
    alerts: Sequence[Mapping[str, Any]] = ()
    training: str | None = None


class DriftStore:
    """The reports of one database; the table is created when it is absent.

    Args:
        database_url: postgresql://user@host:port/database.
    """

    def __init__(self, database_url: str) -> None:
        self._database = Database(database_url, TABLES)

    def add(self, report: DriftReport) -> None:
        """Keep a report."""
        values = report._asdict() | {"features": Jsonb(dict(report.features)), "alerts": Jsonb(list(report.alerts))}
        marks = ", ".join(f"%({name})s" for name in values)
        with self._database.connected() as connection:
            connection.execute(f"INSERT INTO drift_reports ({COLUMNS}) VALUES ({marks})", values)

    def latest(self, count: int = 1) -> list[DriftReport]:
        """The newest reports, newest first."""
        query = f"SELECT {COLUMNS} FROM drift_reports ORDER BY at DESC, id DESC LIMIT %s"
        with self._database.connected() as connection:
            rows = connection.execute(query, (count,)).fetchall()
        return [DriftReport(row[0].astimezone(UTC), *row[1:]) for row in rows]

    def tally(self) -> dict[str, tuple[int, datetime]]:
        """Verdict -> how many reports have it, and when the newest of them was made."""
        with self._database.connected() as connection:
            rows = connection.execute("SELECT verdict, count(*), max(at) FROM drift_reports GROUP BY 1").fetchall()
        return {verdict: (count, at.astimezone(UTC)) for verdict, count, at in rows}

    def compared(self) -> DriftReport | None:
        """The newest report that has figures; None: nothing was ever compared."""
        query = f"SELECT {COLUMNS} FROM drift_reports WHERE share IS NOT NULL ORDER BY at DESC, id DESC LIMIT 1"
        with self._database.connected() as connection:
            row = connection.execute(query).fetchone()
        return None if row is None else DriftReport(row[0].astimezone(UTC), *row[1:])

    def training_for(self, version: str) -> str | None:
        """The training that drift under this version started last; None: it started none."""
        query = "SELECT training FROM drift_reports WHERE version = %s AND training IS NOT NULL"
        with self._database.connected() as connection:
            found = connection.execute(query + " ORDER BY at DESC, id DESC LIMIT 1", (version,)).fetchone()
        return None if found is None else str(found[0])

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._database.close()
