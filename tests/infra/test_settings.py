from __future__ import annotations

import re
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka import KafkaProducer

from infra.kafka import kafka_python, librdkafka
from infra.settings import ROOT, Settings, SettingsError, example, load_settings

URLS = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9093,kafka:9094",
    "REDIS_URL": "rediss://user:se%40cret-word@redis:6380/2?ssl_ca_certs=/ca.pem",
    "DATABASE_URL": "postgresql://db/freshet?sslmode=verify-full",
    "EVENT_STORE_URL": "file:///events",
    "MLFLOW_TRACKING_URI": "https://mlflow",
    "PREFECT_API_URL": "https://prefect/api",
    "FEAST_REGISTRY": "postgresql+psycopg://db/feast?sslmode=require",
    "FRESHET_KAFKA_SECURITY_PROTOCOL": "SSL",
}


def test_an_unknown_setting_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_REDIS_PROT", "1")
    with pytest.raises(SettingsError, match=r"unknown setting FRESHET_REDIS_PROT; did you mean FRESHET_REDIS_PORT\?"):
        load_settings()


def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_INGEST_PORT", "70000")
    with pytest.raises(SettingsError, match=r"FRESHET_INGEST_PORT: .*65535.*got '70000'"):
        load_settings()


@pytest.mark.parametrize("missing", [name for name in URLS if "PROTOCOL" not in name])
def test_production_wants_every_url(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("FRESHET_MODE", "production")
    for name, value in URLS.items():
        monkeypatch.setenv(name, value)
    load_settings()
    monkeypatch.delenv(missing)
    with pytest.raises(SettingsError, match=missing):
        load_settings()


def test_feast_gets_the_redis_url_in_its_own_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", URLS["REDIS_URL"])
    assert (
        load_settings().feast_redis
        == "redis:6380,db=2,username=user,password=se@cret-word,ssl=true,ssl_ca_certs=/ca.pem"
    )


def test_urls_of_embedded_servers_follow_their_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:1/0")
    monkeypatch.setenv("FRESHET_MAX_K", "9")
    before = load_settings(home=tmp_path, kafka_port=0)
    after = before.with_ports(kafka_port=4001, redis_port=4002)
    assert after.kafka_bootstrap_servers == "127.0.0.1:4001"
    assert after.redis_url == "redis://elsewhere:1/0"
    assert (after.is_embedded("kafka_bootstrap_servers"), after.is_embedded("redis_url")) == (True, False)
    assert (after.max_k, after.home) == (9, tmp_path)


def test_a_child_with_this_environment_has_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = load_settings(home=tmp_path, redis_port=4002, seed=99, topic_events="other", bundle_dir=tmp_path / "b")
    for name, value in parent.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == parent


def test_prefects_database_has_a_driver_that_prefect_takes() -> None:
    with pytest.raises(SettingsError, match=r"FRESHET_PREFECT_DATABASE_URL: .* postgresql\+asyncpg://"):
        load_settings(prefect_database_url="postgresql://db/prefect")


def test_env_example_lists_every_setting_as_it_is() -> None:
    text = (ROOT / ".env.example").read_text()
    assert text == example(), "write it again: python -m infra.settings > .env.example"
    assert all(f"# {name}=" in text for name in Settings.variables())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REDIS_URL", "redis://redis:6379/0", "REDIS_URL goes to redis without TLS; use rediss://"),
        ("REDIS_URL", "redis+cluster://localhost:1,far:2", "REDIS_URL goes to far without TLS; use rediss+cluster://"),
        ("DATABASE_URL", "postgresql://db/freshet", "DATABASE_URL goes to db without TLS; add sslmode"),
        ("DATABASE_URL", "postgresql://db/freshet?sslmode=prefer", "DATABASE_URL goes to db without TLS"),
        ("FEAST_REGISTRY", "postgresql+psycopg://db/feast", "FEAST_REGISTRY goes to db without TLS"),
        ("EVENT_STORE_URL", "mongodb://mongo/events", "EVENT_STORE_URL goes to mongo without TLS; add tls=true"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "MLFLOW_TRACKING_URI goes to mlflow without TLS; use https://"),
        ("FRESHET_OTLP_ENDPOINT", "http://otel:4318", "FRESHET_OTLP_ENDPOINT goes to otel without TLS"),
        ("FRESHET_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "KAFKA_BOOTSTRAP_SERVERS goes to kafka without TLS"),
        ("DATABASE_URL", "postgresql://me:postgres@db/f?sslmode=require", "DATABASE_URL: its password is one that any"),
        ("DATABASE_URL", "postgresql://longname:longname@db/f?sslmode=require", "DATABASE_URL: its password is one"),
        ("REDIS_URL", "rediss://:short@redis:6380/0", "REDIS_URL: its password"),
        ("FRESHET_ADMIN_KEY", "open-sesame", "FRESHET_ADMIN_KEY is shorter than 20 characters"),
        ("FRESHET_USER_TOKEN_SECRET", "x" * 31, "FRESHET_USER_TOKEN_SECRET is shorter than 32 characters"),
        ("FRESHET_CORS_ORIGINS", "*", "FRESHET_CORS_ORIGINS lets every page of the web in"),
    ],
)
def test_production_refuses_plain_text_and_secrets_that_are_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("FRESHET_MODE", "production")
    for known, url in URLS.items():
        monkeypatch.setenv(known, url)
    load_settings()
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(said)) as refused:
        load_settings()
    assert "short" not in str(refused.value).replace("shorter", "")
    monkeypatch.setenv("FRESHET_MODE", "local")
    for known in URLS:
        monkeypatch.delenv(known)
    monkeypatch.setenv(name, value)
    load_settings()  # on one's own machine all of this is allowed


