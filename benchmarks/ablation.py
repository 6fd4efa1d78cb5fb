"""What each source and each group of features adds: the fusion fitted again without it, on the same candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from feature_repo.trends import top
from models.evaluate import Mask, Numbers, Systems
from models.fusion import RANK_WEIGHTS, Floats, Fusion, fit_fusion
from models.metrics import DEPTH
from models.scorer import Scorer
from models.sources import SOURCE_FEATURES, SOURCES, Query
from models.training import Offer

FEATURE_GROUPS: dict[str, tuple[str, ...]] = {
    "scores": tuple(name for name in SOURCE_FEATURES if name.endswith("_score")),
    "ranks": tuple(name for name in SOURCE_FEATURES if "rank" in name),
    "live counts": tuple(f"{name}_score" for name in ("trending", "popular", "today", "ever")),
}

_FUSED = SOURCE_FEATURES.index("rank_fusion")


def without_source(features: Floats, source: str) -> Floats:
    """Source features [n, F] where a source does not exist: ``rank_fusion`` is 0 for what it alone names."""
    left = features.copy()
    gone = [n for n, name in enumerate(SOURCE_FEATURES) if name.startswith(f"{source}_")]
    rank = SOURCE_FEATURES.index(f"{source}_reciprocal_rank")
    left[:, _FUSED] -= np.float32(RANK_WEIGHTS[source]) * features[:, rank]
    left[:, gone] = 0
    return left


def without_group(features: Floats, group: str) -> Floats:
    """Source features [n, F] without one of FEATURE_GROUPS."""
    left = features.copy()
    left[:, [SOURCE_FEATURES.index(name) for name in FEATURE_GROUPS[group]]] = 0
    return left


Cut = Callable[[Floats, str], Floats]


class Ablations:
    """The product's systems and, beside them, the learned fusion without each source and feature group.

    Args:
        systems: gives the product's own lists.
        offers: what the fusion was fitted on.
    """

    def __init__(self, systems: Systems, offers: Sequence[Offer]) -> None:
        self._systems = systems
        self._cuts: dict[str, tuple[Cut, str]] = {f"without {name}": (without_source, name) for name in SOURCES}
        self._cuts |= {f"fusion without {name}": (without_group, name) for name in FEATURE_GROUPS}
        labels = [offer.labels for offer in offers]
        self._fusions: dict[str, Fusion] = {
            system: fit_fusion([cut(offer.pool.features, name) for offer in offers], labels)
            for system, (cut, name) in self._cuts.items()
        }

    def __call__(self, scorer: Scorer, allowed: Mask, query: Query) -> Mapping[str, Numbers]:
        pool, lists = scorer.pool(query, allowed), dict(self._systems(scorer, allowed, query))
        for system, (cut, name) in self._cuts.items():
            features = cut(pool.features, name)
            named = features[:, _FUSED] > 1e-6 if cut is without_source else np.ones(len(features), bool)
            scores = np.where(named, self._fusions[system].score(features), -np.inf)
            lists[system] = pool.items[top(scores.astype(np.float32), DEPTH)]
        return lists
