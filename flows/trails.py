"""What an event's trace says of the dataflow: a span for each row that the event changed, from the log to Redis."""

from __future__ import annotations

import time
from collections.abc import Iterable

from flows.messages import RowRemoval, RowWrite
from infra.settings import Settings
from infra.tracing import Tracer


class Trails:
    """Sends the spans of traced events. To be made once a process.

    Args:
        settings: otlp_endpoint. What is traced the event's sender has chosen.
    """

    def __init__(self, settings: Settings) -> None:
        self._tracer = Tracer("stream", settings)

    def tell(self, written: Iterable[RowWrite | RowRemoval]) -> None:
        """These rows were written now: tell so in the traces of the events that they show.

        Stages: ``log``, from the broker's acknowledgement to the message being read; ``apply``, until the state has
        it; ``write``, until its row is in Redis, the wait for the batch included.
        """
        now_ns = time.time_ns()
        for row in written:
            if isinstance(row, RowWrite) and row.trails:
                for trail in row.trails:
                    # A broker's clock of whole milliseconds may be ahead of what was read then.
                    logged_ns = min(trail.logged_us * 1_000, trail.read_ns)
                    stages = [
                        ("log", logged_ns, trail.read_ns),
                        ("apply", trail.read_ns, row.applied_ns),
                        ("write", row.applied_ns, now_ns),
                    ]
                    told = {"feature_view": row.view, "event_id": trail.event_id, "origin": trail.origin}
                    self._tracer.message(f"row {row.view}", trail.traceparent, stages, told)
