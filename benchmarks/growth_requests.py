"""What a request costs with so many users in Redis and so many items in the catalogue: CPU, latency, memory.

The release is made, not trained: vectors in clusters, random neighbours, trees that learned noise, all of the shapes
and sizes that the recipe makes at most. So lists mean nothing here, and a request does all that one can have to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import lightgbm as lgb
import numpy as np
import psutil
import redis
import torch
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.growth_shop import Population, catalogue, segments
from benchmarks.growth_stream import cpu_s
from benchmarks.serving.http_load import OURS
from benchmarks.serving.index_recall import made_up
from benchmarks.serving.load_clients import CLIENT, Server, on_cores, open_loop, serving
from benchmarks.serving.scheduled_client import Connection, encoded
from feature_repo.events import Item
from feature_repo.online import OnlineStore
from feature_repo.schema import ITEM_FEATURES
from infra.kafka import librdkafka
from infra.processes import StackError
from infra.settings import Settings
from infra.stack import Stack
from models import covisitation, long_term
from models.bundle import Bundle
from models.content import category_vocabulary, content, item_table
from models.fusion import rank_fusion
from models.neighbours import Neighbours
from models.net import TwoTower
from models.ranker import MAX_TREES, PARAMETERS, Ranker, ranker_features

NOISE_ROWS = 5_000
IMPRESSIONS = 200
MADE_OF = "vectors, neighbours and trees of noise: for measuring speed only"


@dataclass(frozen=True)
class RequestEffort:
    """How much is measured: users who ask, connections and seconds of a round, rounds; rate and seconds on time."""

    users: int = 20_000
    connections: int = 4
    seconds: float = 5
    rounds: int = 3
    rate: float = 50
    open_seconds: float = 15


def made_bundle(items: Iterable[Item], segment_names: Iterable[str], seed: int = 7) -> Bundle:
    """A release of a catalogue that nothing was learned for; it passes every check of a real one."""
    catalog = list(items)
    n, random = len(catalog), np.random.default_rng(seed)
    ids = tuple(item.item_id for item in catalog)
    categories, names = category_vocabulary(catalog), tuple(sorted(set(segment_names)))
    torch.manual_seed(seed)
    net = TwoTower(content(item_table(ids, catalog, categories), np.arange(n)), len(names))
    vectors = made_up(n).items
    weights = net.export() | {"item_vectors": vectors[:, :-1].copy(), "item_bias": vectors[:, -1].copy()}
    return Bundle(
        item_ids=ids,
        categories=categories,
        segments=names,
        feature_names=ranker_features(),
        weights=weights,
        covisitation=_neighbours(n, covisitation.KEEP, random),
        long_term=_neighbours(n, long_term.KEEP, random),
        fusion=rank_fusion(),
        stale_fusion=rank_fusion(),
        ranker=_noisy_ranker(random),
        params={"made of": MADE_OF},
    )


def _neighbours(n: int, keep: int, random: np.random.Generator) -> Neighbours:
    keep = min(keep, n - 1)
    # Steps round the circle of items: distinct in a row, never the item itself.
    steps = np.sort(random.integers(1, n - keep + 1, (n, keep)), axis=1) + np.arange(keep)
    indices = (np.arange(n)[:, None] + random.permuted(steps, axis=1)) % n
    weights = -np.sort(-random.random((n, keep), np.float32), axis=1)
    return Neighbours(np.arange(n + 1) * keep, indices.ravel().astype(np.int32), weights.ravel())


def _noisy_ranker(random: np.random.Generator) -> Ranker:
    names = ranker_features()
    matrix = random.normal(size=(NOISE_ROWS, len(names))).astype(np.float32)
    how = {key: PARAMETERS[key] for key in ("num_leaves", "deterministic", "force_row_wise", "verbose")}
    data = lgb.Dataset(matrix, random.integers(0, 2, NOISE_ROWS), feature_name=list(names), params={"verbose": -1})
    booster = lgb.train(how | {"objective": "binary", "num_threads": 1, "seed": 7}, data, MAX_TREES)
    return Ranker(booster.model_to_string())


def measure(stack: Stack, population: Population, effort: RequestEffort) -> dict[str, Any]:
    """Figures of one recommender, on a core of its own, over a Redis that holds the population. Raises StackError."""
    names = {name for user in range(20) for name in segments(user * 997, population.shelves)}
    folder = stack.settings.bundle_dir
    assert folder is not None
    made_bundle(catalogue(population.shelves), names).save(folder)
    _renew(stack.settings)
    random = np.random.default_rng(7)
    users = random.permutation(population.users)[: effort.users].tolist()
    lines = [OURS.request(f"u{user}") for user in users]
    (redis_server,) = psutil.Process(stack.process("redis").guard_pid).children()
    began = time.monotonic()
    with on_cores(CLIENT), serving(stack, OURS.name, OURS.command, OURS.ready) as server:
        start_s = time.monotonic() - began
        closed_loop(server, lines, effort.connections, 2)
        before_s = cpu_s(redis_server)
        rounds = [closed_loop(server, lines, effort.connections, effort.seconds) for _ in range(effort.rounds)]
        redis_us = 1e6 * (cpu_s(redis_server) - before_s) / sum(each["count"] for each in rounds)
        on_time = open_loop(server, lines, effort.rate, effort.open_seconds)
        memory = server.memory()
    return {
        "start_s": start_s,
        "redis_us": redis_us,
        **{name: median(each[name] for each in rounds) for name in rounds[0]},
        "on_time": {"rate": effort.rate, "p50_ms": on_time.p50, "p99_ms": on_time.p99, "cpu_ms": on_time.cpu_ms},
        "rss_bytes": memory["rss_mib"] * 2**20,
        "own_bytes": memory["own_mib"] * 2**20,
        "impression_bytes": _impression_bytes(stack.settings),
        "bundle_bytes": sum(file.stat().st_size for file in folder.iterdir()),
    }


def _renew(settings: Settings) -> None:
    """Let one item have been met just now: a standing stream would be taken for one that is away."""
    now_us = time.time_ns() // 1_000
    with redis.Redis.from_url(settings.redis_url) as client:
        store = OnlineStore(client, [ITEM_FEATURES])
        item_id = next(f"i{n}" for n in range(10**6) if store.read(ITEM_FEATURES.name, [f"i{n}"])[0])
        (row,) = store.read(ITEM_FEATURES.name, [item_id])
        assert row is not None
        store.write({ITEM_FEATURES.name: {item_id: (row.features | {"last_event_us": now_us}, now_us)}})


def _impression_bytes(settings: Settings) -> float:
    """Mean size of the messages of what was shown, as they are before they are compressed."""
    consumer = Consumer({**librdkafka(settings), "group.id": "growth", "auto.offset.reset": "earliest"})
    places = [TopicPartition(settings.topic_impressions, n, OFFSET_BEGINNING) for n in range(settings.topic_partitions)]
    consumer.assign(places)
    try:
        found = [len(message.value() or b"") for message in consumer.consume(IMPRESSIONS, timeout=10)]
    finally:
        consumer.close()
    return sum(found) / max(1, len(found))


def closed_loop(
    server: Server, lines: Sequence[str], connections: int, seconds: float, answer: int = 200
) -> dict[str, float]:
    """Some connections, each of which asks again as soon as it is answered.

    Raises:
        StackError: an answer has another status than ``answer``.
    """
    requests = [encoded(line, server.host, server.port) for line in lines]
    until, latencies, bad = time.perf_counter() + seconds, list[float](), list[int]()

    def ask(first: int) -> None:
        connection, place = Connection(server.host, server.port), first
        while (began := time.perf_counter()) < until:
            status = connection.ask(requests[place % len(requests)])
            latencies.append(time.perf_counter() - began)
            if status != answer:
                bad.append(status)
            place += connections
        connection.close()

    before_s, began = server.cpu_s(), time.perf_counter()
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s, spent_s = time.perf_counter() - began, server.cpu_s() - before_s
    server.settle()
    if bad or not latencies:
        raise StackError(f"{server.name}: {len(bad)} of {len(latencies)} answers were not {answer}; see its log")
    p50, p99 = (1e3 * value for value in np.percentile(latencies, [50, 99]).tolist())
    count = len(latencies)
    return {"count": count, "cpu_ms": 1e3 * spent_s / count, "per_s": count / took_s, "p50_ms": p50, "p99_ms": p99}
