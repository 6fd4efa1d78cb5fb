"""What MLflow is told of one training: parameters, figures, curves, tables, plots, and a text for people."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pandas as pd

from feature_repo.events import Event, Item, UserProfile, iso_seconds
from feature_repo.schema import PROJECT
from flows import plots
from infra.settings import ROOT, Settings
from models import reference
from models.bundle import Bundle
from models.judging import Evaluation
from models.pairs import RankerData
from models.recipe import TrainingSettings
from models.registry import Curve
from models.training import Learned, Plan

if TYPE_CHECKING:
    from feast import FeatureStore

SERVICES = ("user_context", "item_context")
"""The feature services that the training frame is joined from."""

SYSTEMS = ("product", "recent popularity")
"""The systems whose figures are told by segment."""

IMPORTANCE = "importance.json"
IMPORTANCE_ROWS = 2_000


@dataclass(frozen=True)
class Made:
    """All that one training made and went by.

    Attributes:
        reason: why it ran.
        twin: the judged bundle; shipped: the one of all events.
        reference: as ``Reference.frame`` gives it.
        losses: the retrievers' curves by name.
        facts: what data, code and feature definitions it came from, as ``data_facts`` and others tell them.
    """

    reason: str
    how: TrainingSettings
    plan: Plan
    learned: Learned
    evaluation: Evaluation
    twin: Bundle
    shipped: Bundle
    reference: pd.DataFrame
    losses: Mapping[str, Curve]
    facts: Mapping[str, object]

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """The plots by name, as PNG files."""
        report = self.learned.report
        figures = {
            "recall": plots.recall_plot(self.evaluation),
            "calibration": plots.calibration_plot(self.reference),
            "learning": plots.learning_plot(self.losses, report.curve, report.trees),
            "importance": plots.importance_plot(importance(self)),
        }
        return {name: plots.png(figure) for name, figure in figures.items()}


def data_facts(events: Sequence[Event], items: Sequence[Item], users: Sequence[UserProfile]) -> dict[str, object]:
    """How many of what there was, and a hash that is the same for the same data in whatever order."""
    return {
        "data_events": len(events),
        "data_items": len(items),
        "data_profiles": len(users),
        "data_hash": data_hash(events, items, users),
    }


def data_hash(events: Iterable[Event], items: Iterable[Item], users: Iterable[UserProfile]) -> str:
    """SHA-256 over everything that a training reads of events, catalogue and profiles, each sorted by its key."""
    digest = hashlib.sha256()
    for e in sorted(events, key=lambda e: (e.time_us, e.event_id, e.user_id)):
        digest.update(orjson.dumps((e.time_us, e.event_id, e.user_id, e.item_id, e.event_type, e.value)))
    for raw in (*sorted(item.encode() for item in items), *sorted(user.encode() for user in users)):
        digest.update(raw)
    return digest.hexdigest()


def feast_facts(store: FeatureStore) -> dict[str, object]:
    """The feature services that were joined, with a hash of their fields' names and types, and the registry's state."""
    facts: dict[str, object] = {"feast_project": PROJECT, "feast_services": ",".join(SERVICES)}
    for name in SERVICES:
        views = store.get_feature_service(name).feature_view_projections
        fields = sorted((view.name, field.name, str(field.dtype)) for view in views for field in view.features)
        facts[f"feast_{name}_fields"] = len(fields)
        facts[f"feast_{name}_hash"] = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:16]
    registry = store.registry.proto()
    facts["feast_registry_version"] = registry.version_id or "unknown"
    facts["feast_registry_updated"] = registry.last_updated.ToDatetime(UTC).isoformat(timespec="seconds")
    return facts


def served_facts(served: RankerData | None) -> dict[str, object]:
    """How much of what was shown the ranker has learned from."""
    return {
        "served_lists": 0 if served is None else len(served.groups),
        "served_rows": 0 if served is None else len(served.labels),
    }


def code_facts(root: Path = ROOT) -> dict[str, object]:
    """The git commit and whether files differ from it; outside a checkout the installed package's version."""
    facts: dict[str, object] = {"code_package": installed_version("freshet")}
    if (root / ".git").exists():
        commit, changed = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")
        if commit:
            facts |= {"code_commit": commit, "code_dirty": bool(changed)}
    return facts


def _git(root: Path, *command: str) -> str:
    try:
        done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def params_of(made: Made, settings: Settings) -> dict[str, object]:
    """Everything that the training went by, flat: settings of training and gate, window, data, features, code."""
    window = made.shipped.data_window
    report = {name: value for name, value in made.learned.report._asdict().items() if name != "curve"}
    gate = {name: getattr(settings, name) for name in type(settings).model_fields if name.startswith("gate_")}
    times = {"test_from": made.plan.split.test_us, "from": window["from_us"], "until": window["until_us"]}
    return {
        "reason": made.reason,
        **asdict(made.how),
        **gate,
        **window,
        "test_from_us": made.plan.split.test_us,
        **{name: iso_seconds(time_us) for name, time_us in times.items()},
        **report,
        **made.facts,
    }


