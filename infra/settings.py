"""Every setting of Freshet, once: read from environment variables, typed, frozen.

Names of the ecosystem keep their own spelling (``REDIS_URL``, ``MLFLOW_TRACKING_URI``, ...);
all others start with ``FRESHET_``, and an unknown ``FRESHET_`` variable is refused, so that a
typing error cannot pass for a setting.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlparse

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra import production, redis_url
from infra.lists import listed

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "FRESHET_"
PREFECT_DRIVERS = ("postgresql+asyncpg://", "sqlite+aiosqlite:///")


class SettingsError(ValueError):
    """A setting is unknown, missing or wrong; the message names it and the fix."""


class Settings(BaseSettings):
    """The settings of one process. Durations carry their unit in the name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, populate_by_name=True, extra="forbid")

    mode: Literal["local", "production"] = Field(
        "local", description="production: every URL must be set explicitly, and `at=` is refused"
    )
    home: Path = Field(ROOT / ".local", description="folder of all local state")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level logged")

    # Where the servers are. Empty: the embedded stack's, on the ports below.
    kafka_bootstrap_servers: str = Field(
        "", validation_alias="KAFKA_BOOTSTRAP_SERVERS", description="Kafka brokers, host:port, comma separated"
    )
    redis_url: str = Field(
        "",
        repr=False,
        validation_alias="REDIS_URL",
        description="Feast's online store, redis[s]://host:port/db; a cluster or sentinels: docs/engines.md",
    )
    database_url: str = Field(
        "", repr=False, validation_alias="DATABASE_URL", description="PostgreSQL for catalogue, profiles and metadata"
    )
    event_store_url: str = Field(
        "",
        repr=False,
        validation_alias="EVENT_STORE_URL",
        description="raw events: a folder as file:///path (Parquet) or mongodb://host/database",
    )
    mlflow_tracking_uri: str = Field(
        "", repr=False, validation_alias="MLFLOW_TRACKING_URI", description="MLflow tracking server or sqlite:///file"
    )
    prefect_api_url: str = Field(
        "", validation_alias="PREFECT_API_URL", description="Prefect server, http://host:port/api"
    )
    prefect_database_url: str = Field(
        "",
        repr=False,
        description="database of the embedded Prefect server, postgresql+asyncpg://...; empty: SQLite in FRESHET_HOME",
    )
    feast_registry: str = Field(
        "",
        repr=False,
        validation_alias="FEAST_REGISTRY",
        description="Feast registry: a file, or postgresql+psycopg://... for SQL",
    )

    # How the log is reached; the other servers' URLs say this themselves (docs/security.md).
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka's security.protocol"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="Kafka's sasl.mechanism, where the protocol is SASL_..."
    )
    kafka_username: str = Field("", description="SASL user; $ConnectionString on Azure Event Hubs")
    kafka_password: str = Field("", repr=False, description="SASL password, or Event Hubs' connection string")
    kafka_ca_file: Path | None = Field(None, description="certificates that sign the brokers'; empty: the system's")
    kafka_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4", description="of impressions in the log; Event Hubs takes gzip at most"
    )
    plain_hosts: str = Field(
        "", description="hosts that production mode may reach without TLS, comma separated; .name: all below a domain"
    )

    # Where Freshet's own processes are, for each other. Empty: on this machine, on the ports below.
    ingest_url: str = Field("", description="ingest, as the page's service and `load` reach it, http[s]://host:port")
    recommender_url: str = Field("", description="the recommender, as the page's service reaches it")
    ingest_metrics_urls: str = Field(
        "",
        description="pages of metrics of ingest's processes, comma separated; a host name stands for all its "
        "addresses; empty: below FRESHET_INGEST_URL",
    )
    recommender_metrics_urls: str = Field("", description="the same of the recommender's")
    stream_metrics_urls: str = Field(
        "", description="pages of metrics of the dataflow's processes, http://host:port/metrics, comma separated"
    )
    outcomes_metrics_url: str = Field("", description="page of metrics of the dataflow of outcomes")

    # Pages of others that ours links to. Empty: the embedded stack's, where there is one.
    uis: bool = Field(True, description="make up also serves MLflow's and Feast's own pages")
    mlflow_ui_url: str = Field(
        "", description="MLflow's page, for a link; empty: the tracking server's or embedded one"
    )
    prefect_ui_url: str = Field("", description="Prefect's page, for a link; empty: that of PREFECT_API_URL's server")
    feast_ui_url: str = Field("", description="Feast's page, for a link; empty: the embedded one")
    grafana_url: str = Field("", description="Grafana, for a link; empty: none")

    # Ports. 0: any free one (only for the embedded stack).
    host: str = Field("127.0.0.1", description="address that the embedded servers listen on")
    ingest_port: int = Field(8000, ge=0, le=65535, description="REST, events in")
    recommender_port: int = Field(8001, ge=0, le=65535, description="REST, recommendations out")
    console_port: int = Field(8080, ge=0, le=65535, description="the page, and its own API")
    kafka_port: int = Field(19092, ge=0, le=65535, description="embedded broker")
    redis_port: int = Field(16379, ge=0, le=65535, description="embedded Valkey")
    postgres_port: int = Field(15432, ge=0, le=65535, description="embedded PostgreSQL")
    prefect_port: int = Field(14200, ge=0, le=65535, description="embedded Prefect server")
    mlflow_port: int = Field(15000, ge=0, le=65535, description="embedded MLflow server: its page")
    feast_ui_port: int = Field(18888, ge=0, le=65535, description="Feast's page")
    stream_metrics_port: int = Field(9101, ge=0, le=65535, description="Prometheus metrics of the dataflow")
    outcomes_metrics_port: int = Field(9121, ge=0, le=65535, description="Prometheus metrics of what lists led to")

    # Data
    dataset: str = Field(
        "ml-100k",
        validation_alias="DATASET",
        description="what is loaded: a data set folder, ml-100k, ml-1m:PATH, or synthetic:USERSxITEMS (a made-up shop)",
    )

    # Who may, and how much (docs/security.md)
    api_keys_file: Path | None = Field(
        None, description="API keys: a line each of name, roles and SHA-256 (python -m bento.keys); read anew on change"
    )
    anonymous_roles: str = Field(
        "", description="what production mode lets do without a key, comma separated: ingest, read; empty: nothing"
    )
    user_token_secret: str = Field(
        "", repr=False, description="secret of tokens for one user's browser (JWT, HS256); empty: none are taken"
    )
    admin_key: str = Field(
        "",
        repr=False,
        description="X-Api-Key that may do everything; empty: anybody in local mode, nobody in production",
    )
    api_key: str = Field(
        "", repr=False, description="X-Api-Key that `load`, the demo and `make trace` send; empty: the administrator's"
    )
    rate_limit: str = Field(
        "", description="most requests of one key, of one address without a key: 100/second, say; empty: any number"
    )
    cors_origins: str = Field(
        "", description="origins whose pages may call the services from a browser, comma separated; *: all"
    )
    max_header_bytes: int = Field(16_384, gt=0, description="largest head of a request; above it 431")
    slow_client_s: float = Field(10.0, gt=0, description="longest wait for a request's head, and for its body")

    # Traces
    trace_share: float = Field(
        0.01, ge=0, le=1, description="share of requests and events that are traced; traceparent's flag goes first"
    )
    otlp_endpoint: str = Field(
        "", description="OpenTelemetry collector, http[s]://host:4318, that traces go to; empty: the log"
    )

    # Ingest
    max_body_bytes: int = Field(1_048_576, gt=0, description="largest request body taken; above it 413")
    max_batch_events: int = Field(1_000, gt=0, description="most events in one POST /events")
    broker_timeout_s: float = Field(5.0, gt=0, description="longest wait for the broker's ack; after it 503")

    # Stream
    topic_events: str = Field("events", description="topic of user events, keyed by user")
    topic_catalog: str = Field("catalog", description="topic of item upserts, keyed by item")
    topic_profiles: str = Field("profiles", description="topic of user profile upserts, keyed by user")
    topic_dead: str = Field("events.dead", description="topic of messages that could not be used, with the reason")
    topic_impressions: str = Field("impressions", description="topic of what was shown, with feature values")
    topic_partitions: int = Field(4, gt=0, description="partitions of each topic when it is created")
    fetch_wait_max_ms: int = Field(25, gt=0, description="librdkafka's fetch.wait.max.ms: most of the freshness")
    stream_processes: int = Field(
        1, gt=0, le=16, description="processes of the dataflow; each has its metrics on the port after the one before"
    )
    snapshot_interval_s: float = Field(
        30.0, gt=0, description="how often the dataflow saves its states; what came later is read again after a crash"
    )
    lateness_s: float = Field(
        86_400.0, gt=0, description="how far behind a user's newest event another may lie; also how long ids are kept"
    )

    # Features and serving
    feature_ttl_s: float = Field(365 * 86_400.0, gt=0, description="a row older than this counts as missing")
    candidates: int = Field(200, gt=0, description="candidates that reach the ranker")
    max_k: int = Field(500, gt=0, description="largest k of one request")
    seen_days: float = Field(0.0, ge=0, description="how long what a user has met is not shown to him; 0: for ever")
    seen_event_types: str = Field(
        "view,click,add_to_cart,remove_from_cart,purchase,rate",
        description="event types after which an item counts as met, comma separated; empty: all is shown again",
    )
    max_per_category: int = Field(
        0, ge=0, description="most items of one category in an answer that does not say; 0: any number"
    )
    explore_share: float = Field(
        0.05, ge=0, le=0.1, description="share of an answer's places that is given to new items; 0: none"
    )
    explore_max_events: int = Field(10, ge=0, description="an item of more events than this is no longer new")
    page_items: int = Field(100, ge=0, description="length of the list that later pages go on with; 0: no pages")
    page_ttl_s: float = Field(600.0, gt=0, description="how long a list can be gone on with")
    item_refresh_s: float = Field(0.25, gt=0, description="how often changed items are read into the item table")
    max_items: int = Field(
        2_000_000, gt=0, description="most items that several workers can share; room for fewer takes no memory"
    )
    release_poll_s: float = Field(5.0, gt=0, description="how often the champion alias is looked at")
    dependency_timeout_s: float = Field(
        0.25,
        gt=0,
        description="longest wait for Redis or Pinecone in a request; a fifth for Redis with last known features",
    )
    request_timeout_ms: int = Field(
        1_000,
        gt=0,
        description="how long a request may take unless it says timeout_ms; short of time, it is answered by less",
    )
    last_known_users: int = Field(
        100_000, ge=0, description="users whose features a process remembers, for when Redis is away; 0: none"
    )
    last_known_mb: int = Field(
        256, gt=0, description="memory that they may take in a process; 1 to 6 KB a user, as a rule"
    )
    last_known_s: float = Field(
        3_600.0, gt=0, description="how long it remembers them after it has read them last; erased users too"
    )
    answer_cache: int = Field(1_000, ge=0, description="answers kept for the same question of the same user; 0: none")
    answer_cache_s: float = Field(
        1.0, gt=0, description="how long such an answer is given while the user does nothing and the model stays"
    )
    max_in_flight: int = Field(
        32, gt=0, description="most requests that one recommender process works on at once; more are answered by 429"
    )
    max_queue_ms: float = Field(
        25.0, gt=0, description="when the recommender's event loop stays behind by more, fewer requests are taken in"
    )
    drain_s: float = Field(
        2.0, ge=0, description="how long a stopping recommender goes on answering, not ready, so that clients can leave"
    )
    recommender_workers: int = Field(1, gt=0, le=64, description="processes of the recommender; they share one port")
    vector_index: Literal["faiss", "pinecone"] = Field(
        "faiss", description="where item vectors are searched: in memory, or in a Pinecone index that training fills"
    )
    pinecone_api_key: str = Field(
        "", validation_alias="PINECONE_API_KEY", repr=False, description="key of the Pinecone project"
    )
    pinecone_host: str = Field(
        "", description="host of the Pinecone index (dense, dotproduct, of the retriever's dimension + 1)"
    )
    pinecone_batch: int = Field(200, gt=0, le=1_000, description="vectors in one upsert to Pinecone")
    model_name: str = Field("freshet", description="registered model in MLflow")
    model_alias: str = Field("champion", description="alias that the recommender follows")

    # Release
    canary_share: float = Field(
        0.05, ge=0, le=0.5, description="share of users whom a new champion answers at first; 0: all at once"
    )
    canary_s: float = Field(10.0, ge=0, description="how long a new champion answers only these users")
    canary_slow_ratio: float = Field(
        3.0, gt=1, description="a new champion is rolled back when its median request takes so many times the old one's"
    )

    # Experiments
    experiments_poll_s: float = Field(2.0, gt=0, description="how often the recommender looks for experiments")
    shadow_share: float = Field(
        0.1, ge=0, le=1, description="share of requests that shadow variants score too, after the answer"
    )
    attribution_s: float = Field(
        1_800.0, gt=0, description="how long after a list was shown an act counts as its outcome"
    )
    outcomes_every_s: float = Field(5.0, gt=0, description="how often results of experiments are computed anew")
    served_days: float = Field(30.0, gt=0, description="how long served rows and outcomes are kept")

    # Gate
    gate_margin: float = Field(
        0.0,
        description="relative gain in NDCG@10 that the lower end of the 95 % interval must exceed; may be negative",
    )
    gate_segments: str = Field(
        "warm,cold", description="segments that must not get worse, comma separated: all, warm, cold, category:NAME"
    )
    gate_segment_margin: float = Field(
        0.05, ge=0, description="how much worse, relatively, a guarded segment may get when that may be chance"
    )
    gate_latency_ratio: float = Field(
        2.0, gt=0, description="most that the new model's median request may take, as a multiple of the champion's"
    )
    gate_max_bundle_mb: float = Field(1_024.0, gt=0, description="largest bundle, MB")
    gate_min_distinct: int = Field(
        20, gt=0, description="fewest different items in the answers to the gate's own requests (fewer: what there is)"
    )

    # Drift
    drift_hours: float = Field(24.0, gt=0, description="how far back the drift flow looks at served rows")
    drift_share: float = Field(
        0.3, gt=0, le=1, description="share of features that must have drifted for a training to start"
    )
    drift_min_rows: int = Field(500, gt=0, description="fewest served rows that drift is judged on")
    quality_max_null_share: float = Field(
        0.05, ge=0, le=1, description="largest share of missing values in a feature of served rows before an alert"
    )
    quality_silence_s: float = Field(
        3_600.0, gt=0, description="longest time without any served row or event before an alert"
    )
    train_on_served: bool = Field(
        False, description="training takes the feature values that were served, where it has them, beside joined ones"
    )

    # Bundles and their training
    bundle_dir: Path | None = Field(None, description="serve this bundle instead of the registry's (for built bentos)")
    retriever_epochs: int = Field(
        8, gt=0, description="passes of the retriever over the training events; half as many of more than 300,000"
    )
    train_threads: int = Field(1, gt=0, description="threads of PyTorch and LightGBM while training")
    seed: int = Field(7, description="seed of everything random in training")

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_variables(cls, values: dict[str, object]) -> dict[str, object]:
        known = cls.variables()
        for name in os.environ:
            if name.startswith(PREFIX) and name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else "; see .env.example"
                raise SettingsError(f"unknown setting {name}{hint}")
        return values

    @model_validator(mode="after")
    def _fill(self) -> Settings:
        fill = object.__setattr__
        fill(self, "home", self.home.expanduser().absolute())
        defaults = self.embedded_urls()
        for field, value in defaults.items():
            if getattr(self, field):
                continue
            if self.mode == "production":
                raise SettingsError(f"{variable(field)} is not set; in production mode every URL must be")
            fill(self, field, value)
        if self.prefect_database_url and not self.prefect_database_url.startswith(PREFECT_DRIVERS):
            raise SettingsError(
                f"{variable('prefect_database_url')}: Prefect takes URLs that begin with {' or '.join(PREFECT_DRIVERS)}"
            )
        if self.vector_index == "pinecone":
            for field in ("pinecone_api_key", "pinecone_host"):
                if not getattr(self, field):
                    raise SettingsError(f"{variable(field)} is not set; FRESHET_VECTOR_INDEX=pinecone needs it")
        if self.kafka_security_protocol.startswith("SASL_"):
            for field in ("kafka_username", "kafka_password"):
                if not getattr(self, field):
                    raise SettingsError(
                        f"{variable(field)} is not set; FRESHET_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} "
                        "needs it"
                    )
        if self.mode == "production" and (refusals := production.refusals(self, variable)):
            raise SettingsError("; ".join(refusals))
        return self

    def service_url(self, service: Literal["ingest", "recommender"]) -> str:
        """Where another process finds a service, without a slash at the end."""
        port: int = getattr(self, f"{service}_port")
        told: str = getattr(self, f"{service}_url")
        return (told or f"http://{self.host}:{port}").rstrip("/")

    def metrics_urls(self) -> dict[str, list[str]]:
        """Part of the system -> the pages of metrics of its processes."""
        first = self.stream_metrics_port
        stream = [f"http://{self.host}:{port}/metrics" for port in range(first, first + self.stream_processes)]
        outcomes = self.outcomes_metrics_url or f"http://{self.host}:{self.outcomes_metrics_port}/metrics"
        return {
            "ingest": listed(self.ingest_metrics_urls) or [f"{self.service_url('ingest')}/metrics"],
            "recommender": listed(self.recommender_metrics_urls) or [f"{self.service_url('recommender')}/metrics"],
            "stream": listed(self.stream_metrics_urls) or stream,
            "outcomes": [outcomes],
        }

    def secrets(self) -> frozenset[str]:
        """What must be read nowhere: keys, tokens, and the passwords of URLs, each as it may be written."""
        hidden = {name: getattr(self, name) for name, field in type(self).model_fields.items() if not field.repr}
        # By the setting, not by its look: Event Hubs' connection string has :// in it, and a key may begin with /.
        urls = hidden.keys() & {*self.embedded_urls(), "prefect_database_url"}
        found = {urlparse(value).password or "" if name in urls else value for name, value in hidden.items()}
        return frozenset(word for secret in found for word in (secret, unquote(secret)) if word)

    def embedded_urls(self) -> dict[str, str]:
        """Settings field -> URL of the embedded stack's server, on the ports of these settings."""
        return {
            "kafka_bootstrap_servers": f"{self.host}:{self.kafka_port}",
            "redis_url": f"redis://{self.host}:{self.redis_port}/0",
            "database_url": f"postgresql://postgres@{self.host}:{self.postgres_port}/postgres",
            "event_store_url": f"file://{self.home / 'events'}",
            "mlflow_tracking_uri": f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}",
            "prefect_api_url": f"http://{self.host}:{self.prefect_port}/api",
            "feast_registry": str(self.home / "feast" / "registry.db"),
        }

    def is_embedded(self, field: str) -> bool:
        """Whether this URL is the embedded stack's server."""
        return bool(getattr(self, field) == self.embedded_urls()[field])

    def with_ports(self, **ports: int) -> Settings:
        """The same settings with other ports, and the embedded servers' URLs following them."""
        values = {field: getattr(self, field) for field in type(self).model_fields} | ports
        values |= {field: "" for field in self.embedded_urls() if self.is_embedded(field)}
        # by variable name where there is one, so that the environment cannot win
        aliased = {field: info.validation_alias for field, info in type(self).model_fields.items()}
        return type(self)(**{str(aliased[field] or field): value for field, value in values.items()})

    @property
    def own_key(self) -> str:
        """The X-Api-Key that `load`, the demo and `make trace` show to the services; empty: none."""
        return self.api_key or self.admin_key

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Environment variable -> field, for every setting."""
        return {variable(field): field for field in cls.model_fields}

    @cached_property
    def feast_redis(self) -> str:
        """``redis_url`` in the spelling of Feast's connection string (host:port,db=0,password=...,ssl=true)."""
        return redis_url.parse(self.redis_url).feast()

    @property
    def offline_dir(self) -> Path:
        """Folder of the offline store's Parquet files."""
        return self.home / "offline"

    def environment(self) -> dict[str, str]:
        """The variables that bring another process to the same settings, Feast's included."""
        values = {
            variable(name): str(value)
            for name in type(self).model_fields
            if (value := getattr(self, name)) not in (None, type(self).model_fields[name].default)
        }
        registry_type = "sql" if "://" in self.feast_registry else "file"
        feast = {"FEAST_REGISTRY": self.feast_registry, "FEAST_REGISTRY_TYPE": registry_type}
        redis = redis_url.parse(self.redis_url)
        online = {"FEAST_REDIS": redis.feast(), "FEAST_REDIS_TYPE": redis.kind, "FEAST_REDIS_SERVICE": redis.service}
        return values | feast | online


