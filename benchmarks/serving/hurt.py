"""A recommender whose dependencies can be hurt, and how: for benchmarks and tests of what users notice of it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.proxy import Proxy
from infra.processes import free_ports
from infra.servers import answers, script
from infra.settings import Settings, any_ports, load_settings
from infra.stack import Stack
from models import registry

DELAY_S = 0.5
FEED = b"freshet:changed:"
"""What only the item table's follower asks for."""


@dataclass
class Place:
    """What runs, and where it can be hurt.

    Attributes:
        servers: Kafka, and Redis with rows.
        recommender: serves from them.
        redis, mlflow: the proxies that the recommender reaches these by.
        registry: settings that reach MLflow itself.
    """

    servers: Stack
    recommender: Stack
    redis: Proxy
    mlflow: Proxy
    registry: Settings


# Faults: each a context in which something is wrong


@contextmanager
def redis_killed(place: Place) -> Iterator[None]:
    """SIGKILL; started again at the end, with its append-only file."""
    place.servers.kill("redis")
    yield
    place.servers.restart("redis")


@contextmanager
def redis_paused(place: Place) -> Iterator[None]:
    """SIGSTOP: connections stay open, and nothing answers."""
    pid = place.servers.process("redis").pid or 0
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def redis_delayed(place: Place) -> Iterator[None]:
    """Every command reaches Redis half a second late."""
    place.redis.delay_s = DELAY_S
    yield
    place.redis.delay_s = 0.0


@contextmanager
def broker_away(place: Place) -> Iterator[None]:
    """SIGKILL; started again at the end."""
    place.servers.kill("kafka")
    yield
    place.servers.restart("kafka")


@contextmanager
def mlflow_away(place: Place) -> Iterator[None]:
    """The registry takes connections and says nothing."""
    place.mlflow.deaf = True
    yield
    place.mlflow.deaf = False


@contextmanager
def corrupt_bundle(place: Place) -> Iterator[None]:
    """A bundle that was altered after its hashes were taken becomes champion; at the end the old one is again."""
    settings = place.registry
    good = registry.champion(settings, settings.model_alias) or ""
    with tempfile.TemporaryDirectory() as folder:
        bundle = registry.download(settings, good, Path(folder))
        items = bundle / "items.json"
        items.write_bytes(items.read_bytes().replace(b'"', b"'", 1))
        bad = registry.register(settings, bundle, {}, {}, {})
    registry.promote(settings, bad, settings.model_alias)
    yield
    registry.promote(settings, good, settings.model_alias)


@contextmanager
def feed_dead(place: Place) -> Iterator[None]:
    """Whoever asks for what changed among the items is cut off."""
    place.redis.refused = FEED
    yield
    place.redis.refused = None


@contextmanager
def nothing(place: Place) -> Iterator[None]:
    """All is well: what the machine itself does to a measurement."""
    yield


Fault = Callable[[Place], AbstractContextManager[None]]

FAULTS: Mapping[str, Fault] = {
    "nothing": nothing,
    "Redis killed": redis_killed,
    "Redis paused": redis_paused,
    "Redis 500 ms late": redis_delayed,
    "broker away": broker_away,
    "MLflow away": mlflow_away,
    "corrupt bundle": corrupt_bundle,
    "item feed dead": feed_dead,
}


# The place itself


@contextmanager
def place_on(servers: Stack, bundle_dir: Path, home: Path, **overrides: object) -> Iterator[Place]:
    """Serve a bundle from running servers, champion of an MLflow server of its own.

    Args:
        home: folder for MLflow and the recommender.
        overrides: settings of the recommender.
    """
    settings = servers.settings
    with ExitStack() as running:
        url = _mlflow(servers, home / "mlflow", running)
        redis = running.enter_context(Proxy(settings.host, settings.redis_port))
        mlflow = running.enter_context(Proxy(settings.host, int(url.rpartition(":")[2])))
        direct = settings.model_copy(update={"mlflow_tracking_uri": url})
        registry.promote(direct, registry.register(direct, bundle_dir, {}, {}, {}), direct.model_alias)
        served = load_settings(
            home=home / "recommender",
            redis_url=f"redis://{settings.host}:{redis.port}/0",
            kafka_bootstrap_servers=settings.kafka_bootstrap_servers,
            mlflow_tracking_uri=f"http://{settings.host}:{mlflow.port}",
            **any_ports(),
            **({"release_poll_s": 0.5, "canary_share": 0.0} | overrides),
        )
        recommender = running.enter_context(Stack(served, ("recommender",)))
        yield Place(servers, recommender, redis, mlflow, direct)


def _mlflow(servers: Stack, folder: Path, running: ExitStack) -> str:
    folder.mkdir(parents=True)
    (port,) = free_ports(servers.settings.host, 1)
    place = ("--host", servers.settings.host, "--port", str(port), "--workers", "1")
    store = ("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder))
    process = servers.run("mlflow", [script("mlflow"), "server", *place, *store])
    running.callback(process.stop)
    url = f"http://{servers.settings.host}:{port}"
    process.wait_until(lambda: answers(f"{url}/health"), 120, lambda: False, "see the log")
    return url
