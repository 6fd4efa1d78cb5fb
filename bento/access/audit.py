"""The audit log: one line for every act of an administrator, and for every attempt at one that was refused."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from bento.access.caller import CALLER, Caller

if TYPE_CHECKING:  # BentoML's folder is in the environment until the recommender's metrics are made
    from prometheus_client import Counter

log = logging.getLogger("freshet.audit")

ANYBODY = "anybody"
"""A local system without keys."""

_TRACE_ID = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-")


class Audit:
    """Writes and counts acts.

    Args:
        acts: counts them by act and outcome.
    """

    def __init__(self, acts: Counter) -> None:
        self._acts = acts
        log.setLevel(logging.INFO)  # whatever FRESHET_LOG_LEVEL is: who did what is never too much to know

    def record(self, scope: Scope, act: str, outcome: str, target: str = "", **details: Any) -> None:
        """Say who did what to what, and what became of it.

        Args:
            scope: of the request.
            act: promote, rollback, erase, receipt.
            outcome: done, refused, failed.
            target: a version, say; of a user his pseudonym, since this log outlives him.
        """
        caller: Caller | None = scope.get(CALLER)
        client, traceparent = scope.get("client"), dict(scope["headers"]).get(b"traceparent", b"")
        trace = _TRACE_ID.match(traceparent)
        said: dict[str, Any] = {
            "act": act,
            "outcome": outcome,
            "target": target,
            "who": ANYBODY if caller is None else caller.name,
            "client": client[0] if client else None,
            "trace_id": trace[1].decode() if trace else None,
        }
        log.info("%s %s: %s", act, target, outcome, extra=said | {"details": details} if details else said)
        self._acts.labels(act, outcome).inc()
