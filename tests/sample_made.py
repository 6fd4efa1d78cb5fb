"""What a training of the sample shop makes, without a server: for the gate, the registry and what they are told."""

from __future__ import annotations

from functools import cache

from sample_shop import sample_events, sample_items, sample_users

from flows.tracking import Made, code_facts, data_facts
from flows.train import Data
from models.evaluate import evaluate
from models.pairs import replayed_rows
from models.recipe import TrainingSettings, first_retriever, fit_ranker, make_pairs
from models.reference import Reference
from models.training import assemble, fit_retriever, make_plan

HOW = TrainingSettings(epochs=4, max_moments=60, seed=1, threads=1)


@cache
def sample_made() -> tuple[Data, Made]:
    """The data and all that a training makes of them; the same object every time."""
    data = Data(sample_events(), sample_items(), sample_users())
    plan, reference = make_plan(*data), Reference()
    split, first = plan.split, first_retriever(plan, HOW)
    work = make_pairs(plan, first, data.events, HOW)
    learned = fit_ranker(plan, work, *replayed_rows(work.pairs, data.events), HOW)
    nets = {until_us: fit_retriever(plan, until_us, HOW.epochs, seed=1) for until_us in (split.test_us, split.end_us)}
    twin = assemble(plan, nets[split.test_us], split.test_us, learned=learned)
    evaluation = evaluate(twin, plan, data.events, since_us=split.test_us, until_us=split.end_us, watch=reference)
    shipped = assemble(plan, nets[split.end_us], split.end_us, learned=learned, metrics=evaluation.metrics())
    made = Made(
        reason="a test",
        how=HOW,
        plan=plan,
        learned=learned,
        evaluation=evaluation,
        twin=twin,
        shipped=shipped,
        reference=reference.frame(),
        losses={"first": first.curve, "shipped": nets[split.end_us].curve},
        facts=data_facts(*data) | code_facts(),
    )
    return data, made
