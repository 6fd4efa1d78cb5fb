"""Nearest items by inner product, behind an interface small enough for a remote index too."""

from __future__ import annotations

import threading
from typing import Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]


class VectorIndex(Protocol):
    """Item vectors by item number. One instance may be searched by several threads while another upserts."""

    def upsert(self, numbers: Numbers, vectors: Floats) -> None:
        """Store vectors [n, d]; a number that is there already gets the new vector."""

    def search(self, query: Floats, k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Numbers, Floats]:
        """The k items of largest inner product with ``query`` [d], best first, fewer when there are not k.

        Args:
            allowed: bool per item number; only these are found. A number beyond its end is not allowed.
        """

    def __len__(self) -> int:
        """How many items are stored."""


class FaissIndex:
    """Exact search in memory (FAISS IndexFlatIP): right up to some 50,000 items.

    Args:
        dimensions: length of a vector.
    """

    def __init__(self, dimensions: int) -> None:
        # One query is too little work to share: waking OpenMP's threads costs ten times the search.
        faiss.omp_set_num_threads(1)
        self._index = faiss.IndexIDMap(faiss.IndexFlatIP(dimensions))
        self._numbers: set[int] = set()
        self._lock = threading.Lock()

    def upsert(self, numbers: Numbers, vectors: Floats) -> None:
        keys = np.asarray(numbers, np.int64)
        if len(set(keys.tolist())) != len(keys):
            raise ValueError("numbers: one item stands twice in one upsert")
        with self._lock:
            old = self._numbers.intersection(keys.tolist())
            if old:
                self._index.remove_ids(np.fromiter(old, np.int64))
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), keys)
            self._numbers.update(keys.tolist())

    def search(self, query: Floats, k: int, allowed: NDArray[np.bool_] | None = None) -> tuple[Numbers, Floats]:
        k = min(k, len(self))
        if k == 0 or (allowed is not None and not len(allowed)):
            return np.empty(0, np.intp), np.empty(0, np.float32)
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        # faiss keeps only a pointer to the bits: both must live until the search is over.
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        parameters = None if selector is None else faiss.SearchParameters(sel=selector)
        with self._lock:
            scores, found = self._index.search(np.ascontiguousarray(query[None], np.float32), k, params=parameters)
        hit = found[0] >= 0
        return found[0][hit].astype(np.intp), scores[0][hit]

    def __len__(self) -> int:
        return len(self._numbers)
