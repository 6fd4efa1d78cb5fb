"""Peers on a history of two tastes that can be seen: some walk the hills h0, h1, ..., others the lakes l0, l1, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.peers.als import ImplicitAls
from benchmarks.peers.base import DAY_US, Asked, Peer
from benchmarks.peers.contenders import FILLER
from benchmarks.peers.fused import LambdaRank, fuse
from benchmarks.peers.linear import Covisitation, Ease, ItemKnn
from benchmarks.peers.nets import NetPeer
from benchmarks.peers.popularity import Popularity
from benchmarks.peers.requests import POOL, Ranked
from benchmarks.peers.run import RANK_FUSION, TREES_ON_TOP, PeerRun, run_peers
from benchmarks.peers.session import SessionKnn
from benchmarks.peers.tuning import Contender
from feature_repo.events import Event, Item
from models.dataset import History, Moment, moments
from models.metrics import DEPTH, truth_of
from models.training import Plan, make_plan

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = 8
ITEMS = [f"{land}{place}" for land in "hl" for place in range(PLACES)]
WALKERS = 24
DAY = 24 * 60


def at(minute: float) -> int:
    return int((START + timedelta(minutes=minute)).timestamp() * 1_000_000)


def event(user: str, minute: float, item: str) -> Event:
    time = START + timedelta(minutes=minute)
    return Event(user_id=user, item_id=item, event_type="click", timestamp=time, event_id=f"{user}.{minute}.{item}")


def walks() -> list[Event]:
    """Twelve walkers of each land, one a day, each from a place of his own and round; a place a minute."""
    return [
        event(f"{land}{n:02}", DAY * n + step, f"{land}{(n + step) % PLACES}")
        for land in "hl"
        for n in range(WALKERS // 2)
        for step in range(PLACES)
    ]


END = DAY * (WALKERS // 2)
"""All walks are over."""

HIKER = [event("hiker", END + minute, f"h{minute}") for minute in range(3)]
"""Meets h0, h1, h2."""


def asked(history: History, user: str, before: float) -> Asked:
    """What a user would ask at a minute."""
    number = history.user_ids.index(user)
    rows = np.flatnonzero((history.user == number) & (history.time_us < at(before)))
    return Asked(number, history.item[rows], history.time_us[rows], at(before) - 1, at(before))


class PeerContract:
    """What holds for every peer; one class each below."""

    def peer(self) -> Peer:
        raise NotImplementedError

    def story(self) -> list[Event]:
        """The walks, and the hiker whom no fit has seen."""
        return walks() + HIKER

    @pytest.fixture(scope="class")
    def history(self) -> History:
        return History.of(self.story())

    @pytest.fixture(scope="class")
    def fitted(self, history: History) -> Peer:
        peer = self.peer()
        peer.fit(history, at(END))
        return peer

    def test_whoever_walks_the_hills_goes_on_in_the_hills(self, fitted: Peer, history: History) -> None:
        one = asked(history, "hiker", END + 3)
        (scores,) = fitted.scores([one])
        scores[one.items] = -np.inf
        assert scores.shape == (len(ITEMS),)
        assert scores.dtype == np.float32
        assert history.item_ids[int(scores.argmax())] in ("h3", "h4", "h5", "h6", "h7")

    def test_a_request_is_answered_alike_alone_and_among_others(self, fitted: Peer, history: History) -> None:
        several = [asked(history, user, END + 3) for user in ("hiker", "l03", "h01")]
        several.insert(1, asked(history, "hiker", END + 1))
        alone = np.concatenate([fitted.scores([one]) for one in several])
        np.testing.assert_allclose(fitted.scores(several), alone, rtol=1e-4, atol=1e-5)

    def test_a_second_fit_is_the_same(self, fitted: Peer, history: History) -> None:
        one = asked(history, "hiker", END + 3)
        again = self.peer()
        again.fit(history, at(END))
        np.testing.assert_array_equal(again.scores([one]), fitted.scores([one]))
        again.fit(history, at(END))
        np.testing.assert_array_equal(again.scores([one]), fitted.scores([one]))

    def test_what_happens_later_changes_nothing(self, fitted: Peer, history: History) -> None:
        """The same users and items, but the other half of the story turned round."""
        later = [event(f"h{n:02}", END + 3 + n, f"l{n % PLACES}") for n in range(WALKERS // 2)]
        other = History.of(self.story() + later)
        peer = self.peer()
        peer.fit(other, at(END))
        one = asked(other, "hiker", END + 3)
        np.testing.assert_array_equal(peer.scores([one]), fitted.scores([one]))

    def test_who_has_met_nothing_gets_nothing_of_his_own(self, fitted: Peer, history: History) -> None:
        assert np.isneginf(fitted.scores([asked(history, "hiker", END)])).all()


class TestEase(PeerContract):
    def peer(self) -> Peer:
        return Ease("EASE", ridge=1.0)


class TestEaseRecency(PeerContract):
    def peer(self) -> Peer:
        return Ease("EASE, recency", ridge=1.0, decay=0.8)


class TestItemKnn(PeerContract):
    def peer(self) -> Peer:
        return ItemKnn(neighbours=4, shrinkage=1.0)


class TestImplicitAls(PeerContract):
    def peer(self) -> Peer:
        return ImplicitAls(factors=4)


class TestCovisitation(PeerContract):
    def peer(self) -> Peer:
        return Covisitation()

    def test_the_next_place_of_the_way_comes_first(self, fitted: Peer, history: History) -> None:
        one = asked(history, "hiker", END + 3)
        (scores,) = fitted.scores([one])
        scores[one.items] = -np.inf
        assert history.item_ids[int(scores.argmax())] == "h3"


class TestSessionKnn(TestCovisitation):
    def peer(self) -> Peer:
        return SessionKnn()


class TestSasRec(PeerContract):
    def peer(self) -> Peer:
        return NetPeer("SASRec", "sasrec", steps=40, learning_rate=1e-2)


class TestPoolingTower(PeerContract):
    def peer(self) -> Peer:
        return NetPeer("two-tower", "pooling", steps=40, learning_rate=1e-2)


class TestPopularity(PeerContract):
    """Of his own, popularity knows nothing of anybody; the hills are what is popular here."""

    def peer(self) -> Peer:
        return Popularity("popularity", 7)

    def story(self) -> list[Event]:
        return [e for e in walks() if e.user_id < "l06"] + HIKER

    def test_who_has_met_nothing_gets_nothing_of_his_own(self, fitted: Peer, history: History) -> None:
        nobody, hiker = asked(history, "hiker", END), asked(history, "hiker", END + 3)
        np.testing.assert_array_equal(fitted.scores([nobody]), fitted.scores([hiker]))


class TestDecayedPopularity(TestPopularity):
    def peer(self) -> Peer:
        return Popularity("popularity", 7, decayed=True)


def test_popularity_counts_full_days_before_the_day_of_the_request() -> None:
    history = History.of([event("a", 0, "x"), event("b", 1, "x"), event("a", DAY, "y"), event("a", 2 * DAY, "z")])
    peer = Popularity("popularity", 1)
    peer.fit(history, at(2 * DAY))
    of_day = [np.argsort(-peer.scores([asked(history, "a", n * DAY + 5)])[0])[0] for n in (1, 2, 3)]
    assert [history.item_ids[best] for best in of_day] == ["x", "y", "z"]
    # On the day itself nothing of the day is known, and of the first day nothing at all.
    assert np.isneginf(peer.scores([asked(history, "a", 5)])).all()


def test_the_window_forgets_and_the_decay_fades() -> None:
    history = History.of([*(event(user, 0, "old") for user in "abc"), *(event(user, 3 * DAY, "new") for user in "ab")])
    (one,) = [asked(history, "a", 4 * DAY)]
    for decayed, expected in ((False, [2, 0]), (True, [2, 3 / 2**3])):
        peer = Popularity("popularity", 1, decayed=decayed)
        peer.fit(history, at(4 * DAY))
        # "new" and "old"; equal scores are told apart by all-time counts, which add less than 1
        assert peer.scores([one])[0] - [2 / 4, 3 / 4] == pytest.approx(expected)


def ranked(*rows: Sequence[int]) -> Ranked:
    items = np.full((len(rows), POOL), -1, np.int32)
    scores = np.full((len(rows), POOL), -np.inf, np.float32)
    for n, row in enumerate(rows):
        items[n, : len(row)] = row
        scores[n, : len(row)] = -np.arange(len(row))
    return Ranked(items, scores)


def test_reciprocal_ranks_are_summed_by_weight() -> None:
    lists = {"one": ranked([0, 1], []), "other": ranked([2, 1], [3])}
    fused = fuse(lists, {"one": 1.0, "other": 2.0}, n_items=5)
    assert fused.items[:, :3].tolist() == [[1, 2, 0], [3, -1, -1]]
    assert fused.scores[0, :3] == pytest.approx([1 / 21 + 2 / 21, 2 / 20, 1 / 20])


def test_trees_learn_whom_to_believe() -> None:
    """One list is always right and one never; the plain fusion cannot tell."""
    n_items, random = 40, np.random.default_rng(0)
    orders = [random.permutation(n_items) for _ in range(400)]
    lists = {"wrong": ranked(*(order[::-1] for order in orders)), "right": ranked(*orders)}
    weights = {"wrong": 1.0, "right": 1.0}
    names = [str(item) for item in range(n_items)]
    truth = truth_of([[str(order[0])] for order in orders], {name: n for n, name in enumerate(names)})
    history = History.of([event(f"{n:03}", n, f"{n % n_items:02}") for n in range(400)])
    requests = [asked(history, f"{n:03}", 400) for n in range(400)]
    model = LambdaRank(weights)
    model.fit(history, requests, lists, truth)
    found = model.rank(requests, lists, n_items)
    assert model.trees > 0
    assert (found.items[:, 0] == [order[0] for order in orders]).mean() > 0.9
    assert model.ndcg > 0.9


SEVERAL: Mapping[str, type] = {"item-kNN, recency": ItemKnn, "forward co-visitation": Covisitation}
FIT_UNTIL, TUNE_FROM = DAY * 9, DAY * 6


def runs(events: Sequence[Event], catalog: Sequence[str] = ITEMS) -> tuple[Plan, list[Moment], dict[str, PeerRun]]:
    plan = make_plan(events, [Item(item_id=item_id, title=item_id, categories=()) for item_id in catalog], [])
    judged = moments(plan.history, at(FIT_UNTIL), at(END))
    peers = [
        Contender(Popularity(FILLER, 7), {"decayed": (False, True)}),
        Contender(ItemKnn(), {"shrinkage": (1.0, 10.0)}, {"decay": (0.8, 0.9)}),
        Contender(Covisitation()),
        Contender(Ease("not fused"), {"ridge": (1.0,)}),
    ]
    found = run_peers(plan, judged, fit_until_us=at(FIT_UNTIL), tune_from_us=at(TUNE_FROM), seed=1, peers=peers)
    return plan, judged, {run.name: run for run in found}


@pytest.fixture(scope="module")
def several() -> tuple[Plan, list[Moment], dict[str, PeerRun]]:
    return runs(walks())


def test_every_peer_and_both_fusions_answer_every_moment(
    several: tuple[Plan, list[Moment], dict[str, PeerRun]],
) -> None:
    _, judged, found = several
    assert list(found) == [FILLER, "item-kNN, recency", "forward co-visitation", "not fused", RANK_FUSION, TREES_ON_TOP]
    for run in found.values():
        assert {mode: len(lists) for mode, lists in run.lists.items()} == dict.fromkeys(("frozen", "live"), len(judged))
        assert run.fit_cpu_s >= 0
        assert run.request_cpu_ms > 0
    assert found["item-kNN, recency"].settings.keys() == {"shrinkage", "decay"}
    assert found[RANK_FUSION].settings["weights"].keys() == {FILLER, *SEVERAL}  # type: ignore[attr-defined]
    assert found[RANK_FUSION].request_cpu_ms > found["item-kNN, recency"].request_cpu_ms


def test_lists_hold_what_was_not_met_and_are_filled_up(several: tuple[Plan, list[Moment], dict[str, PeerRun]]) -> None:
    """There are fewer places than DEPTH, so that a full list is all that the user has not met."""
    plan, judged, found = several
    assert len(ITEMS) < DEPTH
    history = plan.history
    for n, moment in enumerate(judged):
        user = history.user_ids.index(moment.user_id)
        rows = (history.user == user) & (history.time_us < moment.time_us)
        met = {history.item_ids[item] for item in history.item[rows]}
        for run in found.values():
            for lists in run.lists.values():
                assert sorted(lists[n]) == sorted(set(ITEMS) - met)


def test_live_knows_the_way_so_far_and_frozen_does_not(several: tuple[Plan, list[Moment], dict[str, PeerRun]]) -> None:
    """All who walk after the fit are new: without their first steps there is only popularity to go by."""
    _, judged, found = several
    lists, popular = found["forward co-visitation"].lists, found[FILLER].lists
    goes_on = [lists["live"][n][0] in moment.relevant for n, moment in enumerate(judged) if moment.time_us % DAY_US]
    assert np.mean(goes_on) == 1
    assert lists["frozen"] == popular["frozen"]


def test_what_is_not_in_the_catalogue_is_not_recommended() -> None:
    *_, found = runs(walks(), ITEMS[1:])
    assert not [run.name for run in found.values() for rows in run.lists.values() for row in rows if ITEMS[0] in row]


def test_what_comes_after_the_last_moment_changes_no_list(
    several: tuple[Plan, list[Moment], dict[str, PeerRun]],
) -> None:
    more = [event(f"h{n:02}", END + n, f"l{n % PLACES}") for n in range(WALKERS // 2)]
    *_, found = runs(walks() + more)
    _, _, before = several
    assert {name: run.lists for name, run in found.items()} == {name: run.lists for name, run in before.items()}
    assert {name: run.settings for name, run in found.items()} == {name: run.settings for name, run in before.items()}
