"""The choice of a peer's settings, by NDCG@10 of the next moment in a window after its fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from benchmarks.peers.base import Peer
from benchmarks.peers.requests import Ranked, Requests, answer, filled
from models.dataset import History
from models.metrics import METRICS, Truth, judge

Settings = dict[str, object]
Grid = Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class Contender:
    """A peer and what its settings are chosen from.

    Attributes:
        fitted: values of the settings that a fit depends on; asked: of those that only a request does.
    """

    peer: Peer
    fitted: Grid = field(default_factory=dict)
    asked: Grid = field(default_factory=dict)

    @property
    def tries(self) -> int:
        """How many combinations there are."""
        return len(list(combinations(self.fitted))) * len(list(combinations(self.asked)))


class Tuned(NamedTuple):
    """The best settings of those tried, their NDCG@10, and their lists."""

    settings: Settings
    ndcg: float
    ranked: Ranked


def tune(
    contender: Contender,
    history: History,
    until_us: int,
    *,
    requests: Requests,
    filler: Ranked | None,
    truth: Truth,
    tell: Callable[[], None],
) -> Tuned:
    """Try every combination and leave the peer with the best one's settings, to be fitted anew.

    Args:
        until_us: the fits end here; the requests come later.
        filler: another's lists, for requests about which the peer knows nothing; without it lists may be short.
        truth: of the requests; tell: called after each try.
    """
    best: Tuned | None = None
    for fitted in combinations(contender.fitted):
        _set(contender.peer, fitted)
        contender.peer.fit(history, until_us)
        for asked in combinations(contender.asked):
            _set(contender.peer, asked)
            ranked = answer(contender.peer, requests)
            value = ndcg(ranked, truth, filler)
            if best is None or value > best.ndcg:
                best = Tuned(fitted | asked, value, ranked)
            tell()
    assert best is not None  # a grid without settings still has one combination
    _set(contender.peer, best.settings)
    return best


def combinations(grid: Grid) -> Iterator[Settings]:
    """Every way to choose one value of each setting."""
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def ndcg(ranked: Ranked, truth: Truth, filler: Ranked | None = None) -> float:
    """Mean NDCG@10, short lists filled up by another's where one is given; 0 where nothing is judged."""
    values = judge(filled(ranked, filler or ranked), truth)[:, METRICS.index("ndcg@10")]
    return float(values.mean()) if len(values) else 0.0


def _set(peer: Peer, settings: Settings) -> None:
    for name, value in settings.items():
        setattr(peer, name, value)