def secret_variables() -> frozenset[str]:
    """The environment variables whose values are, or may hold, a secret."""
    return frozenset(variable(name) for name, field in Settings.model_fields.items() if not field.repr)


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias) if alias else f"{PREFIX}{field.upper()}"


def any_ports() -> dict[str, int]:
    """Every port setting as 0, any free one: for a stack that must not meet another."""
    return {name: 0 for name in Settings.model_fields if name.endswith("_port")}


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; keyword arguments win. Raises SettingsError with the setting's name."""
    from pydantic import ValidationError

    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_readable(error.errors(include_url=False))) from None


def _readable(errors: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for e in errors:
        name = ".".join(map(str, e["loc"])) or "settings"
        name = variable(name) if name in Settings.model_fields else name
        told = e["loc"] and name not in secret_variables()
        lines.append(f"{name}: {e['msg']}" + (f" (got {e['input']!r})" if told else ""))
    return "; ".join(lines)


def example() -> str:
    """The text of ``.env.example``: every setting with its description and default, commented out."""
    lines = [
        "# Every setting of Freshet with its default. Written by `python -m infra.settings`; a test compares them.",
        "",
    ]
    for name, field in Settings.variables().items():
        info = Settings.model_fields[field]
        default = ".local" if field == "home" else "" if info.default is None else info.default
        lines += [f"# {info.description}", f"# {name}={default}", ""]
    return "\n".join(lines[:-1]) + "\n"


if __name__ == "__main__":
    print(example(), end="")
