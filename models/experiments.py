"""Controlled experiments: which variants of the recommender are compared, and which of them a user is given.

A user's place in an experiment follows from a hash of the experiment's name and his pseudonym (Kohavi, Tang and Xu,
"Trustworthy Online Controlled Experiments", 2020, chapter 14): the same in every process and on every day, and
independent of his place in any other experiment, so that those that vary different things may run at once.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

import mmh3
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

CHAMPION = "champion"
"""The model of whoever is in no experiment, whatever alias the recommender follows."""

MODEL = "model"
"""What an experiment varies, besides rules."""

MOST_VARIANTS = 8

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Alias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_BITS = 53
_ROUNDING = 1e-9


class ExperimentError(ValueError):
    """A definition that cannot be taken; the message names the field or the other experiment, and what to do."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Rules(_Frozen):
    """Rules of a request, by their names and bounds in the REST contract; None: as without an experiment."""

    diversity: float | None = Field(default=None, ge=0, le=1)
    max_per_category: int | None = Field(default=None, ge=1)
    explore_share: float | None = Field(default=None, ge=0, le=0.1)

    @cached_property
    def given(self) -> dict[str, float]:
        """Those that are set: name -> value."""
        return self.model_dump(exclude_none=True)


class Variant(_Frozen):
    """One of the things that are compared.

    Attributes:
        name: unique in its experiment; lower case letters, digits, ``-`` and ``_``.
        share: of all users; that of a shadow is 0.
        model: alias of the model that answers.
        rules: defaults of its users' requests; what a request says itself goes first.
        shadow: scored and logged for some requests of the experiment's users, never shown.
    """

    name: Name
    share: float = Field(0.0, ge=0, le=1)
    model: Alias = CHAMPION
    rules: Rules = Rules()
    shadow: bool = False

    @model_validator(mode="after")
    def _share_of_the_shown(self) -> Self:
        if self.shadow and self.share:
            raise ValueError(f"share: must be 0, not {self.share:g}: a shadow is shown to nobody; leave it out")
        if not self.shadow and not self.share:
            raise ValueError("share: must be above 0, or shadow true")
        return self


class Experiment(_Frozen):
    """What is compared, on whom, and by what.

    Attributes:
        name: as a variant's; users are assigned by it, so one name has one result.
        variants: the first is the control, which the others are compared with.
        metric: what the comparison decides.
        description: for people.
    """

    name: Name
    variants: tuple[Variant, ...]
    metric: Literal["ctr", "conversion", "ndcg"] = "ctr"
    description: str = Field("", max_length=1_000)

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if not 2 <= len(self.variants) <= MOST_VARIANTS:
            wanted = f"a control, and 1 to {MOST_VARIANTS - 1} variants or shadows beside it"
            raise ValueError(f"variants: there are {len(self.variants)}; give {wanted}")
        names = [variant.name for variant in self.variants]
        for n, name in enumerate(names):
            if name in names[:n]:
                raise ValueError(f"variants.{n}.name: {name!r} is there already; variants need different names")
        if self.control.shadow:
            raise ValueError("variants.0.shadow: must be false: the first variant is the control, and is shown")
        total = sum(variant.share for variant in self.variants)
        if total > 1 + _ROUNDING:
            raise ValueError(f"variants: the shares sum to {total:g}; they must not exceed 1")
        return self

    @property
    def control(self) -> Variant:
        """The variant that the others are compared with."""
        return self.variants[0]

    @cached_property
    def shown(self) -> tuple[Variant, ...]:
        """The variants that answer."""
        return tuple(variant for variant in self.variants if not variant.shadow)

    @cached_property
    def shadows(self) -> tuple[Variant, ...]:
        """The variants that are scored beside the answer."""
        return tuple(variant for variant in self.variants if variant.shadow)

    @cached_property
    def varies(self) -> frozenset[str]:
        """What it decides for its users: names of rules, and MODEL. Two experiments must not both decide one thing."""
        rules = {name for variant in self.shown for name in variant.rules.given}
        models = {MODEL} if any(variant.model != CHAMPION for variant in self.shown) else set()
        return frozenset(rules | models)


def read(text: str | bytes) -> Experiment:
    """An experiment from JSON. Raises ExperimentError naming the field."""
    try:
        return Experiment.model_validate_json(text)
    except ValidationError as error:
        raise ExperimentError("; ".join(map(_described, error.errors(include_url=False)))) from None


def _described(error: ErrorDetails) -> str:
    place, message = ".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":  # ours, which begin with the field
        return ".".join(filter(None, (place, message)))
    return f"{place or 'definition'}: {message}"


def position(name: str, user_key: str) -> float:
    """Where a user stands in an experiment: uniform in [0, 1).

    Args:
        name: the experiment's.
        user_key: the user's pseudonym.
    """
    high, _ = mmh3.hash64(f"{name}:{user_key}", signed=False)
    return (high >> (64 - _BITS)) / (1 << _BITS)


def assigned(experiment: Experiment, user_key: str) -> Variant | None:
    """The variant that a user is given, always the same; None: he is outside the experiment.

    The shown variants take the line from 0 to 1 in their order: the last one's share may grow without any other
    user's changing sides.
    """
    place, end = position(experiment.name, user_key), 0.0
    for variant in experiment.shown:
        end += variant.share
        if place < end:
            return variant
    return None
