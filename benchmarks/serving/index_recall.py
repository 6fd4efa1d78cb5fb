"""Which vector index, at which size? ``python -m benchmarks.serving.index_recall [--bundle DIR] [--million]``.

Each index, in a process of its own: time and memory of the build, share of the exact best 500 that it finds, time and
CPU of a search on one thread. Vectors: a made-up catalogue in clusters whose popularity has a long tail; with
``--bundle`` also those of a trained bundle, each item many times over with noise, asked by histories of its
co-visited items.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from feature_repo.events import MICROSECONDS
from flows.console import tracked
from models.bundle import Bundle
from models.encoder import Tokens
from models.index import FaissIndex, with_bias
from models.vector_block import Floats, Mask, Numbers

SIZES, MILLION = (10_000, 50_000, 100_000), 1_000_000
K, QUERIES, ROUNDS = 500, 200, 3
DIMENSIONS, CLUSTERS = 64, 400
NOISE = 0.5
"""Of a copied vector, in standard deviations of the bundle's coordinates."""

console = Console(width=108)

Search = Callable[[Floats, Mask | None], Numbers]


class Catalogue(NamedTuple):
    """Item vectors [n, d + 1] with the bias last, and queries [q, d + 1] with a 1 there."""

    items: Floats
    queries: Floats


class Figures(NamedTuple):
    """Of one index. ``recall`` is the mean over queries, ``worst`` that of the worst one; times in microseconds."""

    build_s: float
    memory_mb: float
    recall: float
    worst: float
    p50: float
    p99: float
    cpu: float


def made_up(n: int) -> Catalogue:
    """Clusters of unequal size, biases with a long tail, visitors who like three clusters each."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLUSTERS, DIMENSIONS))
    sizes = np.minimum(rng.zipf(1.3, size=CLUSTERS), 50) * 1.0
    sizes /= sizes.sum()
    vectors = 0.6 * rng.standard_normal((n, DIMENSIONS), np.float32)
    vectors += centres[rng.choice(CLUSTERS, n, p=sizes)]
    liked = rng.choice(CLUSTERS, (QUERIES, 3), p=sizes)
    queries = 1.5 * (rng.dirichlet(np.ones(3), QUERIES)[:, :, None] * centres[liked]).sum(1)
    queries += 0.3 * rng.normal(size=queries.shape)
    scale = 2 / DIMENSIONS**0.5
    return _catalogue(scale * vectors, np.log1p(rng.pareto(1.1, size=n)), scale * queries)


def blown_up(folder: Path, n: int) -> Catalogue:
    """A bundle's items, each many times over with noise, and its visitors."""
    bundle, rng = Bundle.load(folder), np.random.default_rng(0)
    encoder = bundle.encoder()
    items = encoder.items()
    own = with_bias(items)
    copies = rng.integers(len(own), size=n)
    vectors = own[copies] + NOISE * own.std(0) * rng.standard_normal((n, own.shape[1]), np.float32)
    queries = [encoder.encode(_history(bundle, rng), items, [], 2_000_000_000 * MICROSECONDS) for _ in range(QUERIES)]
    return _catalogue(vectors[:, :-1], vectors[:, -1], np.stack(queries))


def _history(bundle: Bundle, rng: np.random.Generator) -> Tokens:
    start = int(rng.integers(len(bundle.item_ids)))
    near = np.append(bundle.covisitation.of(start)[0], start)
    items = rng.choice(near, min(len(near), int(rng.integers(1, 51)))).astype(np.intp)
    ago_s = np.sort(rng.uniform(60, 7 * 86_400, len(items)))[::-1]
    return Tokens(items, np.zeros(len(items), np.intp), ((2_000_000_000 - ago_s) * MICROSECONDS).astype(np.int64))


def _catalogue(vectors: NDArray[np.floating], bias: NDArray[np.floating], queries: NDArray[np.floating]) -> Catalogue:
    return Catalogue(
        np.hstack([vectors, bias[:, None]]).astype(np.float32),
        np.hstack([queries, np.ones((len(queries), 1))]).astype(np.float32),
    )


def ours(items: Floats) -> Search:
    """What is served."""
    index = FaissIndex(items)
    return lambda query, allowed: index.search(query, K, allowed)[0]


def exact(items: Floats) -> Search:
    """All compared (IndexFlatIP)."""
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    return partial(_found, index)


