"""The whole recipe in one call, with point-in-time rows by replay instead of Feast's join.

The training flow does the same steps as tasks and asks Feast for the rows; both give the same model, which a test
shows. Three nets follow one another: one that ends where the ranker's window begins, one that ends where the test
begins, and one of all events, which ships.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import pandas as pd

from feature_repo.events import Event, Item, UserProfile
from models.bundle import Bundle
from models.content import item_table
from models.dataset import moments
from models.fusion import Fusion
from models.pairs import RankerData, ranker_matrix, replayed_rows, training_pairs
from models.ranker import train_ranker
from models.retriever import Progress, Retriever, is_small
from models.scorer import STALE_US
from models.served_pairs import joined
from models.training import Learned, Offer, Plan, assemble, collect_pools, fit_fusion_on, fit_retriever, make_plan

Steps = Callable[[str], Progress | None]
"""Called with the name of a long step; gives what is told of its progress."""


def silent(step: str) -> None:
    """No progress shown."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a bundle is trained.

    Attributes:
        epochs: passes of the first net over a small history (half over a large one: ``retriever.passes``);
            fine_tune_epochs: of each of the two that follow, where the history is large.
        max_moments: moments that the fusion is fitted on (a seeded sample of the ranker's window).
        candidates: size of the pool; as in serving.
        seed: of everything random; threads: of torch and LightGBM.
    """

    epochs: int = 8
    fine_tune_epochs: int = 3
    max_moments: int = 3_000
    candidates: int = 200
    seed: int = 7
    threads: int = 2


class RankerWork(NamedTuple):
    """What stands before the point-in-time join: the pairs to join, the fusion they start from, and the first net.

    ``stale_fusion``: the fusion for states that stand still. ``offers``: what the fusion was fitted on.
    """

    pairs: pd.DataFrame
    fusion: Fusion
    stale_fusion: Fusion
    retriever: Retriever
    offers: Sequence[Offer]


def first_retriever(plan: Plan, settings: TrainingSettings, steps: Steps = silent) -> Retriever:
    """The net of the events before the ranker's window."""
    until_us, progress = plan.split.validation_us, steps("retriever")
    return fit_retriever(
        plan, until_us, settings.epochs, seed=settings.seed, threads=settings.threads, progress=progress
    )


def next_retriever(
    plan: Plan, until_us: int, start: Retriever, settings: TrainingSettings, steps: Steps = silent
) -> Retriever:
    """The net of all events before a later time.

    Of a small history it is trained anew: that costs seconds, and on MovieLens-100K a fine-tuned net is 2 % worse
    (85-90 %). Of a large one an earlier net is fine-tuned.
    """
    anew = is_small(plan.history)
    return fit_retriever(
        plan,
        until_us,
        settings.epochs if anew else settings.fine_tune_epochs,
        seed=settings.seed,
        threads=settings.threads,
        start=None if anew else start,
        progress=steps("retriever, of all events" if anew else "retriever, fine-tuned"),
    )


def make_pairs(
    plan: Plan, retriever: Retriever, events: Sequence[Event], settings: TrainingSettings, steps: Steps = silent
) -> RankerWork:
    """Replay the ranker's window with the first net, fit the fusions, and choose the pairs to join."""
    split = plan.split
    base = assemble(plan, retriever, split.validation_us)
    window = moments(plan.history, split.validation_us, split.test_us, settings.max_moments, seed=settings.seed)
    stood = [moment for moment in window if moment.now_us > split.validation_us + STALE_US]
    asked = {"candidates": settings.candidates}
    offers, items = collect_pools(base, plan, events, window, **asked, progress=steps("candidates"))
    stale, _ = collect_pools(
        base, plan, events, stood, **asked, state_until_us=split.validation_us, progress=steps("candidates, stale")
    )
    fusion = fit_fusion_on(offers)
    pairs = training_pairs(offers, items, fusion, seed=settings.seed)
    return RankerWork(pairs, fusion, fit_fusion_on(stale), retriever, offers)


def fit_ranker(
    plan: Plan,
    work: RankerWork,
    user_rows: pd.DataFrame,
    item_rows: pd.DataFrame,
    settings: TrainingSettings,
    *,
    served: RankerData | None = None,
) -> Learned:
    """Train the ranker on joined rows (see ``pairs.ranker_matrix`` for their columns), and on served ones."""
    table = item_table(work.retriever.item_ids, plan.catalog, plan.categories)
    data = ranker_matrix(work.pairs, user_rows, item_rows, table)
    if served is not None:
        data = joined(data, served)
    ranker, report = train_ranker(*data, seed=settings.seed, threads=settings.threads)
    return Learned(work.fusion, work.stale_fusion, ranker, report)


def train_bundle(
    events: Sequence[Event],
    catalog: Sequence[Item],
    users: Iterable[UserProfile],
    settings: TrainingSettings,
    steps: Steps = silent,
) -> Bundle:
    """A bundle of all events, not evaluated.

    Args:
        events: in order of time.
        catalog, users: everything that is known.
        settings: see there.
        steps: asked for a progress callback before each long step.
    """
    plan = make_plan(events, catalog, users)
    first = first_retriever(plan, settings, steps)
    work = make_pairs(plan, first, events, settings, steps)
    learned = fit_ranker(plan, work, *replayed_rows(work.pairs, events), settings)
    last = next_retriever(plan, plan.split.end_us, first, settings, steps)
    return assemble(plan, last, plan.split.end_us, learned=learned, params=asdict(settings))
