"""Vectors that stand still, in memory (FAISS): all compared up to EXACT_UP_TO, above it cells that are looked at."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]

EXACT_UP_TO = 50_000
"""Vectors that are all compared with the query; above it that costs more than looking through cells."""

CHUNK = 65_536
"""Vectors that are copied at once while an index is built."""


class Block:
    """Vectors that do not change any more, in ascending order of their item numbers."""

    def __init__(self, numbers: Numbers, vectors: Floats) -> None:
        self.numbers = numbers
        # A position is a number where none is missing: nothing is to be translated then.
        self._dense = not len(numbers) or int(numbers[-1]) == len(numbers) - 1
        self._index = InvertedFile(vectors) if len(vectors) > EXACT_UP_TO else Flat(vectors)

    def __len__(self) -> int:
        return len(self.numbers)

    def vectors(self) -> Floats:
        """The vectors [n, d], copied."""
        return self._index.vectors(np.arange(len(self)))

    def only(self, keep: Mask) -> Block:
        """A block of those that ``keep`` [n] names."""
        return Block(self.numbers[keep], self.vectors()[keep])

    def joined(self, numbers: Numbers, vectors: Floats) -> Block:
        """A block of these and others; of a number that both have, the others' vector."""
        keep = ~np.isin(self.numbers, numbers)
        all_numbers = np.concatenate([self.numbers[keep], numbers])
        order = np.argsort(all_numbers)
        return Block(all_numbers[order], np.vstack([self.vectors()[keep], vectors])[order])

    def has(self, numbers: Numbers, vectors: Floats | None = None) -> Mask:
        """Which numbers stand here; with ``vectors``, which stand here with just these."""
        if not len(self):
            return np.zeros(len(numbers), bool)
        at = np.searchsorted(self.numbers, numbers).clip(max=len(self) - 1)
        found = self.numbers[at] == numbers
        if vectors is not None:
            found[found] = (self._index.vectors(at[found]) == vectors[found]).all(1)
        return np.asarray(found)

    def search(self, query: Floats, k: int, allowed: Mask | None, hidden: Numbers | None) -> tuple[Numbers, Floats]:
        """As ``VectorIndex.search``."""
        # OpenMP keeps this for each thread by itself. One query is too little work to share: waking its threads
        # costs five times the search.
        faiss.omp_set_num_threads(1)
        k = min(k, len(self))
        bits, share = self._bits(allowed, hidden)
        if k <= 0 or share == 0:
            return np.empty(0, np.intp), np.empty(0, np.float32)
        # faiss keeps only a pointer to the bits: they live until this returns.
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        scores, found = self._index.search(query, k, selector, share)
        hit = found[0] >= 0
        positions = found[0][hit].astype(np.intp, copy=False)
        return positions if self._dense else self.numbers[positions], scores[0][hit]

    def _bits(self, allowed: Mask | None, hidden: Numbers | None) -> tuple[NDArray[np.uint8] | None, float]:
        """A bit for every position that may be found (None: all), and the share of these."""
        share = 1.0
        if allowed is None:
            if hidden is None or not len(hidden):
                return None, share
            bits = np.full((len(self) + 7) // 8, 0xFF, np.uint8)
        else:
            mask = allowed[: len(self)] if self._dense else self._at(allowed)
            share = np.count_nonzero(mask) / max(1, len(self))
            if share == 1 and (hidden is None or not len(hidden)):
                return None, share
            bits = np.packbits(mask, bitorder="little")
        if hidden is not None and len(hidden):
            positions = self._positions(hidden)
            positions = positions[positions < 8 * len(bits)]
            np.bitwise_and.at(bits, positions >> 3, ~(1 << (positions & 7)).astype(np.uint8))
        return bits, share

    def _at(self, allowed: Mask) -> Mask:
        inside = self.numbers < len(allowed)
        inside[inside] = allowed[self.numbers[inside]]
        return inside

    def _positions(self, numbers: Numbers) -> Numbers:
        numbers = np.asarray(numbers, np.intp)
        if self._dense:
            return numbers[(numbers >= 0) & (numbers < len(self))]
        at = np.searchsorted(self.numbers, numbers).clip(max=len(self) - 1)
        return at[self.numbers[at] == numbers]


class Flat:
    """Vectors that are all compared with the query."""

    def __init__(self, vectors: Floats) -> None:
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    def search(self, query: Floats, k: int, selector: Any, share: float) -> tuple[Floats, NDArray[np.int64]]:
        """Inner products and positions [1, k]."""
        parameters = None if selector is None else faiss.SearchParameters(sel=selector)
        return self._index.search(np.ascontiguousarray(query[None], np.float32), k, params=parameters)

    def vectors(self, positions: Numbers) -> Floats:
        """Vectors [len(positions), d], copied."""
        return self._index.reconstruct_batch(positions)


class InvertedFile:
    """Vectors in cells by nearness; only the cells nearest the query are looked through (FAISS IndexIVFFlat).

    Clusters of plain vectors serve inner products badly: a long vector, a popular item, can be the best answer from
    a far cell. So each vector gets one more coordinate that makes all of them equally long, the query 0 there: then
    the largest inner product is the smallest distance (Bachrach et al. 2014, Speeding up the Xbox recommender
    system using a Euclidean transformation for inner-product spaces). Cells are chosen by that distance, what is in
    them is compared by the inner product itself.

    The numbers of cells were found by measurement: ``python -m benchmarks.serving.index_recall``.
    """

    CELLS = 1.6
    """Cells, as a multiple of the square root of the number of vectors."""

    PROBED = 4.8
    """Cells looked through, as a multiple of its fourth root: a sixth of them at 100,000 vectors."""

    TRAINED_ON = 50
    """Vectors a cell that the cells are learned from."""

    def __init__(self, vectors: Floats) -> None:
        # Requests are answered meanwhile: a build takes one core from them, not all.
        faiss.omp_set_num_threads(1)
        n, d = vectors.shape
        cells = int(self.CELLS * n**0.5)
        self._probed = int(self.PROBED * n**0.25)
        self._length = float(np.sqrt(_squares(vectors).max())) or 1.0
        self._index = faiss.IndexIVFFlat(faiss.IndexFlatL2(d + 1), d + 1, cells, faiss.METRIC_INNER_PRODUCT)
        self._index.cp.spherical = False
        self._index.cp.niter = 8
        sample = np.random.default_rng(0).choice(n, min(n, cells * self.TRAINED_ON), replace=False)
        self._index.train(self._equally_long(vectors[sample]))
        self._fill(vectors)

    def search(self, query: Floats, k: int, selector: Any, share: float) -> tuple[Floats, NDArray[np.int64]]:
        """Inner products and positions [1, k]; the fewer may be found, the more cells are looked through."""
        # How long the query is changes no order; so it weighs against the cells as if it were a vector among them.
        scale = self._length / (float(np.linalg.norm(query)) or 1.0)
        rows = np.append(query, np.float32(0))[None] * np.float32(scale)
        probed = min(self._index.nlist, int(self._probed / share**0.5))
        scores, found = self._look(rows, k, selector, probed)
        if found[0, -1] < 0 and probed < self._index.nlist:
            scores, found = self._look(rows, k, selector, self._index.nlist)
        return scores / np.float32(scale), found

    def _look(self, rows: Floats, k: int, selector: Any, probed: int) -> tuple[Floats, NDArray[np.int64]]:
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probed)
        return self._index.search(rows, k, params=parameters)

    def vectors(self, positions: Numbers) -> Floats:
        """Vectors [len(positions), d], copied."""
        return np.ascontiguousarray(self._index.reconstruct_batch(positions)[:, :-1])

    def _fill(self, vectors: Floats) -> None:
        """Each cell at once: faiss's ``add`` lets every cell grow by doubling, up to twice the memory."""
        cell = np.empty(len(vectors), np.int64)
        for start in range(0, len(vectors), CHUNK):
            part = slice(start, start + CHUNK)
            cell[part] = self._index.quantizer.search(self._equally_long(vectors[part]), 1)[1][:, 0]
        order = np.argsort(cell, kind="stable")
        bounds = np.searchsorted(cell[order], np.arange(self._index.nlist + 1))
        for number in range(self._index.nlist):
            ids = order[bounds[number] : bounds[number + 1]]
            codes = self._equally_long(vectors[ids]).view(np.uint8)
            self._index.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
        self._index.ntotal = len(vectors)
        self._index.set_direct_map_type(faiss.DirectMap.Array)

    def _equally_long(self, vectors: Floats) -> Floats:
        missing = np.sqrt(np.maximum(self._length**2 - _squares(vectors), 0))
        return np.hstack([vectors, missing[:, None]]).astype(np.float32)


def _squares(vectors: Floats) -> Floats:
    return np.einsum("ij,ij->i", vectors, vectors)
