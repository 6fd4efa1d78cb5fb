"""Follows one event through a running system: ``make trace``, or ``python -m infra.follow [USER [ITEM]]``.

A click is sent and the user's next list asked for, both under one ``traceparent`` that says that it is traced; what
ingest, the dataflow and the recommender have told of it in their logs is printed as one tree.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import orjson
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from infra.settings import Settings, SettingsError, load_settings

PATIENCE_S = 15.0
ROW, LIST = "row user_features", "GET /recommend"


class FollowError(RuntimeError):
    """The event could not be followed; the message says how far it came."""


class Span(NamedTuple):
    """What one process has told of the trace.

    Attributes:
        service: the process.
        told: its line of the log (``infra.tracing``).
    """

    service: str
    told: dict[str, Any]


def follow(settings: Settings, user_id: str, item_id: str | None = None) -> list[Span]:
    """Send a click, ask for a list, and return the spans of both, in the order in which they began.

    Args:
        settings: of the running stack; its services log to ``home``.
        user_id: who clicks.
        item_id: on what; None: on the most popular item.

    Raises:
        FollowError: a service refuses, or a part tells nothing within PATIENCE_S.
    """
    if settings.otlp_endpoint:
        raise FollowError("traces go to FRESHET_OTLP_ENDPOINT: look there")
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01", "x-api-key": settings.own_key}
    recommender = settings.service_url("recommender")
    with httpx.Client(headers=headers, trust_env=False, timeout=10) as client:
        try:
            if item_id is None:
                untraced = {"traceparent": ""}
                popular = client.get(f"{recommender}/popular", params={"k": 1}, headers=untraced).raise_for_status()
                item_id = popular.json()["recommendations"][0]["item_id"]
            act = {"user_id": user_id, "item_id": item_id, "event_type": "click"}
            client.post(f"{settings.service_url('ingest')}/events", json=act).raise_for_status()
            _until(lambda: _named(settings, trace_id, ROW), f"the dataflow told nothing of {ROW!r}")
            client.get(f"{recommender}/recommend", params={"user_id": user_id}).raise_for_status()
        except httpx.HTTPError as error:
            raise FollowError(f"{error}; is the system up?") from None
    _until(lambda: _named(settings, trace_id, LIST), "the recommender told nothing of the list")
    return sorted(_spans(settings, trace_id), key=lambda span: span.told["began_us"])


def tree(spans: list[Span]) -> Tree:
    """The spans as a tree, with milliseconds since the first began."""
    first_us = spans[0].told["began_us"]
    nodes = {None: Tree(Text(f"trace {spans[0].told['trace_id']}", style="bold"))}
    for span in spans:
        told = span.told
        node = nodes.get(told["parent_id"], nodes[None]).add(_line(span, first_us))
        nodes[told["span_id"]] = node
        for stage in told["stages"]:
            node.add(Text(f"{stage['stage']:<8}{stage['took_ms']:8.2f} ms", style="dim"))
    return nodes[None]


def _line(span: Span, first_us: int) -> Text:
    told = span.told
    about = [f"{name}={told[name]}" for name in ("status", "origin") if name in told]
    return Text.assemble(
        (f"+{(told['began_us'] - first_us) / 1_000:.1f} ms  ", "cyan"),
        (f"{span.service}: {told['span']}  ", "bold"),
        f"{told['took_ms']:.2f} ms  ",
        (" ".join(about), "dim"),
    )


def _spans(settings: Settings, trace_id: str) -> Iterator[Span]:
    for log in (settings.home / "logs").glob("*.log"):
        for line in log.read_bytes().splitlines():
            if trace_id.encode() in line and b'"message": "trace"' in line:
                told = orjson.loads(line)
                yield Span(told["service"], told)


def _named(settings: Settings, trace_id: str, name: str) -> bool:
    return any(span.told["span"] == name for span in _spans(settings, trace_id))


def _until(happened: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        if time.monotonic() > deadline:
            raise FollowError(f"{otherwise} within {PATIENCE_S:.0f} s")
        time.sleep(0.05)


def main(arguments: list[str]) -> int:
    """Print the tree. Returns the exit status."""
    user_id = arguments[0] if arguments else f"follow-{secrets.token_hex(4)}"
    try:
        found = follow(load_settings(), user_id, arguments[1] if len(arguments) > 1 else None)
    except (SettingsError, FollowError) as error:
        print(error, file=sys.stderr)
        return 1
    Console().print(tree(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
