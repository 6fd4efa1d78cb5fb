"""Item vectors in Pinecone: one namespace a bundle, filled by training before the alias moves, only read in serving.

A vector's id is its item's number in the bundle. The client is imported when Pinecone is chosen: that costs a
quarter of a second.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pybreaker import STATE_CLOSED, CircuitBreaker

from infra.settings import Settings
from models.index import FaissIndex, IndexAway, merged
from models.vector_block import Floats, Mask, Numbers

if TYPE_CHECKING:
    from pinecone import Index

Answer = TypeVar("Answer")

TOP_K = 10_000
"""Most matches that Pinecone gives for one query."""

AT_ONCE = 16
"""Queries under way at once; one more waits for its turn within its own time."""

FAILURES, PAUSE_S = 3, 0.5
"""After so many failures in a row no request waits for Pinecone; it is tried aside, with this pause between."""

SLAB = 10_000
"""Vectors that are turned into Python's numbers at once: 1,700 bytes each of 65."""

VERSION = r"\d{8}T\d{6}-[0-9a-f]{8}"
"""A bundle's version, as ``Bundle.version`` makes it."""

VISIBLE_S = 120.0
"""Longest wait until what was written can be found: writes become visible with a delay."""


class PineconeIndex:
    """Nearest items in Pinecone, as VectorIndex, of one bundle's items; later items stand in memory beside it.

    Each process numbers later items by itself, so these are never written to the shared namespace.

    Pinecone takes no bit mask: a search asks for as many more as are hidden and drops them. How many of the best an
    ``allowed`` mask hides is not known beforehand, so k is scaled up by the share of allowed items and some, at most
    to Pinecone's limit of 10,000: of a category with few of a large catalogue's items fewer than k may be found, and
    the other sources fill up.

    Args:
        settings: pinecone_host, pinecone_api_key, dependency_timeout_s, model_name.
        version: the bundle's.
        items: how many items the bundle has, and so the namespace.
        dimensions: length of a vector.
    """

    def __init__(self, settings: Settings, version: str, items: int, dimensions: int) -> None:
        self._client = _client(settings, timeout_s=settings.dependency_timeout_s)
        self._namespace = namespace_of(settings, version)
        self._items = items
        self._timeout_s = settings.dependency_timeout_s
        self._later = FaissIndex(np.empty((0, dimensions), np.float32))
        # The client tries again by itself, for seconds; a request has no such time. So it works aside, and whoever
        # waits goes on without it.
        self._threads = ThreadPoolExecutor(AT_ONCE, "pinecone")
        self._breaker = CircuitBreaker(FAILURES, PAUSE_S, throw_new_error_on_trip=False)
        self._probing = threading.Lock()

    def upsert(self, numbers: Numbers, vectors: Floats) -> None:
        """As VectorIndex.upsert, of items that came after the training.

        Raises:
            ValueError: a number is one of the bundle's, or stands twice.
        """
        if len(numbers) and int(np.min(numbers)) < self._items:
            raise ValueError(f"numbers: {np.min(numbers)} is an item of the bundle; training alone writes these")
        self._later.upsert(numbers, vectors)

    def search(
        self, query: Floats, k: int, allowed: Mask | None = None, hidden: Numbers | None = None
    ) -> tuple[Numbers, Floats]:
        """As VectorIndex.search.

        Raises:
            IndexAway: Pinecone fails, or does not answer within dependency_timeout_s, or has nothing of this bundle.
        """
        later = self._later.search(query, k, allowed, hidden)
        ask = min(self._ask(k, allowed, hidden), self._items, TOP_K)
        if ask <= 0:
            return later
        numbers, scores = self._query(query, ask)
        keep = np.ones(len(numbers), bool)
        if allowed is not None:
            keep[numbers >= len(allowed)] = False
            keep[keep] = allowed[numbers[keep]]
        if hidden is not None:
            keep &= ~np.isin(numbers, hidden)
        return merged((numbers[keep], scores[keep]), later, k)

    def __len__(self) -> int:
        return self._items + len(self._later)

    def _ask(self, k: int, allowed: Mask | None, hidden: Numbers | None) -> int:
        more = 0 if hidden is None else len(hidden)
        if allowed is None or k <= 0:
            return k + more
        count = int(np.count_nonzero(allowed[: self._items]))
        if not count:
            return 0
        # Few hidden: all of them may be among the best. Many hidden: what is allowed is taken to lie evenly.
        gone = self._items - count
        return min(k + gone, 2 * k * self._items // count) + more

    def _query(self, query: Floats, ask: int) -> tuple[Numbers, Floats]:
        if self._breaker.current_state != STATE_CLOSED:
            self._probe(query)
            raise IndexAway(f"Pinecone failed {FAILURES} times in a row and has not answered since")
        try:
            with self._breaker.calling():
                return self._threads.submit(self._matches, query, ask).result(self._timeout_s)
        except IndexAway:
            raise
        except TimeoutError:
            raise IndexAway(f"Pinecone has not answered within {self._timeout_s} s") from None
        except Exception as error:  # the client's own errors, the transport's, those of an answer that is none
            raise IndexAway(f"Pinecone: {error}") from error

    def _probe(self, query: Floats) -> None:
        """Find out aside whether it answers again: no request waits for that."""
        if self._probing.acquire(blocking=False):
            self._threads.submit(self._probed, query)

    def _probed(self, query: Floats) -> None:
        try:
            # Refused by the breaker until its pause is over; then the first success closes it.
            with suppress(Exception), self._breaker.calling():
                self._matches(query, 1)
        finally:
            self._probing.release()

    def _matches(self, query: Floats, ask: int) -> tuple[Numbers, Floats]:
        answer = self._client.query(top_k=ask, vector=query.tolist(), namespace=self._namespace)
        if not answer.matches:
            raise IndexAway(f"namespace {self._namespace} is empty; train with FRESHET_VECTOR_INDEX=pinecone")
        numbers = np.array([int(match.id) for match in answer.matches], np.intp)
        return numbers, np.array([match.score for match in answer.matches], np.float32)


def publish(settings: Settings, version: str, vectors: Floats) -> None:
    """Write a bundle's vectors [n, d] into its namespace and wait until they can be found.

    The client sends the batches side by side and tries each again when it fails.

    Raises:
        IndexAway: they could not all be written, or are not visible after VISIBLE_S.
    """
    client, namespace = _client(settings), namespace_of(settings, version)
    for start in range(0, len(vectors), SLAB):
        rows = vectors[start : start + SLAB].tolist()
        answer = client.upsert(
            vectors=[(str(start + n), row) for n, row in enumerate(rows)],
            namespace=namespace,
            batch_size=settings.pinecone_batch,
            show_progress=False,
        )
        if answer.has_errors:
            raise IndexAway(f"Pinecone took {answer.upserted_count} of {len(rows)} vectors: {answer.errors[0]}")
    until = time.monotonic() + VISIBLE_S
    while (found := _counts(client).get(namespace, 0)) < len(vectors):
        if time.monotonic() > until:
            raise IndexAway(f"Pinecone: {found} of {len(vectors)} vectors visible in {namespace} after {VISIBLE_S} s")
        time.sleep(0.5)


def sweep(settings: Settings, keep: Collection[str]) -> list[str]:
    """Remove the namespaces of this model's bundles but those of ``keep`` (versions). Returns the removed names.

    Namespaces that bear no version of this model are left alone.

    Raises:
        IndexAway: Pinecone fails.
    """
    client, kept = _client(settings), {namespace_of(settings, version) for version in keep}
    ours = re.compile(re.escape(namespace_of(settings, "")) + VERSION)
    gone = [name for name in _counts(client) if ours.fullmatch(name) and name not in kept]
    for name in gone:
        _asked(partial(client.delete_namespace, name=name))
    return gone


def namespace_of(settings: Settings, version: str) -> str:
    """The namespace of a bundle's version."""
    return f"{settings.model_name}.{version}"


def _counts(client: Index) -> dict[str, int]:
    stats = _asked(client.describe_index_stats)
    return {name: summary.vector_count for name, summary in stats.namespaces.items()}


def _asked(ask: Callable[[], Answer]) -> Answer:
    from pinecone import PineconeError

    try:
        return ask()
    except PineconeError as error:
        raise IndexAway(f"Pinecone: {error}") from error


def _client(settings: Settings, timeout_s: float = 30) -> Index:
    from pinecone import Index

    # They tell of every request.
    for name in ("pinecone", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return Index(host=settings.pinecone_host, api_key=settings.pinecone_api_key, timeout=timeout_s)
