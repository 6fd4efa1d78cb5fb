"""Two bad releases, made of the champion: ``python -m benchmarks.lifecycle.sabotage misnumbered|overflowing``.

misnumbered    the item ids stand in another order than the arrays' rows, in the bundle and in its judged twin: every
               hash and shape is right, and nothing fits anybody.
overflowing    the last step of the build has spoiled the vectors of some items, and only in the bundle that ships:
               finite numbers, so large that the scores of whoever lately met such an item are none. They are items
               that no request of the gate's, and no made-up visitor of the recommender's, has in its history.

Each takes the same way as any challenger: registered, judged by the gate, promoted when it passes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect import flow

from bento.recommender.canary import visitors
from feature_repo.events import Event
from flows.event_store import open_event_store
from flows.gate import JUDGED, judge_challenger, record
from flows.metadata import MetadataStore
from flows.train import go_live
from infra.settings import Settings, load_settings
from models import registry
from models.bundle import Bundle
from models.canary import canary_set
from models.recipe import TrainingSettings
from models.replay import Replay
from models.training import Plan, make_plan

SPOILED = 30
HUGE = np.float32(1e38)

Spoil = Callable[[Bundle, Plan, list[Event]], Bundle]


@flow(name="sabotage", log_prints=True)
def challenge_with(kind: str) -> str:
    """Register a spoiled copy of the champion and let the gate decide. Returns its version."""
    settings = load_settings()
    events = list(open_event_store(settings.event_store_url).scan())
    metadata = MetadataStore(settings.database_url)
    plan = make_plan(events, metadata.items(), metadata.users())
    champion = registry.champion(settings, settings.model_alias)
    if champion is None:
        raise registry.RegistryError("there is no champion to spoil: train first")
    with tempfile.TemporaryDirectory() as folder:
        shipped, twin = (
            Bundle.load(registry.download(settings, champion, Path(folder) / artifact, artifact))
            for artifact in (registry.ARTIFACTS, JUDGED)
        )
        shipped = KINDS[kind](shipped, plan, events)
        if kind == "misnumbered":
            twin = KINDS[kind](twin, plan, events)
        version = _registered(settings, shipped, twin, kind, Path(folder))
    verdict = judge_challenger(settings, version, plan, events, TrainingSettings(candidates=settings.candidates))
    record(settings, verdict)
    if verdict.passed:
        go_live(settings, version, champion)
    print(f"version {version}, {kind}: {verdict.summary}")
    return version


def _registered(settings: Settings, shipped: Bundle, twin: Bundle, kind: str, folder: Path) -> str:
    twin.save(folder / "extras" / JUDGED)
    path, tags = shipped.save(folder / "spoiled"), {"bundle": shipped.version, "reason": f"sabotage: {kind}"}
    version = registry.register(settings, path, {}, shipped.metrics, tags, extras=folder / "extras")
    registry.challenge(settings, version)
    return version


def misnumbered(bundle: Bundle, plan: Plan, events: list[Event]) -> Bundle:
    """Every item has the vectors and neighbours of another."""
    order = np.random.default_rng(7).permutation(len(bundle.item_ids))
    return replace(bundle, item_ids=tuple(bundle.item_ids[n] for n in order))


def overflowing(bundle: Bundle, plan: Plan, events: list[Event]) -> Bundle:
    """Items of the newest acts, as far as nobody who checks has met them, come with enormous vectors."""
    checks = [asked.query for asked in canary_set(plan, Replay(events))]
    met = {item for query in (*checks, *visitors(bundle.item_ids, bundle.segments)) for item in query.seen}
    met |= {item for query in checks for item in query.user["recent_items"]}
    newest = dict.fromkeys(event.item_id for event in reversed(events) if event.item_id not in met)
    number = {item_id: n for n, item_id in enumerate(bundle.item_ids)}
    rows = [number[item_id] for item_id in newest if item_id in number][:SPOILED]
    vectors = bundle.weights["token_vectors"].copy()
    vectors[rows] = HUGE
    return replace(bundle, weights={**bundle.weights, "token_vectors": vectors})


KINDS: dict[str, Spoil] = {"misnumbered": misnumbered, "overflowing": overflowing}


if __name__ == "__main__":
    challenge_with(sys.argv[1])
