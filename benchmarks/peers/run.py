"""All peers at the same moments: settings chosen, fitted anew, asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import NamedTuple, TypeVar

from benchmarks.peers.contenders import FILLER, FUSED, contenders
from benchmarks.peers.fused import TREES, LambdaRank, fuse
from benchmarks.peers.requests import Ranked, Requests, answer, filled, requests_of
from benchmarks.peers.tuning import Contender, ndcg, tune
from models.dataset import Moment, moments
from models.metrics import Truth, truth_of
from models.retriever import Progress
from models.training import Plan

MODES = ("frozen", "live")
TUNING_MOMENTS = 2_000
RANK_FUSION, TREES_ON_TOP = "rank fusion of the old sources", "LightGBM on the rank fusion"

T = TypeVar("T")


class PeerRun(NamedTuple):
    """One peer's lists and what they cost.

    Attributes:
        settings: as chosen.
        fit_cpu_s: CPU time of the last fit; request_cpu_ms: mean of a request. Of a fusion with all its members.
        lists: mode -> ids of at most DEPTH items for each judged moment, best first.
        tuning_ndcg: NDCG@10 live of the next moment at which the settings were chosen.
    """

    name: str
    settings: Mapping[str, object]
    fit_cpu_s: float
    request_cpu_ms: float
    lists: Mapping[str, list[list[str]]]
    tuning_ndcg: float = float("nan")


def run_peers(
    plan: Plan,
    judged: Sequence[Moment],
    *,
    fit_until_us: int,
    tune_from_us: int,
    seed: int,
    modes: Sequence[str] = MODES,
    peers: Sequence[Contender] | None = None,
    progress: Progress | None = None,
) -> Iterator[PeerRun]:
    """Every peer, one after another.

    Args:
        judged: moments, none before ``fit_until_us``.
        fit_until_us: the last fit knows the events strictly before it; frozen lists, too.
        tune_from_us: settings are chosen on a sample of the moments from here to ``fit_until_us``, after a fit on what
            was before; the trees learn from the same moments.
        seed: of the sample, the starting points and the trees.
        modes: some of MODES; in both, items met before the moment are left out.
        peers: who takes part besides the fusions, which fuse those of FUSED that are there; FILLER comes first.
        progress: told after each fit and set of lists how much is done.
    """
    peers = contenders(seed, len(plan.history)) if peers is None else peers
    steps = _Steps(sum(each.tries + 1 for each in peers) + 2, progress)
    trial = _Trial.of(plan, judged, fit_until_us=fit_until_us, tune_from_us=tune_from_us, seed=seed, modes=modes)
    for contender in peers:
        yield trial.run(contender, steps.tell)
        steps.tell()
    yield trial.rank_fusion()
    steps.tell()
    yield trial.trees(seed)
    steps.tell()


@dataclass
class _Steps:
    total: int
    progress: Progress | None
    done: int = 0

    def tell(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total, 0.0)


@dataclass
class _Costs:
    fit_s: float = 0.0
    request_ms: float = 0.0


@dataclass
class _Trial:
    """What all peers share, and the lists of those that came first for those that build on them."""

    plan: Plan
    fit_until_us: int
    tune_from_us: int
    choice: Requests
    truth: Truth
    requests: Mapping[str, Requests]
    tuned: dict[str, Ranked] = field(default_factory=dict)
    ranked: dict[str, dict[str, Ranked]] = field(default_factory=dict)
    costs: dict[str, _Costs] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        plan: Plan,
        judged: Sequence[Moment],
        *,
        fit_until_us: int,
        tune_from_us: int,
        seed: int,
        modes: Sequence[str],
    ) -> _Trial:
        """The sample to choose by, and all requests."""
        sample = moments(plan.history, tune_from_us, fit_until_us, TUNING_MOMENTS, seed)
        index = {item_id: n for n, item_id in enumerate(plan.history.item_ids)}
        stops = {"frozen": fit_until_us, "live": None}
        return cls(
            plan,
            fit_until_us,
            tune_from_us,
            requests_of(plan, sample),
            truth_of([moment.relevant for moment in sample], index),
            {mode: requests_of(plan, judged, stops[mode]) for mode in modes},
        )

    def run(self, contender: Contender, tell: Callable[[], None]) -> PeerRun:
        """Choose settings, fit, ask."""
        peer, history = contender.peer, self.plan.history
        filler = self.tuned.get(FILLER)
        best = tune(
            contender,
            history,
            self.tune_from_us,
            requests=self.choice,
            filler=filler,
            truth=self.truth,
            tell=tell,
        )
        _, fit_s = _timed(lambda: peer.fit(history, self.fit_until_us))
        ranked, asking_s = _timed(lambda: {mode: answer(peer, each) for mode, each in self.requests.items()})
        self.costs[peer.name] = _Costs(fit_s, self._each(asking_s))
        if peer.name in FUSED:
            self.tuned[peer.name], self.ranked[peer.name] = best.ranked, ranked
        return self._result(peer.name, best.settings, ranked, best.ndcg)

    @property
    def weights(self) -> dict[str, float]:
        """Of the fusions' members."""
        return {name: weight for name, weight in FUSED.items() if name in self.ranked}

    def rank_fusion(self) -> PeerRun:
        """Reciprocal ranks of FUSED, with weights that are given."""
        n_items, weights = self.truth.items, self.weights
        ranked, asking_s = _timed(lambda: {mode: fuse(self._lists(mode), weights, n_items) for mode in self.requests})
        self.costs[RANK_FUSION] = self._members(0.0, asking_s)
        value = ndcg(fuse(self.tuned, weights, n_items), self.truth)
        return self._result(RANK_FUSION, {"weights": weights}, ranked, value)

    def trees(self, seed: int) -> PeerRun:
        """LightGBM, taught by the lists of the peers as they were tuned."""
        n_items, model = self.truth.items, LambdaRank(self.weights, seed)
        _, fit_s = _timed(lambda: model.fit(self.plan.history, self.choice.asked, self.tuned, self.truth))
        ranked, asking_s = _timed(
            lambda: {m: model.rank(each.asked, self._lists(m), n_items) for m, each in self.requests.items()}
        )
        self.costs[TREES_ON_TOP] = self._members(fit_s, asking_s)
        return self._result(TREES_ON_TOP, {"trees": model.trees, "tried": TREES}, ranked, model.ndcg)

    def _lists(self, mode: str) -> dict[str, Ranked]:
        return {name: self.ranked[name][mode] for name in self.weights}

    def _each(self, asking_s: float) -> float:
        return 1e3 * asking_s / max(1, sum(len(each.asked) for each in self.requests.values()))

    def _members(self, fit_s: float, asking_s: float) -> _Costs:
        members = [self.costs[name] for name in self.weights]
        return _Costs(
            fit_s + sum(each.fit_s for each in members),
            self._each(asking_s) + sum(each.request_ms for each in members),
        )

    def _result(self, name: str, settings: Mapping[str, object], ranked: Mapping[str, Ranked], value: float) -> PeerRun:
        ids = self.plan.history.item_ids
        lists = {
            mode: [[ids[n] for n in row if n >= 0] for row in filled(each, self.ranked[FILLER][mode])]
            for mode, each in ranked.items()
        }
        return PeerRun(name, settings, self.costs[name].fit_s, self.costs[name].request_ms, lists, value)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = process_time()
    return work(), process_time() - began
