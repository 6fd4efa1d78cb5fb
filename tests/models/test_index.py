"""The contract of every vector index, run against each; then what is FAISS's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pinecone_server import PineconeServer

from infra.settings import load_settings
from models import vector_block
from models.index import FaissIndex, VectorIndex
from models.pinecone_index import PineconeIndex, publish

DIMENSIONS = 8


def vectors_of(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, DIMENSIONS)).astype(np.float32)


class VectorIndexContract:
    """Subclass, define ``make``, and every test below runs against it."""

    def make(self, vectors: np.ndarray) -> VectorIndex:
        raise NotImplementedError

    @pytest.fixture
    def vectors(self) -> np.ndarray:
        return vectors_of(300)

    @pytest.fixture
    def index(self, vectors: np.ndarray) -> VectorIndex:
        return self.make(vectors)

    def test_finds_the_largest_inner_products_best_first(self, index: VectorIndex, vectors: np.ndarray) -> None:
        query = vectors[7] + vectors[11]
        products = vectors @ query
        numbers, scores = index.search(query, 10)
        assert numbers.tolist() == np.argsort(-products)[:10].tolist()
        assert np.allclose(scores, np.sort(products)[::-1][:10], atol=1e-4)
        assert (numbers.dtype, scores.dtype) == (np.intp, np.float32)

    def test_a_long_vector_is_found_wherever_it_points(self, index: VectorIndex, vectors: np.ndarray) -> None:
        query = vectors[7]
        index.upsert(np.array([300]), (1000 * query + 500 * vectors[1])[None])
        assert index.search(query, 1)[0].tolist() == [300]

    def test_finds_only_what_is_allowed(self, index: VectorIndex, vectors: np.ndarray) -> None:
        allowed = np.zeros(len(vectors), bool)
        allowed[[5, 100, 299]] = True
        numbers, _ = index.search(vectors[0], 10, allowed)
        assert sorted(numbers.tolist()) == [5, 100, 299]

    def test_a_number_beyond_the_mask_is_not_allowed(self, index: VectorIndex, vectors: np.ndarray) -> None:
        numbers, _ = index.search(vectors[0], 300, np.ones(9, bool))
        assert sorted(numbers.tolist()) == list(range(9))

    def test_finds_nothing_hidden(self, index: VectorIndex, vectors: np.ndarray) -> None:
        best, _ = index.search(vectors[0], 12)
        hidden = np.array([best[3], best[0], best[3], 10_000])
        left = np.delete(best, [0, 3])
        assert index.search(vectors[0], 10, hidden=hidden)[0].tolist() == left.tolist()
        allowed = np.ones(len(vectors), bool)
        allowed[best[1]] = False
        assert index.search(vectors[0], 9, allowed, hidden)[0].tolist() == left[1:].tolist()

    def test_nothing_allowed_finds_nothing(self, index: VectorIndex, vectors: np.ndarray) -> None:
        assert len(index.search(vectors[0], 10, np.zeros(len(vectors), bool))[0]) == 0
        assert len(index.search(vectors[0], 10, np.zeros(0, bool))[0]) == 0
        assert len(index.search(vectors[0], 10, hidden=np.arange(len(vectors)))[0]) == 0

    def test_an_empty_index_finds_nothing(self) -> None:
        assert len(self.make(vectors_of(0)).search(np.ones(DIMENSIONS, np.float32), 5)[0]) == 0

    def test_upsert_adds_and_replaces_later_items(self, index: VectorIndex, vectors: np.ndarray) -> None:
        query = np.zeros(DIMENSIONS, np.float32)
        query[0] = 100
        index.upsert(np.array([300, 302]), np.stack([query, 2 * query]))
        assert len(index) == 302
        assert index.search(query, 2)[0].tolist() == [302, 300]
        assert index.search(query, 2, hidden=np.array([302]))[0][0] == 300
        assert index.search(query, 2, np.arange(303) < 302)[0][0] == 300
        index.upsert(np.array([302]), -query[None])
        assert len(index) == 302
        assert index.search(query, 1)[0].tolist() == [300]

    def test_one_item_twice_in_an_upsert_is_refused(self, index: VectorIndex, vectors: np.ndarray) -> None:
        with pytest.raises(ValueError, match="twice"):
            index.upsert(np.array([301, 301]), vectors[:2])

    def test_searching_while_upserting_never_fails(self, index: VectorIndex, vectors: np.ndarray) -> None:
        def search(_: int) -> int:
            return len(index.search(vectors[0], 20)[0])

        with ThreadPoolExecutor(4) as pool:
            found = pool.map(search, range(200))
            for n in range(100):
                index.upsert(np.array([300 + n, 400 + n]), vectors[[n, n]])
            assert all(count == 20 for count in found)


class TestFlat(VectorIndexContract):
    def make(self, vectors: np.ndarray) -> VectorIndex:
        return FaissIndex(vectors)


class TestInvertedFile(VectorIndexContract):
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vector_block, "EXACT_UP_TO", 100)
        monkeypatch.setattr(vector_block.InvertedFile, "PROBED", 20)

    def make(self, vectors: np.ndarray) -> VectorIndex:
        return FaissIndex(vectors)


class TestPinecone(VectorIndexContract):
    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with PineconeServer(DIMENSIONS) as server:
            self.settings = load_settings(**server.settings(), dependency_timeout_s=10)
            yield

    def make(self, vectors: np.ndarray) -> VectorIndex:
        publish(self.settings, "v", vectors)
        return PineconeIndex(self.settings, "v", *vectors.shape)


def shop(n: int, clusters: int = 200, d: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Item vectors in clusters, few items far more popular than the rest, and visitors between the clusters."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(clusters, d))
    vectors = centres[rng.integers(clusters, size=n)] + 0.6 * rng.normal(size=(n, d))
    bias = np.log1p(rng.pareto(1.1, size=n)) * d**0.5
    queries = np.stack([centres[rng.integers(clusters, size=3)].mean(0) for _ in range(40)])
    items = np.hstack([vectors, bias[:, None]]).astype(np.float32)
    return items, np.hstack([queries, np.ones((40, 1))]).astype(np.float32)


def test_above_its_size_the_exact_index_gives_way_and_hardly_anything_is_missed() -> None:
    items, queries = shop(60_000)
    index = FaissIndex(items)
    products = queries @ items.T
    rng = np.random.default_rng(1)
    for allowed in (None, rng.random(len(items)) < 0.3, rng.random(len(items)) < 0.01):
        if allowed is not None:
            products = np.where(allowed, queries @ items.T, -np.inf)
        recall = []
        for query, row in zip(queries, products, strict=True):
            found, scores = index.search(query, 500, allowed)
            assert np.allclose(scores, row[found], rtol=1e-4, atol=1e-4)
            recall.append(len(np.intersect1d(found, np.argpartition(-row, 500)[:500])) / 500)
        assert np.mean(recall) >= 0.99


def test_an_index_that_grows_past_its_size_is_built_aside_and_stays_itself() -> None:
    items, queries = shop(50_400, d=8)
    index = FaissIndex(items[:50_000])
    for start in range(50_000, 50_400, 100):
        index.upsert(np.arange(start, start + 100), items[start : start + 100])
    index.upsert(np.array([3]), -items[:1])
    grown = np.vstack([items[:3], -items[:1], items[4:]])

    def check() -> None:
        found, scores = index.search(queries[0], 20)
        assert np.allclose(scores, np.sort(grown @ queries[0])[::-1][:20], rtol=1e-4)
        assert np.allclose(grown[found] @ queries[0], scores, rtol=1e-4)
        assert len(index) == len(grown)

    check()
    grown = np.vstack([grown, np.tile(items[:100], (96, 1))])
    index.upsert(np.arange(50_400, 60_000), grown[50_400:])
    check()
    # What comes while all is built anew is not lost, nor what it replaces.
    grown[[4, 59_999]] = grown[[59_999, 4]]
    index.upsert(np.array([4, 59_999]), grown[[4, 59_999]])
    check()
    for thread in threading.enumerate():
        if thread.name == "index":
            thread.join()
    check()


def test_vectors_that_are_all_alike_can_be_told_apart_by_nothing_and_are_found() -> None:
    for vectors in (np.zeros((50_001, 4), np.float32), np.ones((50_001, 4), np.float32)):
        numbers, scores = FaissIndex(vectors).search(vectors[0], 7)
        assert len(set(numbers.tolist())) == 7
        assert np.allclose(scores, vectors[0] @ vectors[0])
