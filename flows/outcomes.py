"""The story of one list, from the log to what it led to: ``python -m bytewax.run flows.outcomes:flow``.

Impressions -> served rows (Parquet); impressions and the acts that name them -> the list's state, until its window is
over -> its row in PostgreSQL, from which results of experiments are computed beside the dataflow.

A restart goes on from the last snapshot and gives out again what came after it: rows are upserts by list, and served
rows are told apart when they are read. Served rows in memory are written before a snapshot passes them.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import bytewax.operators as op
import psycopg
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from feature_repo.erasures import Erasures
from flows.log_source import LogReader, LogSource
from flows.messages import DeadLetter
from flows.outcome_logics import OutcomeLogic
from flows.outcome_messages import Act, Listed, Served, read_acts, read_impressions
from flows.outcome_metrics import OutcomeMetrics
from flows.outcome_results import Results
from flows.served_store import ServedStore, served_folder
from flows.sinks import FIRST_DELAY_S, LONGEST_DELAY_S, Sink, Write, dead_letters
from flows.stream import consumer_options
from infra.settings import Settings, load_settings
from infra.telemetry import setup_logging
from models.outcome_store import Outcome, OutcomeStore

log = logging.getLogger(__name__)

FLUSH_LISTS, FLUSH_S = 2_000, 5.0
"""Served rows are written when so many lists wait, or one for so long and another comes; else with a snapshot."""

LOOK_EVERY = timedelta(milliseconds=50)
UNHURRIED = {"fetch.wait.max.ms": "250"}
"""Nobody waits for a row here as a request waits for a feature: fewer looks, fewer fetches."""


def flow() -> Dataflow:
    """The dataflow by the environment's settings, with logging, metrics and results set up. Bytewax calls this."""
    settings = load_settings()
    setup_logging("outcomes", settings)
    metrics = OutcomeMetrics()
    metrics.serve(settings.host, settings.outcomes_metrics_port)
    results = Results(settings, metrics)
    made = build(settings, metrics, results)
    threading.Thread(target=results.run, args=(threading.Event(),), name="results", daemon=True).start()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
    return made


def build(settings: Settings, metrics: OutcomeMetrics, results: Results) -> Dataflow:
    """The dataflow."""
    flow = Dataflow("freshet_outcomes")
    reader = LogReader(consumer_options(settings) | UNHURRIED, metrics.tell_lag, LOOK_EVERY)
    impressions = LogSource(reader, settings.topic_impressions, lambda: iter(()), metrics)
    events = LogSource(reader, settings.topic_events, lambda: iter(()), metrics)

    read = op.flat_map_batch("decode_impression", op.input("log_impression", flow, impressions), read_impressions)
    served = op.filter_map("served", read, lambda found: found if isinstance(found, Served) else None)
    acts = op.flat_map_batch("decode_act", op.input("log_event", flow, events), read_acts)

    shown = op.filter("shown", served, lambda each: each.listed.shadow == "")
    op.output(
        "served_rows",
        op.key_on("by_list", shown, lambda each: each.listed.recommendation_id),
        ServedSink(settings, metrics),
    )

    def listed(each: Served) -> Listed:
        metrics.count_impression(each.listed.shadow != "")
        return each.listed

    joined = op.merge("lists_and_acts", op.map("listed", served, listed), acts)
    by_list: KeyedStream[Listed | Act] = op.key_on("by_recommendation", joined, lambda each: each.recommendation_id)
    logic = partial(OutcomeLogic, settings.attribution_s, metrics.count_act, metrics.open_states.inc)
    op.output(
        "outcomes",
        op.key_rm("rows", op.stateful_batch("outcome", by_list, logic)),
        outcome_rows(settings, metrics, results),
    )
    bad = op.filter_map("bad", read, lambda found: found if isinstance(found, DeadLetter) else None)
    op.output("dead_letters", bad, dead_letters(settings, metrics))
    return flow


def outcome_rows(settings: Settings, metrics: OutcomeMetrics, results: Results) -> Sink[Outcome]:
    """Rows of lists in PostgreSQL, the last of a list in a batch only."""

    def connect() -> Write[Outcome]:
        store = OutcomeStore(settings.database_url)

        def write(outcomes: list[Outcome]) -> None:
            store.write(outcomes)
            results.touch()

        return write

    return Sink("outcomes", connect, (psycopg.Error,), metrics)


class ServedSink(FixedPartitionedSink[Served, int]):
    """Served rows, written in blocks, and before every snapshot."""

    def __init__(self, settings: Settings, metrics: OutcomeMetrics) -> None:
        self._settings, self._metrics = settings, metrics

    def list_parts(self) -> list[str]:
        return ["served"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _ServedPartition:
        return _ServedPartition(self._settings, self._metrics)


class _ServedPartition(StatefulSinkPartition[Served, int]):
    def __init__(self, settings: Settings, metrics: OutcomeMetrics) -> None:
        self._erasures, self._kept = Erasures(settings.database_url), timedelta(days=settings.served_days)
        self._store = ServedStore(served_folder(settings), self._erased)
        self._metrics = metrics
        self._waiting: list[Served] = []
        self._since = 0.0

    def _erased(self) -> dict[str, int]:
        found = self._erasures.erased_since(datetime.now(UTC) - self._kept)
        return {user_key: max(bounds) for user_key, bounds in found.items()}

    def write_batch(self, values: list[Served]) -> None:
        self._since = self._since if self._waiting else time.monotonic()
        self._waiting += values
        if len(self._waiting) >= FLUSH_LISTS or time.monotonic() - self._since > FLUSH_S:
            self._flush()

    def snapshot(self) -> int:
        self._flush()
        return 0

    def _flush(self) -> None:
        delay_s = FIRST_DELAY_S
        while self._waiting:
            try:
                self._metrics.served_rows.inc(self._store.write(self._waiting))
                self._waiting = []
            except (OSError, psycopg.Error) as error:
                self._metrics.retries.labels("served_rows").inc()
                log.warning("cannot write, will try again", extra={"sink": "served_rows", "error": repr(error)})
                time.sleep(delay_s)
                delay_s = min(2 * delay_s, LONGEST_DELAY_S)
