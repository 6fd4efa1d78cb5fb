"""Who takes part, and what each one's settings are chosen from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from benchmarks.peers.als import ImplicitAls
from benchmarks.peers.linear import Covisitation, Ease, ItemKnn
from benchmarks.peers.nets import NetPeer
from benchmarks.peers.popularity import Popularity
from benchmarks.peers.session import SessionKnn
from benchmarks.peers.tuning import Contender, Grid

FILLER = "popularity, 7 days"
"""Answers where another has nothing to say."""

FUSED: Mapping[str, float] = {
    FILLER: 1.0,
    "iALS, recency": 1.0,
    "item-kNN, recency": 1.0,
    "EASE, recency": 1.0,
    "EASE, slow recency": 1.0,
    "forward co-visitation": 1.0,
    "SASRec": 3.0,
    "two-tower, pooling": 3.0,
}
"""Members of the rank fusion and their weights."""


LARGE = 500_000
"""Events from which on a net sees more and smaller batches, within some 150 CPU-s."""


def contenders(seed: int, n_events: int) -> list[Contender]:
    """Every peer but the fusions, which work on these; the filler first."""
    kinds: Grid = {"decayed": (False, True)}
    ridges: Grid = {"ridge": (300.0, 1_000.0, 3_000.0)}
    return [
        Contender(Popularity(FILLER, 7), kinds),
        Contender(Popularity("popularity, 30 days", 30), kinds),
        Contender(
            ImplicitAls(seed=seed),
            {"factors": (32, 64), "confidence": (1.0, 5.0)},
            {"request_confidence": (40.0, 160.0), "decay": (0.6, 0.7, 0.8)},
        ),
        Contender(ItemKnn(), {"shrinkage": (20.0, 100.0), "neighbours": (100, 400)}, {"decay": (0.8, 0.9)}),
        Contender(Ease("EASE"), ridges),
        Contender(Ease("EASE, recency"), ridges, {"decay": (0.7, 0.8, 0.9)}),
        Contender(Ease("EASE, slow recency", decay=0.98), ridges),
        Contender(
            Covisitation(),
            {"half_life_days": (90.0, 180.0), "popularity_power": (0.2, 0.3)},
            {"decay": (0.8, 0.9), "session_half_life_s": (1_800.0, np.inf)},
        ),
        Contender(
            SessionKnn(),
            {},
            {"neighbours": (400, 1_000), "distance_power": (0.3, 0.6), "popularity_power": (0.05, 0.15)},
        ),
        *nets(seed, large=n_events > LARGE),
    ]


def nets(seed: int, *, large: bool) -> list[Contender]:
    """Both nets, trained as the size of the history asks for."""
    sasrec, pooling = NetPeer("SASRec", "sasrec", seed=seed), NetPeer("two-tower, pooling", "pooling", seed=seed)
    if large:
        sasrec, pooling = (replace(net, steps=4_000, batch=12, learning_rate=2e-3) for net in (sasrec, pooling))
    else:
        sasrec = replace(sasrec, steps=600)
    dropouts: Grid = {"dropout": (0.1, 0.2) if large else (0.2, 0.4)}
    return [Contender(net, dropouts) for net in (sasrec, pooling)]