@pytest.mark.parametrize("hosts", ["mlflow.freshet.svc, x", ".svc", ".freshet.svc"])
def test_plain_text_is_for_hosts_that_are_named(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    monkeypatch.setenv("FRESHET_MODE", "production")
    for known, url in (URLS | {"MLFLOW_TRACKING_URI": "http://mlflow.freshet.svc:5000"}).items():
        monkeypatch.setenv(known, url)
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_URI goes to mlflow"):
        load_settings(plain_hosts="freshet.svc,mlflow")
    load_settings(plain_hosts=hosts)


def test_the_log_is_reached_as_its_settings_say(tmp_path: Path) -> None:
    plain = load_settings(kafka_bootstrap_servers="a:1,b:2")
    assert librdkafka(plain) == {"bootstrap.servers": "a:1,b:2"}
    assert kafka_python(plain) == {"bootstrap_servers": ["a:1", "b:2"]}
    asked = {"kafka_security_protocol": "SASL_SSL", "kafka_username": "$ConnectionString", "kafka_password": "secret"}
    hub = load_settings(kafka_bootstrap_servers="hub:9093", kafka_ca_file=tmp_path / "ca.pem", **asked)
    said = librdkafka(hub)
    assert (said["security.protocol"], said["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    assert (said["sasl.username"], said["sasl.password"]) == ("$ConnectionString", "secret")
    assert said["ssl.ca.location"] == str(tmp_path / "ca.pem")
    Producer(said | {"ssl.ca.location": ""})  # librdkafka knows every one of these names
    assert set(kafka_python(hub)) <= set(KafkaProducer.DEFAULT_CONFIG)
    with pytest.raises(SettingsError, match="FRESHET_KAFKA_PASSWORD is not set"):
        load_settings(**asked | {"kafka_password": ""})


def test_services_are_where_they_are_said_to_be() -> None:
    here = load_settings(ingest_port=1, stream_metrics_port=7, stream_processes=2)
    assert here.service_url("ingest") == "http://127.0.0.1:1"
    assert here.metrics_urls()["stream"] == ["http://127.0.0.1:7/metrics", "http://127.0.0.1:8/metrics"]
    there = load_settings(
        ingest_url="https://in.example/", stream_metrics_urls="http://a:1/metrics, http://b:1/metrics"
    )
    assert there.service_url("ingest") == "https://in.example"
    assert there.metrics_urls()["ingest"] == ["https://in.example/metrics"]
    assert there.metrics_urls()["stream"] == ["http://a:1/metrics", "http://b:1/metrics"]
    pods = "http://in-pods:1/metrics"
    assert load_settings(ingest_url="https://in.example", ingest_metrics_urls=pods).metrics_urls()["ingest"] == [pods]
