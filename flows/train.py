"""From raw events to the model that answers: the story of one model, as a Prefect flow.

read -> backfill -> batch views -> retriever -> pairs -> Feast's point-in-time join -> fusion and ranker -> evaluate
-> register -> gate -> promote. The bundle that is judged has seen nothing of the last 10 % of time; the one that
ships is made by the same recipe from all events.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from rich.console import Console

from feature_repo.events import Event, Item, UserProfile
from feature_repo.schema import PROJECT, SEGMENT_FAVOURITES
from feature_repo.store import apply_definitions, open_store
from flows.backfill import erased_from_now_on, write_history
from flows.console import quality_table, tracked, training_bars
from flows.event_store import open_event_store
from flows.metadata import MetadataStore
from flows.offline import Erased
from flows.training_set import item_rows, user_rows
from infra.settings import Settings, load_settings
from models import recipe, registry
from models.bundle import Bundle
from models.evaluate import Evaluation, evaluate
from models.recipe import RankerWork, TrainingSettings
from models.retriever import Retriever
from models.training import Learned, Plan, assemble, make_plan

console = Console()


class Data(NamedTuple):
    """Everything that a model is made from: events in order of time, catalogue, profiles."""

    events: list[Event]
    items: list[Item]
    users: list[UserProfile]


class Decision(NamedTuple):
    """Whether a model goes live, and why."""

    promote: bool
    reason: str


@flow(name="train", log_prints=True)
def train(promote: bool = True) -> str:
    """Train, judge and register a model from all events so far.

    Args:
        promote: let the model go live when it passes the gate.

    Returns:
        The registered version.
    """
    settings = load_settings()
    how = TrainingSettings(
        epochs=settings.retriever_epochs,
        candidates=settings.candidates,
        seed=settings.seed,
        threads=settings.train_threads,
    )
    erased = erased_from_now_on(settings)
    data = read(settings)
    backfill_rows(settings, data, erased)
    publish_batch_views(settings)
    plan = make_plan(*data)
    first = train_retriever(plan, how)
    work = choose_pairs(plan, first, data, how)
    learned = train_ranker(plan, work, *join(settings, work.pairs), how)
    evaluation = judge(plan, first, learned, data, how)
    bundle = build(plan, first, learned, evaluation, how)
    version = register(settings, bundle, evaluation, learned)
    decision = gate(bundle.metrics)
    print(f"version {version}: {'promoted' if promote and decision.promote else 'not promoted'}; {decision.reason}")
    if promote and decision.promote:
        registry.promote(settings, version, settings.model_alias)
    return version


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def read(settings: Settings) -> Data:
    """All events, the catalogue and the profiles."""
    store, metadata = open_event_store(settings.event_store_url), MetadataStore(settings.database_url)
    return Data(list(store.scan()), metadata.items(), metadata.users())


@task(cache_policy=NO_CACHE)
def backfill_rows(settings: Settings, data: Data, erased: Erased) -> dict[str, int]:
    """Point-in-time rows of every view, for the join; without users who were erased since the data was read."""
    events = tracked(data.events, "backfill", total=len(data.events), unit="events")
    return write_history(settings.offline_dir, events, data.items, data.users, erased)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def publish_batch_views(settings: Settings) -> None:
    """The views that no stream keeps, from the offline store into the online store."""
    store = open_store(settings)
    apply_definitions(store)
    store.materialize_incremental(end_date=datetime.now(UTC), feature_views=[SEGMENT_FAVOURITES.name])


@task(cache_policy=NO_CACHE)
def train_retriever(plan: Plan, how: TrainingSettings) -> Retriever:
    """The net of the events before the ranker's window."""
    with training_bars(console) as steps:
        return recipe.first_retriever(plan, how, steps)


@task(cache_policy=NO_CACHE)
def choose_pairs(plan: Plan, first: Retriever, data: Data, how: TrainingSettings) -> RankerWork:
    """What would have been offered in the ranker's window, as labelled pairs of moment and candidate."""
    with training_bars(console) as steps:
        return recipe.make_pairs(plan, first, data.events, how, steps)


@task(cache_policy=NO_CACHE)
def join(settings: Settings, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The users' and the items' features just before each moment, by Feast's point-in-time join."""
    store = open_store(settings)
    return user_rows(store, pairs), item_rows(store, pairs)


@task(cache_policy=NO_CACHE)
def train_ranker(
    plan: Plan, work: RankerWork, users: pd.DataFrame, items: pd.DataFrame, how: TrainingSettings
) -> Learned:
    """LightGBM lambdarank, starting from the learned fusion."""
    return recipe.fit_ranker(plan, work, users, items, how)


@task(cache_policy=NO_CACHE)
def judge(plan: Plan, first: Retriever, learned: Learned, data: Data, how: TrainingSettings) -> Evaluation:
    """All systems on the last 10 % of time, with a bundle that has seen nothing of it."""
    split = plan.split
    with training_bars(console) as steps:
        retriever = recipe.next_retriever(plan, split.test_us, first, how, steps)
        bundle = assemble(plan, retriever, split.test_us, learned=learned)
        evaluation = evaluate(
            bundle,
            plan,
            data.events,
            since_us=split.test_us,
            until_us=split.end_us,
            candidates=how.candidates,
            seed=how.seed,
            progress=steps("evaluate"),
        )
    console.print(quality_table(evaluation))
    return evaluation


@task(cache_policy=NO_CACHE)
def build(plan: Plan, first: Retriever, learned: Learned, evaluation: Evaluation, how: TrainingSettings) -> Bundle:
    """The bundle that ships: the same recipe, all events."""
    with training_bars(console) as steps:
        last = recipe.next_retriever(plan, plan.split.end_us, first, how, steps)
    return assemble(
        plan,
        last,
        plan.split.end_us,
        learned=learned,
        metrics=evaluation.metrics(),
        params=asdict(how),
    )


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def register(settings: Settings, bundle: Bundle, evaluation: Evaluation, learned: Learned) -> str:
    """The bundle in MLflow, and its figures where Prefect's users look."""
    with tempfile.TemporaryDirectory() as folder:
        path = bundle.save(Path(folder) / "bundle")
        (Path(folder) / "evaluation.json").write_text(json.dumps(evaluation.as_json(), indent=2))
        params = {**bundle.params, **bundle.data_window, **learned.report._asdict(), "feast_project": PROJECT}
        version = registry.register(settings, path, params, bundle.metrics, {"bundle": bundle.version})
    rows = [
        {"system": system, "state": mode, **{name: round(value, 4) for name, value in quality.means.items()}}
        for mode, systems in evaluation.results.items()
        for system, quality in systems.items()
    ]
    create_table_artifact(key="quality", table=rows, description=f"model version {version}")
    return version


def gate(metrics: Mapping[str, float]) -> Decision:
    """Let a model go live only when it beats what needs no model, on the same moments."""
    ours, theirs = metrics["live.product.ndcg_at_10"], metrics["live.recent_popularity.ndcg_at_10"]
    verb = "beats" if ours > theirs else "does not beat"
    return Decision(ours > theirs, f"NDCG@10 {ours:.4f} {verb} recent popularity's {theirs:.4f}")


if __name__ == "__main__":
    train()
