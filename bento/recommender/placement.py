"""Where a user stands in all running experiments, and how he is to be served by that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from bento.recommender.ask import Ask
from models.experiments import CHAMPION, Experiment, Variant, assigned


class Treatment(NamedTuple):
    """How a user is served: by which model, and by which defaults of his requests.

    Attributes:
        model: alias; CHAMPION: what serves everybody.
        rules: field of a request -> value.
    """

    model: str = CHAMPION
    rules: Mapping[str, Any] = {}

    def asked(self, ask: Ask) -> Ask:
        """The request with these defaults: what it says itself stays."""
        if not self.rules:
            return ask
        absent = {name: value for name, value in self.rules.items() if getattr(ask, name) is None}
        if ask.category is not None:
            absent.pop("max_per_category", None)  # as with the setting: it would leave nearly nothing to show
        return replace(ask, **absent) if absent else ask


class Shadow(NamedTuple):
    """What is scored beside a user's answers: the treatment that he would have had; ``name``: experiment:variant."""

    name: str
    treatment: Treatment


class Place(NamedTuple):
    """Where a user stands in all running experiments.

    Attributes:
        variants: experiment -> variant, by name of the experiment.
        label: the same, as answers have it; None: he is in none.
        shadows: of the experiments that he is in.
    """

    variants: Mapping[str, str]
    label: str | None
    treatment: Treatment
    shadows: Sequence[Shadow]


OUTSIDE = Place({}, None, Treatment(), ())


class Running:
    """The experiments that run, and every combination of their variants that users were found in.

    Args:
        experiments: by name.
    """

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        self.experiments = experiments
        self.aliases = frozenset(aliases_of(variant for each in experiments for variant in each.variants))
        self._shows = [aliases_of(experiment.shown) for experiment in experiments]
        self._places: dict[tuple[str | None, ...], Place] = {}

    def place(self, user_key: str, loaded: Callable[[str], Any]) -> Place:
        """A user's place. ``loaded``: the release of an alias; None while there is none."""
        chosen = [
            None if shows and not all(map(loaded, shows)) else assigned(experiment, user_key)
            for experiment, shows in zip(self.experiments, self._shows, strict=True)
        ]
        key = tuple(None if variant is None else variant.name for variant in chosen)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._made(chosen)
        return place

    def _made(self, chosen: Sequence[Variant | None]) -> Place:
        mine = {each.name: variant for each, variant in zip(self.experiments, chosen, strict=True) if variant}
        if not mine:
            return OUTSIDE
        shadows = [
            Shadow(f"{experiment.name}:{shadow.name}", _together({**mine, experiment.name: shadow}, experiment.name))
            for experiment in self.experiments
            if experiment.name in mine
            for shadow in experiment.shadows
        ]
        variants = {name: variant.name for name, variant in mine.items()}
        label = ",".join(f"{name}:{variant}" for name, variant in variants.items())
        return Place(variants, label, _together(mine), shadows)


def aliases_of(variants: Iterable[Variant]) -> list[str]:
    """Aliases that must be loaded for some variants."""
    return sorted({variant.model for variant in variants} - {CHAMPION})


def _together(variants: Mapping[str, Variant], first: str | None = None) -> Treatment:
    """The treatment by several variants; they vary different things, but for that of ``first``, which has its way."""
    order = sorted(variants, key=lambda name: name == first)
    models = [variants[name].model for name in order if variants[name].model != CHAMPION]
    rules = {name: value for each in order for name, value in variants[each].rules.given.items()}
    return Treatment(models[-1] if models else CHAMPION, rules)
