"""From raw events to the model that answers: the story of one model, as a Prefect flow.

read -> backfill -> batch views -> retriever -> pairs -> Feast's point-in-time join -> fusion and ranker -> evaluate
-> build -> register -> vectors into the index -> gate -> promote -> sweep. The bundle that is judged has seen nothing
of the last 10 % of time; the one that ships is made by the same recipe from all events. Whatever breaks before the
alias moves leaves the champion as it was.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field
from rich.console import Console

from feature_repo.events import Event, Item, UserProfile
from feature_repo.schema import SEGMENT_FAVOURITES
from feature_repo.store import apply_definitions, open_store
from flows import tracking
from flows.alone import Held, alone
from flows.backfill import erased_from_now_on, write_history
from flows.console import quality_table, tracked, training_bars
from flows.event_store import open_event_store
from flows.gate import judge_challenger, record, sentence
from flows.metadata import MetadataStore
from flows.offline import Erased
from flows.registration import challenge, collect_facts, register, show
from flows.tracking import Made
from flows.training_set import item_rows, served_lists, user_rows
from infra.settings import Settings, load_settings
from models import pinecone_index, recipe, registry
from models.announce import announce
from models.bundle import Bundle
from models.evaluate import evaluate
from models.gate import guarded_segments
from models.index import IndexAway, with_bias
from models.judging import Evaluation
from models.pairs import RankerData
from models.readiness import check_data, check_labels, check_windows
from models.recipe import RankerWork, TrainingSettings
from models.reference import Reference
from models.retriever import Retriever
from models.training import Learned, Plan, assemble, make_plan

console = Console()

Epochs = Annotated[int, Field(ge=1, le=200, description="passes of the retriever; absent: FRESHET_RETRIEVER_EPOCHS")]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="why it runs; stands on the run and version")]


JoinedRows = tuple[pd.DataFrame, pd.DataFrame]
"""Rows of users and of items."""


class Data(NamedTuple):
    """Everything that a model is made from: events in order of time, catalogue, profiles."""

    events: list[Event]
    items: list[Item]
    users: list[UserProfile]


class Judged(NamedTuple):
    """All systems' figures on the test window, the bundle that made them, what it showed, and its net's loss."""

    evaluation: Evaluation
    twin: Bundle
    reference: pd.DataFrame
    net: Retriever


class Built(NamedTuple):
    """The bundle that ships, and its net."""

    bundle: Bundle
    net: Retriever


@flow(name="train", log_prints=True)
def train(
    promote: bool = True, reason: Reason = "scheduled", epochs: Epochs | None = None, served: bool | None = None
) -> str:
    """Train, judge and register a model from all events so far.

    Args:
        promote: let the model go live when it passes the gate.
        reason: why it runs.
        epochs: passes of the retriever; None: as the settings say.
        served: whether the ranker also learns from shown lists; None: as the settings say.

    Returns:
        The registered version.

    Raises:
        CannotTrain: the data do not make a model.
        AlreadyRuns: another training is under way.
    """
    settings = load_settings()
    how = TrainingSettings(
        epochs=epochs or settings.retriever_epochs,
        candidates=settings.candidates,
        seed=settings.seed,
        threads=settings.train_threads,
    )
    with alone(settings, "train") as held:
        on_served = settings.train_on_served if served is None else served
        data, made = make(settings, how, reason, on_served)
        return deliver(settings, made, data, promote, held)


def make(settings: Settings, how: TrainingSettings, reason: str, on_served: bool) -> tuple[Data, Made]:
    """All that is learned, before anybody is told. Called within a flow."""
    erased = erased_from_now_on(settings)
    data = read(settings)
    check_data(*data)
    guarded_segments(settings.gate_segments, {name for item in data.items for name in item.categories})
    plan = make_plan(*data)
    check_windows(plan)
    backfill_rows(settings, data, erased)
    publish_batch_views(settings)
    first = train_retriever(plan, how)
    work = choose_pairs(plan, first, data, how)
    check_labels(work.pairs)
    served = read_served(settings, plan, erased) if on_served else None
    learned = train_ranker(plan, work, join(settings, work.pairs), how, served)
    judged = judge(plan, first, learned, data, how)
    built = build(plan, first, learned, judged.evaluation, how)
    return data, Made(
        reason=reason,
        how=how,
        plan=plan,
        learned=learned,
        evaluation=judged.evaluation,
        twin=judged.twin,
        shipped=built.bundle,
        reference=judged.reference,
        losses={"first": first.curve, "judged": judged.net.curve, "shipped": built.net.curve},
        facts=collect_facts(settings, *data) | tracking.served_facts(served),
    )


def deliver(settings: Settings, made: Made, data: Data, promote: bool, held: Held) -> str:
    """Register it as challenger, let the gate judge it, and let it go live when it passes. Returns the version."""
    version = register(settings, made)
    challenge(settings, version)
    show(settings, version, made)
    publish_vectors(settings, made.shipped)
    verdict = judge_challenger(settings, version, made.plan, data.events, made.how)
    record(settings, verdict)
    if promote and verdict.passed:
        held.check()
        go_live(settings, version, verdict.champion)
        sweep_vectors(settings, made.shipped, verdict.champion)
    live = "promoted" if promote and verdict.passed else "not promoted"
    print(f"version {version}: {live}; {sentence(verdict)}")
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
def join(settings: Settings, pairs: pd.DataFrame) -> JoinedRows:
    """The users' and the items' features just before each moment, by Feast's point-in-time join."""
    store = open_store(settings)
    return user_rows(store, pairs), item_rows(store, pairs)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def read_served(settings: Settings, plan: Plan, erased: Erased) -> RankerData:
    """Lists that were shown in the ranker's window."""
    return served_lists(settings, plan, erased)


