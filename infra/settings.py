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
from urllib.parse import urlparse

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "FRESHET_"


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
    redis_url: str = Field("", validation_alias="REDIS_URL", description="Feast's online store, redis://host:port/db")
    database_url: str = Field(
        "", validation_alias="DATABASE_URL", description="PostgreSQL for catalogue, profiles and metadata"
    )
    event_store_url: str = Field(
        "",
        validation_alias="EVENT_STORE_URL",
        description="raw events: a folder as file:///path (Parquet) or mongodb://host/database",
    )
    mlflow_tracking_uri: str = Field(
        "", validation_alias="MLFLOW_TRACKING_URI", description="MLflow tracking server or sqlite:///file"
    )
    prefect_api_url: str = Field(
        "", validation_alias="PREFECT_API_URL", description="Prefect server, http://host:port/api"
    )
    feast_registry: str = Field(
        "", validation_alias="FEAST_REGISTRY", description="Feast registry: a file, or postgresql+psycopg://... for SQL"
    )

    # Ports. 0: any free one (only for the embedded stack).
    host: str = Field("127.0.0.1", description="address that the embedded servers listen on")
    ingest_port: int = Field(8000, ge=0, le=65535, description="REST, events in")
    recommender_port: int = Field(8001, ge=0, le=65535, description="REST, recommendations out")
    kafka_port: int = Field(19092, ge=0, le=65535, description="embedded broker")
    redis_port: int = Field(16379, ge=0, le=65535, description="embedded Valkey")
    postgres_port: int = Field(15432, ge=0, le=65535, description="embedded PostgreSQL")
    prefect_port: int = Field(14200, ge=0, le=65535, description="embedded Prefect server")
    stream_metrics_port: int = Field(9101, ge=0, le=65535, description="Prometheus metrics of the dataflow")

    dataset: str = Field(
        "ml-100k", validation_alias="DATASET", description="what is loaded: a data set folder, ml-100k, or ml-1m:PATH"
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
    item_refresh_s: float = Field(0.5, gt=0, description="how often changed items are read into the item table")
    release_poll_s: float = Field(5.0, gt=0, description="how often the champion alias is looked at")
    dependency_timeout_s: float = Field(0.25, gt=0, description="longest wait for Redis on the request path")
    model_name: str = Field("freshet", description="registered model in MLflow")
    model_alias: str = Field("champion", description="alias that the recommender follows")
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
        return self

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

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Environment variable -> field, for every setting."""
        return {variable(field): field for field in cls.model_fields}

    @cached_property
    def feast_redis(self) -> str:
        """``redis_url`` in the spelling of Feast's connection string (host:port,db=0,password=...,ssl=true)."""
        url = urlparse(self.redis_url)
        parts = [f"{url.hostname}:{url.port or 6379}", f"db={url.path.strip('/') or 0}"]
        if url.username:
            parts.append(f"username={url.username}")
        if url.password:
            parts.append(f"password={url.password}")
        if url.scheme == "rediss":
            parts.append("ssl=true")
        return ",".join(parts)

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
        return values | feast | {"FEAST_REDIS": self.feast_redis}


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
        lines.append(f"{name}: {e['msg']}" + (f" (got {e['input']!r})" if e["loc"] else ""))
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
