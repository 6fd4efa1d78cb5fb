"""What shown lists led to, in PostgreSQL: one row a list, one a user in a variant, and the results of experiments.

Errors of a server that is away are psycopg's. A list's row is written as often as something is learned of it; what
belonged to an erased user is not taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from feature_repo import erasures
from infra.database import Database
from models.sequential import Moments

TABLES = """
CREATE TABLE IF NOT EXISTS outcomes (
    recommendation_id text NOT NULL,
    shadow text NOT NULL,
    user_key text NOT NULL,
    time_us bigint NOT NULL,
    model_version text,
    registered_version text,
    variant text,
    experiments jsonb NOT NULL,
    items integer NOT NULL,
    clicks integer NOT NULL,
    conversions integer NOT NULL,
    ndcg double precision NOT NULL,
    labels jsonb NOT NULL,
    final boolean NOT NULL,
    PRIMARY KEY (recommendation_id, shadow)
);
CREATE INDEX IF NOT EXISTS outcomes_by_user ON outcomes (user_key);
CREATE INDEX IF NOT EXISTS outcomes_by_time ON outcomes (time_us);
CREATE TABLE IF NOT EXISTS outcome_users (
    experiment text NOT NULL,
    variant text NOT NULL,
    user_key text NOT NULL,
    lists integer NOT NULL,
    clicked integer NOT NULL,
    converted integer NOT NULL,
    ndcg double precision NOT NULL,
    ndcg_squares double precision NOT NULL,
    PRIMARY KEY (experiment, variant, user_key)
);
CREATE INDEX IF NOT EXISTS outcome_users_by_user ON outcome_users (user_key);
CREATE TABLE IF NOT EXISTS experiment_results (
    experiment text NOT NULL,
    variant text NOT NULL,
    result jsonb NOT NULL,
    PRIMARY KEY (experiment, variant)
);
"""

# A shadow's name is "experiment:variant"; neither holds a colon.
_COUNTED = """
SELECT given.key AS experiment, given.value AS variant, user_key, clicks, conversions, ndcg
FROM {0}, jsonb_each_text(experiments) AS given WHERE shadow = ''
UNION ALL
SELECT split_part(shadow, ':', 1), split_part(shadow, ':', 2), user_key, clicks, conversions, ndcg
FROM {0} WHERE shadow <> ''
"""

_SUMS = """
sum(sign)::integer, (sum(sign) FILTER (WHERE clicks > 0))::integer, (sum(sign) FILTER (WHERE conversions > 0))::integer,
sum(sign * ndcg), sum(sign * ndcg * ndcg)
"""

_ADD = f"""
INSERT INTO outcome_users
SELECT experiment, variant, user_key, lists, coalesce(clicked, 0), coalesce(converted, 0), ndcg, ndcg_squares
FROM (SELECT experiment, variant, user_key, {_SUMS} FROM change GROUP BY 1, 2, 3)
    AS change (experiment, variant, user_key, lists, clicked, converted, ndcg, ndcg_squares)
ON CONFLICT (experiment, variant, user_key) DO UPDATE SET
    lists = outcome_users.lists + excluded.lists, clicked = outcome_users.clicked + excluded.clicked,
    converted = outcome_users.converted + excluded.converted, ndcg = outcome_users.ndcg + excluded.ndcg,
    ndcg_squares = outcome_users.ndcg_squares + excluded.ndcg_squares
"""

# One statement for the row and what its user counts for: neither is there without the other. A final row is the last
# word, whatever a restart reads once more.
WRITE = f"""
WITH new (
    recommendation_id, shadow, user_key, time_us, model_version, registered_version, variant, experiments,
    items, clicks, conversions, ndcg, labels, final
) AS (
    SELECT * FROM unnest(
        %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::jsonb[],
        %s::integer[], %s::integer[], %s::integer[], %s::double precision[], %s::jsonb[], %s::boolean[]
    )
), before AS (
    SELECT outcomes.* FROM outcomes JOIN new USING (recommendation_id, shadow)
), written AS (
    INSERT INTO outcomes SELECT * FROM new
    WHERE NOT EXISTS (
        SELECT FROM erasures WHERE erasures.user_key = new.user_key
        AND new.time_us < greatest(until_us, extract(epoch FROM repeated_at) * 1000000)
    )
    ON CONFLICT (recommendation_id, shadow) DO UPDATE SET
        time_us = excluded.time_us, model_version = excluded.model_version,
        registered_version = excluded.registered_version, variant = excluded.variant,
        experiments = excluded.experiments, items = excluded.items, clicks = excluded.clicks,
        conversions = excluded.conversions, ndcg = excluded.ndcg, labels = excluded.labels, final = excluded.final
    WHERE excluded.final OR NOT outcomes.final
    RETURNING *
), replaced AS (
    SELECT before.* FROM before JOIN written USING (recommendation_id, shadow)
), change AS (
    SELECT *, 1 AS sign FROM ({_COUNTED.format("written")}) AS added
    UNION ALL SELECT *, -1 FROM ({_COUNTED.format("replaced")}) AS taken
)
{_ADD}
"""

REMOVE = f"""
WITH removed AS (DELETE FROM outcomes WHERE {{}} RETURNING *),
change AS (SELECT *, -1 AS sign FROM ({_COUNTED.format("removed")}) AS taken)
{_ADD}
"""

MOMENTS = """
SELECT experiment, variant, count(*), sum(lists), sum(lists::float8 ^ 2),
    sum(clicked), sum(clicked::float8 ^ 2), sum(lists::float8 * clicked),
    sum(converted), sum(converted::float8 ^ 2), sum(lists::float8 * converted),
    sum(ndcg), sum(ndcg ^ 2), sum(lists * ndcg), sum(ndcg_squares)
