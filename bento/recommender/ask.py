"""One request for recommendations, decoded, and the list that was chosen for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Event

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for; the fields are those of the REST contract.

    Attributes:
        diversity: None: nothing was said, which is 0 unless the user is in an experiment.
        items: rank these instead of choosing from all; None: choose.
        events: the visitor's session, in place of what is stored; None: read what is stored.
        clock_us: the request's clock, microseconds since the epoch; None: now.
        max_per_category: most items of any one category among each k of the list; None: any number.
        timeout_ms: how long the caller waits; None: as long as it takes.
        recommendation_id: go on with the list that was made under this id; None: make one.
        offset: where in that list to go on.
        explore_share: an experiment's; None: the setting.
    """

    user_id: str
    k: int = 10
    exclude: Sequence[str] = ()
    category: str | None = None
    context_item: str | None = None
    diversity: float | None = None
    explain: bool = False
    clock_us: int | None = None
    items: Sequence[str] | None = None
    events: Sequence[Event] | None = None
    max_per_category: int | None = None
    timeout_ms: int | None = None
    recommendation_id: str | None = None
    offset: int = 0
    explore_share: float | None = None


class Choice(NamedTuple):
    """A list, best first.

    Attributes:
        numbers: intp [n] item numbers in the release's table; n may exceed k, for later pages.
        scores: float32 [n]
        sources: where each came from.
        features: float32 [m, F] the ranker's rows of the first m items, NaN for one that was not ranked;
            None where nothing was ranked.
        fallback: name of the fallback; None when the list is what was asked for.
        exhausted: whether it is shorter than k because nothing more may be shown.
        stale: whether the model took the stream to be away (``models.scorer``).
        fault: what was wrong with the model's own answer, in place of which this one is given.
    """

    numbers: Numbers
    scores: Floats
    sources: list[str]
    features: Floats | None
    fallback: str | None
    exhausted: bool = False
    stale: bool = False
    fault: str | None = None

    def at(self, positions: Numbers) -> Choice:
        """The items at some positions of the list, in this order."""
        ranked = None if self.features is None else self.features[positions[positions < len(self.features)]]
        sources = [self.sources[n] for n in positions.tolist()]
        return self._replace(
            numbers=self.numbers[positions], scores=self.scores[positions], sources=sources, features=ranked
        )

    def first(self, k: int) -> Choice:
        """The best k."""
        if k >= len(self.numbers):
            return self
        ranked = None if self.features is None else self.features[:k]
        return self._replace(
            numbers=self.numbers[:k], scores=self.scores[:k], sources=self.sources[:k], features=ranked
        )

    def then(self, numbers: Numbers, scores: Floats, sources: list[str]) -> Choice:
        """This list, and more items after it."""
        return self._replace(
            numbers=np.concatenate([self.numbers, numbers]),
            scores=np.concatenate([self.scores, scores]),
            sources=self.sources + sources,
        )


Json = dict[str, Any]

Order = Literal["popular", "trending", "new"]
"""How a list that belongs to no user is made."""
