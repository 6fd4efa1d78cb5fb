"""A bundle of any catalogue in minutes on one core: for measuring how fast it answers, not how well.

The product's own recipe, but for the net: it sees a sample of the users. Each of its steps costs as much as the
catalogue is large, so that a whole pass over 100,000 items and users takes half an hour. Items that no sampled user met
keep the vectors from which every training starts, those of all co-visits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feature_repo.events import Event, Item, UserProfile
from models.bundle import Bundle
from models.content import content, item_table
from models.dataset import History
from models.pairs import replayed_rows
from models.recipe import Steps, TrainingSettings, fit_ranker, make_pairs
from models.retriever import Retriever, train_retriever
from models.training import Plan, assemble, make_plan
from models.windows import Examples

USERS = 3_000
"""Users that the net learns from."""


def train(
    events: Sequence[Event], items: Sequence[Item], users: Sequence[UserProfile], how: TrainingSettings, steps: Steps
) -> Bundle:
    """A bundle of all events, not evaluated.

    Args:
        events: in order of time.
        how: seed, threads, max_moments, candidates; its epochs count passes over the sample.
        steps: asked for a progress callback before each long step.
    """
    plan = make_plan(events, items, users)
    first = _net(plan, plan.split.validation_us, None, how, steps)
    work = make_pairs(plan, first, events, how, steps)
    learned = fit_ranker(plan, work, *replayed_rows(work.pairs, events), how)
    last = _net(plan, plan.split.end_us, first, how, steps)
    return assemble(plan, last, plan.split.end_us, learned=learned)


def _net(plan: Plan, until_us: int, start: Retriever | None, how: TrainingSettings, steps: Steps) -> Retriever:
    history = plan.history.before(until_us)
    table = item_table(history.item_ids, plan.catalog, plan.categories)
    shown = content(table, np.arange(len(history.item_ids)))
    examples = Examples(sampled(history, USERS, how.seed), shown, plan.segments, plan.profiles)
    return train_retriever(
        examples,
        how.fine_tune_epochs if start else how.epochs,
        seed=how.seed,
        threads=how.threads,
        start=start,
        progress=steps("retriever, of all events" if start else "retriever"),
    )


def sampled(history: History, users: int, seed: int) -> History:
    """The events of some users, seeded; all items keep their numbers."""
    count = len(history.user_ids)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:users])
    keep = np.isin(history.user, chosen)
    user = np.searchsorted(chosen, history.user[keep])
    return History(
        tuple(history.user_ids[n] for n in chosen),
        history.item_ids,
        user,
        history.item[keep],
        history.time_us[keep],
        history.event_type[keep],
        history.value[keep],
        history.weight[keep],
        np.searchsorted(user, np.arange(len(chosen) + 1)),
    )
