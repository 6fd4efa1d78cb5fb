"""Peeking at experiments: how often nothing is called something, and how long something takes to be seen.

``python -m benchmarks.sequential``. Simulated users come back as real ones do, some a hundred times as often as
others, and differ in how much they click; every experiment is looked at a hundred times while it runs. The z-test for
one look at a fixed time stands beside the test that Freshet uses (``models/sequential.py``).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from flows.console import tracked
from models.sequential import ALPHA, Moments, compare, fixed_p_value, moments_of

Values = NDArray[np.float64]

USERS, LOOKS, LISTS_PER_LOOK = 1_000, 100, 200
BASE_RATE, RATE_SPREAD = 0.1, 20.0
"""Users' click rates are Beta distributed: the mean, and the sum of both parameters."""
GAINS = (0.1, 0.2, 0.3, 0.5)


class Population(NamedTuple):
    """What users are like: ``returning`` is the Pareto index of how often they come (inf: all alike)."""

    name: str
    returning: float
    differ: bool


POPULATIONS = (
    Population("all alike", np.inf, False),
    Population("click rates differ", np.inf, True),
    Population("some come often", 1.5, False),
    Population("both", 1.5, True),
    Population("both, a few come very often", 1.1, True),
)


class Peeked(NamedTuple):
    """p-values of experiments at each look: [experiments, looks], by the sequential and by the fixed test."""

    sequential: Values
    fixed: Values


def simulate(people: Population, gain: float, experiments: int, looks: int = LOOKS, seed: int = 7) -> Peeked:
    """Run experiments of two variants, half of the users each, the second with ``1 + gain`` times the clicks."""
    found = [_run(people, gain, looks, np.random.default_rng([seed, n])) for n in range(experiments)]
    return Peeked(np.stack([f.sequential for f in found]), np.stack([f.fixed for f in found]))


def _run(people: Population, gain: float, looks: int, random: np.random.Generator) -> Peeked:
    activity = np.ones(USERS) if np.isinf(people.returning) else 1 + random.pareto(people.returning, USERS)
    rates = random.beta(BASE_RATE * RATE_SPREAD, (1 - BASE_RATE) * RATE_SPREAD, USERS)
    rates = rates if people.differ else np.full(USERS, BASE_RATE)
    treated = random.random(USERS) < 0.5
    rates = np.minimum(rates * np.where(treated, 1 + gain, 1), 1)
    lists = random.multinomial(LISTS_PER_LOOK, activity / activity.sum(), looks)
    clicked = random.binomial(lists, rates)
    shown, hits = lists.cumsum(0), clicked.cumsum(0)
    variant, control = (_moments(shown[:, who], hits[:, who]) for who in (treated, ~treated))
    return Peeked(compare(variant, control).p_value, fixed_p_value(variant, control))


def _moments(shown: NDArray[np.int64], hits: NDArray[np.int64]) -> Moments:
    return moments_of(shown, hits, hits)


def false_positives(p_values: Values, level: float = ALPHA) -> tuple[float, float]:
    """Share of experiments ever called different at a level, and its standard error."""
    share = float((p_values.min(1) < level).mean())
    return share, float(np.sqrt(share * (1 - share) / len(p_values)))


def decided_at(p_values: Values, level: float = ALPHA) -> Values:
    """The look, from 1, at which each experiment is decided first; inf where it never is."""
    hit = p_values < level
    return np.where(hit.any(1), hit.argmax(1) + 1.0, np.inf)


def _percent(share: tuple[float, float]) -> str:
    return f"{share[0]:.1%} ± {1.96 * share[1]:.1%}"


def nothing_table(experiments: int) -> Table:
    """A/A: no difference is there."""
    table = Table(title=f"No difference, {experiments} experiments x {LOOKS} looks: called different at 5 %")
    for heading in ("users", "sequential, any look", "z-test, any look", "z-test, last look only"):
        table.add_column(heading)
    for people in tracked(POPULATIONS, "A/A", total=len(POPULATIONS), unit="populations"):
        found = simulate(people, 0.0, experiments)
        cells = (found.sequential, found.fixed, found.fixed[:, -1:])
        table.add_row(people.name, *(_percent(false_positives(values)) for values in cells))
    return table


def something_table(experiments: int) -> Table:
    """A/B: a difference is there."""
    table = Table(title=f"A difference, {experiments} experiments, {LOOKS * LISTS_PER_LOOK:,} lists each: found")
    for heading in ("users", "gain", "sequential", "median lists until then", "z-test, last look only"):
        table.add_column(heading)
    for people, gain in tracked(list(_cases()), "A/B", total=len(list(_cases())), unit="cases"):
        found = simulate(people, gain, experiments, seed=8)
        when = decided_at(found.sequential)
        lists = f"{np.median(when[np.isfinite(when)]) * LISTS_PER_LOOK:,.0f}" if np.isfinite(when).any() else "-"
        share, last = np.isfinite(when).mean(), (found.fixed[:, -1] < ALPHA).mean()
        table.add_row(people.name, f"+{gain:.0%}", f"{share:.0%}", lists, f"{last:.0%}")
    return table


def _cases() -> Iterator[tuple[Population, float]]:
    for people in (POPULATIONS[0], POPULATIONS[3]):
        for gain in GAINS:
            yield people, gain


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=400, help="experiments of each row")
    experiments = parser.parse_args().experiments
    console = Console()
    console.print(nothing_table(experiments))
    console.print(something_table(experiments))


if __name__ == "__main__":
    main()