def plain_cells(items: Floats) -> Search:
    """An inverted file as it comes: cells by inner product; as many and as many probed as ours."""
    n, d = items.shape
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, int(1.6 * n**0.5), faiss.METRIC_INNER_PRODUCT)
    index.nprobe = int(4.8 * n**0.25)
    index.train(items[:: max(1, n // (50 * index.nlist))])
    index.add(items)
    return partial(_found, index)


def eight_bits(items: Floats) -> Search:
    """As plain_cells, of 8 bits a coordinate; a fifth more is found and put in order exactly."""
    n, d = items.shape
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(d), d, int(1.6 * n**0.5), faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.nprobe = int(4.8 * n**0.25)
    index.train(items[:: max(1, n // (50 * index.nlist))])
    index.add(items)

    def search(query: Floats, allowed: Mask | None) -> Numbers:
        found = _found(index, query, allowed, K + K // 5)
        return np.asarray(found[np.argsort(-(items[found] @ query))[:K]])

    return search


def graph(items: Floats) -> Search:
    """HNSW, 16 neighbours, 800 looked at, over inner products."""
    index = faiss.IndexHNSWFlat(items.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 800
    index.add(items)
    return partial(_found, index)


def _found(index: faiss.Index, query: Floats, allowed: Mask | None, k: int = K) -> Numbers:
    parameters = None
    if allowed is not None:
        bits = np.packbits(allowed, bitorder="little")
        parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
    found = index.search(query[None], k, params=parameters)[1][0]
    return np.asarray(found[found >= 0])


KINDS: dict[str, Callable[[Floats], Search]] = {
    "exact": exact,
    "ours": ours,
    "plain cells": plain_cells,
    "8-bit cells": eight_bits,
    "HNSW": graph,
}
MASKS = {"none": 0.0, "300 hidden": 300.0, "half allowed": 0.5, "10 % allowed": 0.1, "2 % allowed": 0.02}
"""Below 1: the share of items that are allowed; above: how many are not."""


def measure(kind: str, source: Path | None, n: int, masks: Sequence[str]) -> dict[str, Figures]:
    """Figures of one index over one catalogue by mask, in this process."""
    faiss.omp_set_num_threads(1)
    items, queries = made_up(n) if source is None else blown_up(source, n)
    before, started = _resident_mb(), time.process_time()
    search = KINDS[kind](items)
    build_s = time.process_time() - started
    memory_mb = _resident_mb() - before
    products = queries @ items.T
    return {name: Figures(build_s, memory_mb, *_searched(search, queries, products, _mask(name, n))) for name in masks}


def _resident_mb() -> float:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, or a build would find it and seem to take nothing
    return float(psutil.Process().memory_info().rss / 1e6)


def _searched(search: Search, queries: Floats, products: Floats, allowed: Mask | None) -> tuple[float, ...]:
    recall = []
    for query, row in zip(queries, products, strict=True):
        right = _best(row, allowed)
        recall.append(len(np.intersect1d(search(query, allowed), right)) / len(right))
    wall, cpu = [], []
    for query in np.tile(queries, (ROUNDS, 1)):
        clocks = time.perf_counter(), time.thread_time()
        search(query, allowed)
        wall.append(1e6 * (time.perf_counter() - clocks[0]))
        cpu.append(1e6 * (time.thread_time() - clocks[1]))
    return float(np.mean(recall)), min(recall), *np.percentile(wall, [50, 99]), float(np.median(cpu))


def _mask(name: str, n: int) -> Mask | None:
    how = MASKS[name]
    if how == 0:
        return None
    random = np.random.default_rng(1).random(n)
    return random < how if how < 1 else random > how / n


def _best(products: Floats, allowed: Mask | None) -> Numbers:
    if allowed is not None:
        products = np.where(allowed, products, -np.inf)
    k = min(K, len(products) if allowed is None else int(allowed.sum()))
    return np.argpartition(-products, k - 1)[:k]


def table(title: str, rows: list[tuple[str, str, int, Figures]]) -> Table:
    """The figures as they are printed."""
    shown = Table(title=title)
    for column in ("index", "mask"):
        shown.add_column(column)
    for column in ("items", "build\nCPU s", "memory\nMB", f"recall\n@{K}", "of the\nworst", "p50\nµs", "p99\nµs"):
        shown.add_column(column, justify="right")
    shown.add_column("CPU\nµs", justify="right")
    for kind, mask, n, f in rows:
        quality = (f"{f.build_s:.2f}", f"{f.memory_mb:,.0f}", f"{f.recall:.4f}", f"{f.worst:.3f}")
        shown.add_row(kind, mask, f"{n:,}", *quality, *(f"{us:,.0f}" for us in (f.p50, f.p99, f.cpu)))
    return shown


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="folder of a trained bundle")
    parser.add_argument("--million", action="store_true", help="a million items too (some minutes, 2 GB)")
    arguments = parser.parse_args()
    sizes = (*SIZES, MILLION) if arguments.million else SIZES
    work = [(kind, n) for n in sizes for kind in KINDS if kind != "HNSW" or n < MILLION]
    for source in [None, arguments.bundle] if arguments.bundle else [None]:
        rows = []
        for kind, n in tracked(work, "indexes", total=len(work), unit="indexes"):
            masks = list(MASKS) if n >= SIZES[-1] and kind in ("exact", "ours") else ["none"]
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(measure, kind, source, n, masks).result()
            rows += [(kind, mask, n, figures) for mask, figures in found.items()]
        console.print(table("a made-up catalogue" if source is None else f"items like those of {source.name}", rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
