"""One request for recommendations, decoded, and the list that was chosen for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_repo.events import Event

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked for; the fields are those of the REST contract.

    Attributes:
        items: rank these instead of choosing from all; None: choose.
        events: the visitor's session, in place of what is stored; None: read what is stored.
        clock_us: the request's clock, microseconds since the epoch; None: now.
    """

    user_id: str
    k: int = 10
    exclude: Sequence[str] = ()
    category: str | None = None
    context_item: str | None = None
    diversity: float = 0.0
    explain: bool = False
    clock_us: int | None = None
    items: Sequence[str] | None = None
    events: Sequence[Event] | None = None


class Choice(NamedTuple):
    """A list, best first.

    Attributes:
        numbers: intp [n] item numbers in the release's table.
        scores: float32 [n]
        sources: where each came from.
        features: float32 [m, F] the ranker's rows of the first m items; None where nothing was ranked.
        fallback: name of the fallback; None when the list is what was asked for.
    """

    numbers: Numbers
    scores: Floats
    sources: list[str]
    features: Floats | None
    fallback: str | None


Json = dict[str, Any]
