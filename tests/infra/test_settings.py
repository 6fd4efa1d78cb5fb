from __future__ import annotations

from pathlib import Path

import pytest

from infra.settings import ROOT, Settings, SettingsError, example, load_settings

URLS = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "REDIS_URL": "rediss://user:secret@redis:6380/2",
    "DATABASE_URL": "postgresql://db/freshet",
    "EVENT_STORE_URL": "file:///events",
    "MLFLOW_TRACKING_URI": "http://mlflow",
    "PREFECT_API_URL": "http://prefect/api",
    "FEAST_REGISTRY": "postgresql+psycopg://db/feast",
}


def test_an_unknown_setting_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_REDIS_PROT", "1")
    with pytest.raises(SettingsError, match=r"unknown setting FRESHET_REDIS_PROT; did you mean FRESHET_REDIS_PORT\?"):
        load_settings()


def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_INGEST_PORT", "70000")
    with pytest.raises(SettingsError, match=r"FRESHET_INGEST_PORT: .*65535.*got '70000'"):
        load_settings()


@pytest.mark.parametrize("missing", URLS)
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
    assert load_settings().feast_redis == "redis:6380,db=2,username=user,password=secret,ssl=true"


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
