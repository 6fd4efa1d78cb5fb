"""What is Pinecone's own, beside the contract in test_index.py: filling, sweeping, and being away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pinecone_server import PineconeServer

from infra.settings import Settings, SettingsError, load_settings
from models import pinecone_index
from models.bundle import Bundle
from models.index import FaissIndex, IndexAway, open_index, with_bias
from models.pinecone_index import PineconeIndex, namespace_of, publish, sweep
from models.scorer import Scorer

Shop = Any  # the fixture's class lives in conftest.py, which importlib mode cannot name

VERSIONS = ("20240101T000000-00000001", "20240102T000000-00000002", "20240103T000000-00000003")
VECTORS = np.eye(4, dtype=np.float32)[np.arange(250) % 4] * np.arange(1, 251, dtype=np.float32)[:, None]
QUERY = VECTORS[0]


@pytest.fixture
def server() -> Iterator[PineconeServer]:
    with PineconeServer(4) as server:
        yield server


@pytest.fixture
def settings(server: PineconeServer) -> Settings:
    return load_settings(**server.settings(), dependency_timeout_s=5)


@pytest.fixture
def index(settings: Settings) -> PineconeIndex:
    publish(settings, VERSIONS[0], VECTORS)
    return PineconeIndex(settings, VERSIONS[0], *VECTORS.shape)


@pytest.mark.parametrize("missing", ["PINECONE_API_KEY", "FRESHET_PINECONE_HOST"])
def test_pinecone_without_its_key_or_host_is_refused(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in {"PINECONE_API_KEY": "k", "FRESHET_PINECONE_HOST": "h"}.items():
        monkeypatch.setenv(name, "" if name == missing else value)
    with pytest.raises(SettingsError, match=f"{missing} is not set; FRESHET_VECTOR_INDEX=pinecone needs it"):
        load_settings(vector_index="pinecone")
    load_settings(vector_index="faiss")


def test_the_key_is_not_in_the_text_of_settings() -> None:
    assert "open sesame" not in repr(load_settings(PINECONE_API_KEY="open sesame"))


def test_vectors_are_written_in_batches_and_awaited(server: PineconeServer, settings: Settings) -> None:
    server.unseen = 2
    publish(settings, VERSIONS[0], VECTORS)
    assert server.counts() == {namespace_of(settings, VERSIONS[0]): 250}
    assert server.requests.count("/vectors/upsert") == 3
    assert server.requests.count("/describe_index_stats") == 3


def test_vectors_that_do_not_fit_the_index_are_refused(settings: Settings) -> None:
    with pytest.raises(IndexAway, match="dimension"):
        publish(settings, VERSIONS[0], VECTORS[:, :3])


def test_what_stays_invisible_is_an_error(
    server: PineconeServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinecone_index, "VISIBLE_S", 0.1)
    server.unseen = 1_000
    with pytest.raises(IndexAway, match="0 of 250 vectors visible"):
        publish(settings, VERSIONS[0], VECTORS)


def test_a_sweep_removes_only_other_versions_of_this_model(server: PineconeServer, settings: Settings) -> None:
    for version in VERSIONS:
        publish(settings, version, VECTORS)
    other = settings.model_copy(update={"model_name": f"{settings.model_name}.other"})
    publish(other, VERSIONS[0], VECTORS)
    publish(settings, "by-hand", VECTORS)
    assert sweep(settings, VERSIONS[1:]) == [namespace_of(settings, VERSIONS[0])]
    left = [namespace_of(settings, version) for version in (*VERSIONS[1:], "by-hand")]
    assert sorted(server.counts()) == sorted([*left, namespace_of(other, VERSIONS[0])])


def test_the_settings_choose_the_index_and_the_answer_is_the_same(settings: Settings, bundle: Bundle) -> None:
    vectors = with_bias(bundle.encoder().items())
    with PineconeServer(vectors.shape[1]) as server:
        remote = load_settings(**server.settings(), dependency_timeout_s=5)
        publish(remote, bundle.version, vectors)
        ours, theirs = open_index(load_settings(), bundle), open_index(remote, bundle)
        assert (type(ours), type(theirs)) == (FaissIndex, PineconeIndex)
        assert len(ours) == len(theirs) == len(bundle.item_ids)
        right, found = ours.search(vectors[0], 10), theirs.search(vectors[0], 10)
    assert found[0].tolist() == right[0].tolist()
    assert np.allclose(found[1], right[1], rtol=1e-5)


def test_recommendations_are_those_of_faiss_and_go_on_without_the_index(bundle: Bundle, shop: Shop) -> None:
    vectors, away = with_bias(bundle.encoder().items()), []
    with PineconeServer(vectors.shape[1]) as server:
        remote = load_settings(**server.settings(), dependency_timeout_s=5)
        publish(remote, bundle.version, vectors)
        scorer = Scorer(bundle, shop.scorer.items, 200, open_index(remote, bundle), lambda: away.append(1))
        ask = shop.query("user-0"), 10, shop.allowed()
        assert scorer.recommend(*ask).items.tolist() == shop.scorer.recommend(*ask).items.tolist()
        assert not away
        server.failing = 503
        assert len(scorer.recommend(*ask).items) == 10
    assert away


def test_later_items_are_found_and_never_written(server: PineconeServer, index: PineconeIndex) -> None:
    index.upsert(np.array([250]), 1_000 * QUERY[None])
    assert index.search(QUERY, 2)[0].tolist() == [250, 248]
    assert sum(server.counts().values()) == 250
    with pytest.raises(ValueError, match="249 is an item of the bundle"):
        index.upsert(np.array([249, 250]), VECTORS[:2])


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_failure_says_that_the_index_is_away(server: PineconeServer, index: PineconeIndex, status: int) -> None:
    server.failing = status
    # The client tries a 500 again by itself; on a busy machine that outlasts the time a request gives it.
    with pytest.raises(IndexAway, match=r"told to fail|has not answered within"):
        index.search(QUERY, 5)


def test_a_namespace_that_nobody_filled_says_so(settings: Settings) -> None:
    with pytest.raises(IndexAway, match=r"freshet\.20240102T000000-00000002 is empty; train with"):
        PineconeIndex(settings, VERSIONS[1], *VECTORS.shape).search(QUERY, 5)


def test_no_request_waits_for_one_that_hangs_and_all_is_well_again_when_it_answers(
    server: PineconeServer, settings: Settings, index: PineconeIndex
) -> None:
    patient = index.search(QUERY, 5)[0].tolist()
    hasty = PineconeIndex(settings.model_copy(update={"dependency_timeout_s": 0.2}), VERSIONS[0], *VECTORS.shape)
    hasty.search(QUERY, 5)
    server.hang()
    for _ in range(pinecone_index.FAILURES):
        with pytest.raises(IndexAway, match=r"not answered within 0\.2 s"):
            hasty.search(QUERY, 5)
    started = time.process_time(), time.perf_counter()
    for _ in range(100):
        with pytest.raises(IndexAway, match="3 times in a row"):
            hasty.search(QUERY, 5)
    assert time.perf_counter() - started[1] < 10  # a hundred waits of 0.2 s are 20
    server.go_on()
    until = time.monotonic() + 20
    while True:
        try:
            assert hasty.search(QUERY, 5)[0].tolist() == patient
            break
        except IndexAway:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_nobody_there_says_that_the_index_is_away(server: PineconeServer, index: PineconeIndex) -> None:
    server.__exit__()
    with pytest.raises(IndexAway):
        index.search(QUERY, 5)
