"""The dataflow with parts of it left out, to see what they cost.

``python -m bytewax.run "benchmarks.variants:without('redis', 'event_store')"``
"""

from __future__ import annotations

from functools import partial
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from feature_repo.events import Event
from flows import history, sinks, stream
from flows.log_source import LogReader, LogSource
from flows.messages import read_messages
from flows.stream_metrics import StreamMetrics
from infra.settings import load_settings

FACTORIES = {"redis": "online_rows", "event_store": "raw_events"}
"""Sink -> the function of ``flows.sinks`` that makes it."""


class Nowhere(DynamicSink[Any]):
    """Takes everything and keeps nothing."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        return _NowherePartition()


class _NowherePartition(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        pass


def without(*names: str) -> Dataflow:
    """The dataflow as it is, but for these sinks."""
    for name in names:
        setattr(sinks, FACTORIES[name], lambda settings, metrics: Nowhere())
    return stream.flow()


def decoding() -> Dataflow:
    """The dataflow's first two steps: reading the topic of events, and decoding."""
    settings, metrics = load_settings(), StreamMetrics()
    metrics.serve(settings.host, settings.stream_metrics_port)
    flow = Dataflow("decoding")
    reader = LogReader(stream.consumer_options(settings), metrics.tell_lag)
    source = LogSource(reader, settings.topic_events, partial(history.events, settings), metrics)

    def read(batch: list[Any]) -> list[Any]:
        found = list(read_messages(Event, batch))
        metrics.events.labels("new").inc(len(found))
        return found

    op.output("end", op.flat_map_batch("decode", op.input("log", flow, source), read), Nowhere())
    return flow