def metrics_of(made: Made) -> dict[str, float]:
    """The bundle's figures, and those of SYSTEMS by segment: ``live.product.segment.warm.ndcg_at_10``."""
    figures = dict(made.shipped.metrics)
    for system in SYSTEMS:
        for segment, quality in made.evaluation.judgements["live"][system].quality["next"].items():
            prefix = f"live.{system.replace(' ', '_')}.segment.{segment}"
            figures[f"{prefix}.ndcg_at_10"] = quality.means["ndcg@10"]
            figures[f"{prefix}.recall_at_50"] = quality.means["recall@50"]
            figures[f"{prefix}.moments"] = quality.moments
    return figures


def curves_of(made: Made) -> dict[str, Curve]:
    """Metrics with a value at each step: the retrievers' losses, the ranker's NDCG@10 by number of trees."""
    losses = {f"retriever_loss.{name}": curve for name, curve in made.losses.items()}
    return losses | {"ranker_ndcg_by_trees": list(enumerate(made.learned.report.curve))}


def write_extras(made: Made, folder: Path) -> Path:
    """All artifacts but the bundle itself, into a folder, which is made. Returns it."""
    folder.mkdir()
    made.twin.save(folder / "judged")
    made.reference.to_parquet(folder / reference.FILE, index=False)
    (folder / "evaluation.json").write_text(json.dumps(made.evaluation.as_json(), indent=2))
    # The orientation that MLflow shows as a table.
    (folder / IMPORTANCE).write_text(importance(made).to_json(orient="split", index=False))
    plots.reliability(made.reference).to_csv(folder / "calibration.csv", index=False)
    (folder / "plots").mkdir()
    for name, picture in made.pictures.items():
        (folder / "plots" / f"{name}.png").write_bytes(picture)
    return folder


def importance(made: Made) -> pd.DataFrame:
    """How much each feature matters, most first: its gain in the trees, its mean absolute part in a shown score."""
    gains, rows = made.learned.ranker.gains(), made.reference[list(made.twin.feature_names)]
    some = rows.sample(min(len(rows), IMPORTANCE_ROWS), random_state=0).to_numpy(np.float32)
    moves = np.abs(made.twin.contributions(some)).mean(0) if len(some) else np.zeros(rows.shape[1])
    table = pd.DataFrame({"feature": list(gains), "gain": list(gains.values()), "moves": moves})
    return table.sort_values(["gain", "moves"], ascending=False, ignore_index=True)


def run_tags(made: Made) -> dict[str, str]:
    """Tags of the run: why and how it came about, and which of its files are tables."""
    tables = json.dumps([{"path": IMPORTANCE, "type": "table"}])
    name = f"{made.reason[:60]}, {datetime.now(UTC):%Y-%m-%d %H:%M}"
    commit = str(made.facts.get("code_commit", ""))
    return {"mlflow.runName": name, "mlflow.source.git.commit": commit, "mlflow.loggedArtifacts": tables}


def describe(made: Made) -> str:
    """What a person wants to know of a version, in Markdown."""
    window, live = made.shipped.data_window, made.evaluation.results["live"]
    product, popular = live["product"], live["recent popularity"]
    report = made.learned.report
    trees = f"{report.trees} trees" if report.trees else "no trees: the fusion's order stands"
    commit = str(made.facts.get("code_commit", ""))[:12] or f"package {made.facts['code_package']}"
    return (
        f"Trained {made.shipped.created} ({made.reason}), code {commit}.\n\n"
        f"**Data**: {window['events']:,} events of {window['users']:,} users and {window['items']:,} items, "
        f"{iso_seconds(window['from_us'])} to {iso_seconds(window['until_us'])}; "
        f"hash {str(made.facts['data_hash'])[:12]}.\n\n"
        f"**Quality** on the last 10 % of time ({product.moments:,} moments of {product.users:,} users, unseen by the "
        f"judged twin): NDCG@10 {product.means['ndcg@10']:.4f} ±{product.half_widths['ndcg@10']:.4f}, recall@50 "
        f"{product.means['recall@50']:.3f}; recent popularity {popular.means['ndcg@10']:.4f}. {trees}."
    )


def segment_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """NDCG@10 of SYSTEMS by segment, live state, for a table."""
    by_system = {system: evaluation.judgements["live"][system].quality["next"] for system in SYSTEMS}
    return [
        {
            "segment": segment,
            "moments": found.moments,
            "users": found.users,
            **{system: round(by_system[system][segment].means["ndcg@10"], 4) for system in SYSTEMS},
        }
        for segment, found in by_system[SYSTEMS[0]].items()
    ]


def quality_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Figures of every system, for a table."""
    return [
        {"system": system, "state": mode, **{name: round(value, 4) for name, value in quality.means.items()}}
        for mode, systems in evaluation.results.items()
        for system, quality in systems.items()
    ]