@task(cache_policy=NO_CACHE)
def train_ranker(
    plan: Plan,
    work: RankerWork,
    rows: tuple[pd.DataFrame, pd.DataFrame],
    how: TrainingSettings,
    served: RankerData | None,
) -> Learned:
    """LightGBM lambdarank, starting from the learned fusion."""
    return recipe.fit_ranker(plan, work, *rows, how, served=served)


@task(cache_policy=NO_CACHE)
def judge(plan: Plan, first: Retriever, learned: Learned, data: Data, how: TrainingSettings) -> Judged:
    """All systems on the last 10 % of time, with a bundle that has seen nothing of it."""
    split, reference = plan.split, Reference()
    with training_bars(console) as steps:
        retriever = recipe.next_retriever(plan, split.test_us, first, how, steps)
        twin = assemble(plan, retriever, split.test_us, learned=learned, params=asdict(how))
        evaluation = evaluate(
            twin,
            plan,
            data.events,
            since_us=split.test_us,
            until_us=split.end_us,
            candidates=how.candidates,
            seed=how.seed,
            watch=reference,
            progress=steps("evaluate"),
        )
    console.print(quality_table(evaluation))
    return Judged(evaluation, twin, reference.frame(), retriever)


@task(cache_policy=NO_CACHE)
def build(plan: Plan, first: Retriever, learned: Learned, evaluation: Evaluation, how: TrainingSettings) -> Built:
    """The bundle that ships: the same recipe, all events."""
    with training_bars(console) as steps:
        last = recipe.next_retriever(plan, plan.split.end_us, first, how, steps)
    bundle = assemble(plan, last, plan.split.end_us, learned=learned, metrics=evaluation.metrics(), params=asdict(how))
    return Built(bundle, last)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def publish_vectors(settings: Settings, bundle: Bundle) -> None:
    """The item vectors where the recommender will search them, before it is told of the bundle."""
    if settings.vector_index == "pinecone":
        pinecone_index.publish(settings, bundle.version, with_bias(bundle.encoder().items()))


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=5)
def go_live(settings: Settings, version: str, judged_against: str | None) -> None:
    """Let the champion alias name the version, and tell all who follow it.

    Raises:
        RegistryError: the alias has moved since the version was judged, or MLflow does not answer.
    """
    with registry.answering(settings, f"the promotion of version {version} broke off"):
        now = registry.champion(settings, settings.model_alias)
        if now not in (judged_against, version):
            raise registry.RegistryError(
                f"{settings.model_alias} was version {judged_against} when version {version} was judged and is {now} "
                f"now; version {version} stays {registry.CHALLENGER}: train again"
            )
        registry.promote(settings, version, settings.model_alias)
    announce(settings)


@task(cache_policy=NO_CACHE)
def sweep_vectors(settings: Settings, bundle: Bundle, previous: str | None) -> None:
    """Remove the item vectors of models that are neither champion nor the one before it, the way back.

    What cannot be removed now is removed after the next training: no reason to call this one failed.
    """
    if settings.vector_index != "pinecone":
        return
    kept = [bundle.version]
    if previous is not None:
        before = registry.bundle_of(settings, previous)
        if before is None:
            print(f"version {previous} names no bundle; item vectors of old models stay")
            return
        kept.append(before)
    try:
        print(f"item vectors removed: {', '.join(pinecone_index.sweep(settings, kept)) or 'none'}")
    except IndexAway as error:
        print(f"item vectors of old models stay: {error}")


if __name__ == "__main__":
    train()
