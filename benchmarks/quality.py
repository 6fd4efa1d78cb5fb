"""Quality of recommendations on a global time split: ``python -m benchmarks.quality [--dataset ...] [--moments N]``.

The recipe of the training flow without its servers: point-in-time rows come from a replay instead of Feast's join
(a test shows that both give the same rows). The last 10 % of time is ranked in full, seen items left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from flows.console import quality_table, training_bars
from flows.load import prepare
from infra.settings import load_settings
from models import recipe
from models.evaluate import Evaluation, evaluate
from models.pairs import replayed_rows
from models.recipe import TrainingSettings
from models.training import assemble, make_plan

console = Console()


def measure(source: str, moments: int, how: TrainingSettings) -> Evaluation:
    """Train on the first 90 % of time, judge on the rest.

    Args:
        source: a data set as ``flows.load`` takes it.
        moments: most moments judged (a seeded sample).
        how: how to train.
    """
    dataset = prepare(source, load_settings().home / "dataset")
    events = sorted(dataset.events(), key=lambda event: (event.time_us, event.event_id))
    plan = make_plan(events, list(dataset.items()), list(dataset.users()))
    split = plan.split
    with training_bars(console) as steps:
        first = recipe.first_retriever(plan, how, steps)
        work = recipe.make_pairs(plan, first, events, how, steps)
        learned = recipe.fit_ranker(plan, work, *replayed_rows(work.pairs, events), how)
        retriever = recipe.next_retriever(plan, split.test_us, first, how, steps)
        bundle = assemble(plan, retriever, split.test_us, fusion=learned.fusion, ranker=learned.ranker)
        console.print(f"ranker: {learned.report}")
        return evaluate(
            bundle,
            plan,
            events,
            since_us=split.test_us,
            until_us=split.end_us,
            candidates=how.candidates,
            sample=moments,
            seed=how.seed,
            progress=steps("evaluate"),
        )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--dataset", default=load_settings().dataset, help="folder, ml-100k, or ml-1m:PATH")
    parser.add_argument("--moments", type=int, default=10_000, help="most moments judged")
    parser.add_argument("--epochs", type=int, default=load_settings().retriever_epochs)
    parser.add_argument("--seed", type=int, default=load_settings().seed)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    options = parser.parse_args()
    how = replace(TrainingSettings(), epochs=options.epochs, seed=options.seed, threads=load_settings().train_threads)
    wall, cpu = time.perf_counter(), time.process_time()
    evaluation = measure(options.dataset, options.moments, how)
    console.print(quality_table(evaluation))
    console.print(f"{time.perf_counter() - wall:.0f} s, {time.process_time() - cpu:.0f} CPU-s, seed {options.seed}")
    if options.json:
        options.json.write_text(json.dumps(evaluation.as_json(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
