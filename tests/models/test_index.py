"""The contract of every vector index. Another implementation inherits it and gives ``make``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.index import FaissIndex, VectorIndex

DIMENSIONS = 8


class VectorIndexContract:
    """Subclass, define ``make``, and every test below runs against it."""

    def make(self, dimensions: int) -> VectorIndex:
        raise NotImplementedError

    @pytest.fixture
    def vectors(self) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(300, DIMENSIONS)).astype(np.float32)

    @pytest.fixture
    def index(self, vectors: np.ndarray) -> VectorIndex:
        index = self.make(DIMENSIONS)
        index.upsert(np.arange(len(vectors)), vectors)
        return index

    def test_finds_the_largest_inner_products_best_first(self, index: VectorIndex, vectors: np.ndarray) -> None:
        query = vectors[7] + vectors[11]
        products = vectors @ query
        numbers, scores = index.search(query, 10)
        assert numbers.tolist() == np.argsort(-products)[:10].tolist()
        assert np.allclose(scores, np.sort(products)[::-1][:10], atol=1e-4)

    def test_finds_only_what_is_allowed(self, index: VectorIndex, vectors: np.ndarray) -> None:
        allowed = np.zeros(len(vectors), bool)
        allowed[[5, 100, 299]] = True
        numbers, _ = index.search(vectors[0], 10, allowed)
        assert sorted(numbers.tolist()) == [5, 100, 299]

    def test_a_number_beyond_the_mask_is_not_allowed(self, index: VectorIndex, vectors: np.ndarray) -> None:
        numbers, _ = index.search(vectors[0], 300, np.ones(9, bool))
        assert sorted(numbers.tolist()) == list(range(9))

    def test_nothing_allowed_finds_nothing(self, index: VectorIndex, vectors: np.ndarray) -> None:
        assert len(index.search(vectors[0], 10, np.zeros(len(vectors), bool))[0]) == 0
        assert len(index.search(vectors[0], 10, np.zeros(0, bool))[0]) == 0

    def test_an_empty_index_finds_nothing(self) -> None:
        assert len(self.make(DIMENSIONS).search(np.ones(DIMENSIONS, np.float32), 5)[0]) == 0

    def test_upsert_replaces_and_adds(self, index: VectorIndex, vectors: np.ndarray) -> None:
        query = np.zeros(DIMENSIONS, np.float32)
        query[0] = 100
        index.upsert(np.array([3, 300]), np.stack([query, 2 * query]))
        assert len(index) == 301
        assert index.search(query, 2)[0].tolist() == [300, 3]
        index.upsert(np.array([300]), -query[None])
        assert len(index) == 301
        assert index.search(query, 1)[0].tolist() == [3]

    def test_one_item_twice_in_an_upsert_is_refused(self, index: VectorIndex, vectors: np.ndarray) -> None:
        with pytest.raises(ValueError, match="twice"):
            index.upsert(np.array([1, 1]), vectors[:2])

    def test_searching_while_upserting_never_fails(self, index: VectorIndex, vectors: np.ndarray) -> None:
        def search(_: int) -> int:
            return len(index.search(vectors[0], 20)[0])

        with ThreadPoolExecutor(4) as pool:
            found = pool.map(search, range(200))
            for n in range(100):
                index.upsert(np.array([n, 400 + n]), vectors[[n, n]])
            assert all(count == 20 for count in found)


class TestFaiss(VectorIndexContract):
    def make(self, dimensions: int) -> VectorIndex:
        return FaissIndex(dimensions)
