"""Nearest items by inner product, behind an interface small enough for a remote index too."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from models.encoder import ItemVectors
from models.vector_block import EXACT_UP_TO, Block, Floats, Mask, Numbers

if TYPE_CHECKING:
    from infra.settings import Settings
    from models.bundle import Bundle

RECENT_SHARE = 8
"""Vectors that came since the last build are searched beside it until they are one in so many."""


class IndexAway(RuntimeError):
    """A remote index fails or does not answer in time; the message says which and why."""


class VectorIndex(Protocol):
    """Item vectors by item number. One instance may be searched by several threads while another upserts."""

    def upsert(self, numbers: Numbers, vectors: Floats) -> None:
        """Store vectors [n, d]; a number that is there already gets the new vector.

        Raises:
            ValueError: a number stands twice.
        """

    def search(
        self, query: Floats, k: int, allowed: Mask | None = None, hidden: Numbers | None = None
    ) -> tuple[Numbers, Floats]:
        """The k items of largest inner product with ``query`` [d], best first, fewer when there are not k.

        Args:
            allowed: bool per item number; only these are found. A number beyond its end is not allowed.
            hidden: numbers that are not found either, in any order.

        Raises:
            IndexAway: a remote index fails; never of one in memory.
        """

    def __len__(self) -> int:
        """How many items are stored."""


def open_index(settings: Settings, bundle: Bundle) -> VectorIndex:
    """The index that the settings choose, with the vectors of a bundle's items in it. Asks nothing of a network.

    Later items, whose numbers follow the bundle's, are for the caller to upsert.
    """
    vectors = with_bias(bundle.encoder().items())
    if settings.vector_index == "faiss":
        return FaissIndex(vectors)
    from models.pinecone_index import PineconeIndex

    return PineconeIndex(settings, bundle.version, *vectors.shape)


def with_bias(items: ItemVectors) -> Floats:
    """What an index holds of items: float32 [n, d + 1]. A query with 1 as its last coordinate finds q . v + b."""
    return np.hstack([items.vectors, items.bias[:, None]]).astype(np.float32, copy=False)


class FaissIndex:
    """Nearest items in memory: all are compared up to 50,000, above it an inverted file is looked through.

    What is upserted after a build stands in a second, exact index beside it, until it has grown enough for all to
    be built anew; a long build runs aside. A search reads one snapshot of both without a lock: it waits for nothing.

    Args:
        vectors: float32 [n, d], of the items numbered from 0; n may be 0.
    """

    def __init__(self, vectors: Floats) -> None:
        self._none = Block(np.empty(0, np.intp), np.empty((0, vectors.shape[1]), np.float32))
        self._state = _State(Block(np.arange(len(vectors)), vectors), self._none, self._none.numbers)
        self._upserting = threading.Lock()
        self._building: threading.Thread | None = None

    def upsert(self, numbers: Numbers, vectors: Floats) -> None:
        """As VectorIndex.upsert. Costs a copy of all that came since the last build; nothing where every vector is
        the stored one."""
        numbers = np.asarray(numbers, np.intp)
        if len(np.unique(numbers)) != len(numbers):
            raise ValueError("numbers: one item stands twice in one upsert")
        with self._upserting:
            main, recent, _ = self._state
            stored = np.where(recent.has(numbers), recent.has(numbers, vectors), main.has(numbers, vectors))
            if stored.all():
                return
            self._state = _state(main, recent.joined(numbers[~stored], vectors[~stored]))
        self._build_when_due()

    def search(
        self, query: Floats, k: int, allowed: Mask | None = None, hidden: Numbers | None = None
    ) -> tuple[Numbers, Floats]:
        """As VectorIndex.search."""
        main, recent, replaced = self._state
        gone = hidden
        if len(replaced):
            gone = replaced if hidden is None else np.concatenate([hidden, replaced])
        numbers, scores = main.search(query, k, allowed, gone)
        if not len(recent):
            return numbers, scores
        return merged((numbers, scores), recent.search(query, k, allowed, hidden), k)

    def __len__(self) -> int:
        main, recent, replaced = self._state
        return len(main) + len(recent) - len(replaced)

    def _build_when_due(self) -> None:
        with self._upserting:
            main, recent, _ = self._state
            if self._building is not None or len(recent) * RECENT_SHARE <= len(main):
                return
            self._building = threading.Thread(target=self._build, args=(main, recent), name="index", daemon=True)
        if len(self) > EXACT_UP_TO:
            self._building.start()
        else:
            self._building.run()

    def _build(self, main: Block, recent: Block) -> None:
        try:
            built = main.joined(recent.numbers, recent.vectors())
            with self._upserting:
                now = self._state.recent
                self._state = _state(built, now.only(~built.has(now.numbers, now.vectors())))
        finally:
            self._building = None


class _State(NamedTuple):
    """``replaced``: numbers of ``main`` that have a newer vector in ``recent``."""

    main: Block
    recent: Block
    replaced: Numbers


def _state(main: Block, recent: Block) -> _State:
    return _State(main, recent, recent.numbers[main.has(recent.numbers)])


def merged(one: tuple[Numbers, Floats], other: tuple[Numbers, Floats], k: int) -> tuple[Numbers, Floats]:
    """The best k of two answers of different items, best first."""
    numbers, scores = np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])
    best = np.argsort(-scores, kind="stable")[:k]
    return numbers[best], scores[best]