FROM outcome_users GROUP BY experiment, variant
"""

RESULTS = "SELECT experiment, variant, result FROM experiment_results ORDER BY experiment, variant"
PUT_RESULT = """
INSERT INTO experiment_results VALUES (%s, %s, %s)
ON CONFLICT (experiment, variant) DO UPDATE SET result = excluded.result
"""

RATES = """
SELECT time_us / %(every)s * %(every)s, model_version, count(*), count(*) FILTER (WHERE clicks > 0)
FROM outcomes WHERE shadow = '' AND time_us >= %(since)s GROUP BY 1, 2 ORDER BY 1, 2
"""

METRICS: tuple[str, ...] = ("ctr", "conversion", "ndcg")
"""Shares of lists with a click, and with a conversion, and the mean NDCG@10 of all lists."""


class Outcome(NamedTuple):
    """What one list has led to so far; the fields are the columns of ``outcomes``.

    Attributes:
        shadow: "" for a list that was shown, else "experiment:variant".
        time_us: the clock that the list was made for, microseconds since the epoch.
        variant: alias of the model.
        experiments: experiment -> variant.
        items: how many were shown, on all pages.
        clicks, conversions: items of the list with an act, and with one of the stronger kind.
        ndcg: of the list's first ten places against the items with an act; 0 without any.
        labels: item -> label, of items of the list with an act.
        final: the attribution window is over.
    """

    recommendation_id: str
    shadow: str
    user_key: str
    time_us: int
    model_version: str | None
    registered_version: str | None
    variant: str | None
    experiments: Mapping[str, str]
    items: int
    clicks: int
    conversions: int
    ndcg: float
    labels: Mapping[str, int]
    final: bool


_DOCUMENTS = ("experiments", "labels")


class OutcomeStore:
    """The outcomes of one database; the tables are created when they are absent.

    Args:
        database_url: postgresql://user@host:port/database.
    """

    def __init__(self, database_url: str) -> None:
        self._database = Database(database_url, erasures.TABLES + TABLES)

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write rows in one statement; the last of a list wins, and a final one stays."""
        last = {(each.recommendation_id, each.shadow): each for each in outcomes}.values()
        columns = {name: [getattr(each, name) for each in last] for name in Outcome._fields}
        columns |= {name: [orjson.dumps(value).decode() for value in columns[name]] for name in _DOCUMENTS}
        with self._database.connected() as connection:
            connection.execute(WRITE, list(columns.values()))

    def moments(self) -> dict[tuple[str, str], dict[str, Moments]]:
        """(experiment, variant) -> metric -> sums over its users."""
        with self._database.connected() as connection:
            rows = connection.execute(MOMENTS).fetchall()
        return {(row[0], row[1]): _moments(np.array(row[2:], np.float64)) for row in rows}

    def results(self) -> list[dict[str, Any]]:
        """What is known of every variant: {"experiment", "variant", "result"}, in that order."""
        with self._database.connected() as connection:
            rows = connection.execute(RESULTS).fetchall()
        return [{"experiment": name, "variant": variant, "result": result} for name, variant, result in rows]

    def put_results(self, results: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
        """Write the results of some variants, by (experiment, variant)."""
        rows = [(*key, orjson.dumps(result).decode()) for key, result in sorted(results.items())]
        with self._database.connected() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(PUT_RESULT, rows)

    def labels(self, since_us: int, until_us: int) -> dict[str, Mapping[str, int]]:
        """Item -> label for every shown list of a time whose window is over, by recommendation id."""
        query = "SELECT recommendation_id, labels FROM outcomes WHERE shadow = '' AND final AND time_us >= %s"
        with self._database.connected() as connection:
            return dict(connection.execute(query + " AND time_us < %s", (since_us, until_us)).fetchall())

    def rates(self, since_us: int, every_us: int) -> list[tuple[int, str | None, int, int]]:
        """Shown lists since a time: (begin of the interval, model version, lists, lists with a click), by time."""
        with self._database.connected() as connection:
            return connection.execute(RATES, {"since": since_us, "every": every_us}).fetchall()

    def erase(self, user_key: str, until_us: int) -> int:
        """Remove a user's lists of before a time; returns their number."""
        return self._remove("user_key = %(user_key)s AND time_us < %(us)s", {"user_key": user_key, "us": until_us})

    def drop_before(self, time_us: int) -> int:
        """Remove lists that are older than a time; returns their number."""
        return self._remove("time_us < %(us)s", {"us": time_us})

    def _remove(self, which: str, values: dict[str, Any]) -> int:
        with self._database.connected() as connection, connection.transaction():
            [(found,)] = connection.execute(f"SELECT count(*) FROM outcomes WHERE {which}", values).fetchall()
            if found:
                connection.execute(REMOVE.format(which), values)
                connection.execute("DELETE FROM outcome_users WHERE lists <= 0")
        return int(found)

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._database.close()


def _moments(row: Any) -> dict[str, Moments]:
    """Metric -> sums, of one row of MOMENTS; of a yes or no the square is itself."""
    users, lists, lists2 = row[:3]

    def of(first: int, squares: int) -> Moments:
        total, total2, cross = row[first : first + 3]
        return Moments(users, lists, lists2, total, total2, cross, row[squares])

    return {"ctr": of(3, 3), "conversion": of(6, 6), "ndcg": of(9, 12)}
