"""metrics.md: every metric, read from the registries that the processes really answer from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docs.reference.markdown import WRITTEN, code, table

INTRODUCTION = f"""# Metrics

{WRITTEN} Every process answers `GET /metrics` in Prometheus' text format ([where](../observability.md)); names are as
Prometheus has them. A histogram has three: `_bucket` (with label `le`), `_sum`, `_count`. Besides, every process but
the recommender has the usual `process_*` of its memory, CPU and files.

"""
TITLES = {
    "ingest": "Ingest",
    "recommender": "Recommender",
    "stream": "Dataflow of events",
    "outcomes": "Dataflow of outcomes, and experiments",
    "console": "Console, the origin of the page",
}


def page() -> str:
    """The text of the page."""
    parts = [INTRODUCTION]
    for part, found in registries().items():
        rows = [
            (code(exposed(family)), family.type, ", ".join(map(code, labels)), family.documentation)
            for family, labels in sorted(families(found), key=lambda each: each[0].name)
        ]
        parts.append(f"## {TITLES[part]}\n\n" + table(("metric", "type", "labels", "meaning"), rows))
    return "".join(parts).rstrip() + "\n"


def registries() -> Mapping[str, Any]:
    """Part of the system -> its Prometheus registry, made as the part makes it."""
    from bento.console.metrics import ConsoleMetrics
    from bento.ingest.metrics import IngestMetrics
    from bento.recommender.metrics import Metrics
    from flows.outcome_metrics import OutcomeMetrics
    from flows.stream_metrics import StreamMetrics

    made: Mapping[str, Any] = {
        "ingest": IngestMetrics(),
        "recommender": Metrics(),
        "stream": StreamMetrics(),
        "outcomes": OutcomeMetrics(),
        "console": ConsoleMetrics(),
    }
    return {part: metrics.registry for part, metrics in made.items()}


def families(registry: Any) -> list[tuple[Any, tuple[str, ...]]]:
    """Each of our metrics in a registry, with the names of its labels, which no public call tells."""
    return [
        (collector.describe()[0], tuple(collector._labelnames))
        for collector in registry._collector_to_names
        if hasattr(collector, "_labelnames")
    ]


def exposed(family: Any) -> str:
    """A metric's name as Prometheus has it."""
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def names() -> frozenset[str]:
    """Every name of ours that Prometheus can be asked for."""
    found: set[str] = set()
    for registry in registries().values():
        for family, _ in families(registry):
            found.add(exposed(family))
            if family.type == "histogram":
                found |= {f"{family.name}{ending}" for ending in ("_bucket", "_sum", "_count")}
    return frozenset(found)
