"""A dataflow that counts for ever, and writes beside itself from where it went on and what it saved."""

from __future__ import annotations

import os
import time
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

HERE = Path(__file__).parent


def tell(file: str, text: str) -> None:
    with (HERE / f"{file}-{os.environ['BYTEWAX_PROCESS_ID']}").open("a") as out:
        out.write(text + "\n")


class Part(StatefulSourcePartition[tuple[str, int], int]):
    def __init__(self, name: str, seen: int | None) -> None:
        self.name, self.seen = name, seen or 0
        tell("resumed", f"{name} {self.seen}")

    def next_batch(self) -> list[tuple[str, int]]:
        time.sleep(0.01)
        self.seen += 1
        return [(self.name, 1)]

    def snapshot(self) -> int:
        tell("snapshots", f"{self.name} {self.seen}")
        return self.seen


class Source(FixedPartitionedSource[tuple[str, int], int]):
    def list_parts(self) -> list[str]:
        return ["a", "b"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Part:
        return Part(for_part, resume_state)


class Nothing(StatelessSinkPartition[tuple[str, int]]):
    def write_batch(self, items: list[tuple[str, int]]) -> None:
        pass


class Sink(DynamicSink[tuple[str, int]]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> Nothing:
        return Nothing()


flow = Dataflow("counting")
numbers = op.input("in", flow, Source())
sums = op.stateful_map("sum", numbers, lambda total, value: ((total or 0) + value,) * 2)
op.output("out", sums, Sink())
