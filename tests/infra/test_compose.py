"""infra/compose.yml as Docker Compose itself reads it, held against settings, images and the files beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings import ROOT, Settings, load_settings
from infra.topics import topic_names

FILE = ROOT / "infra" / "compose.yml"
BESIDE = ROOT / "infra" / "compose"
OPEN = {"FRESHET_MODE", "FRESHET_OTLP_ENDPOINT"}
"""What else may be said from outside."""
SECRETS = ("FRESHET_ADMIN_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "MONGO_PASSWORD", "GRAFANA_PASSWORD")
OURS = {"stream", "outcomes", "eraser", "topics", "ingest", "recommender", "worker", "console", "feast", "deployments"}
PARTS = {
    "ingest": "ingest_port",
    "recommender": "recommender_port",
    "stream": "stream_metrics_port",
    "outcomes": "outcomes_metrics_port",
    "console": "console_port",
}
FEAST = {"FEAST_REDIS", "FEAST_REGISTRY_TYPE"}
"""Which settings.environment() makes for feature_store.yaml."""


def compose(*arguments: str, secrets: dict[str, str]) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("docker-compose")
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp")} | secrets
    command = [tool, "--file", FILE, "--env-file", os.devnull, "--profile", "*", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@cache
def project() -> dict[str, Any]:
    """The file with everything filled in and merged."""
    done = compose("config", "--format", "json", secrets=dict.fromkeys(SECRETS, 6 * "0123abcd"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def services() -> dict[str, Any]:
    found: dict[str, Any] = project()["services"]
    return found


@pytest.mark.parametrize("missing", SECRETS)
def test_without_a_secret_nothing_starts(missing: str) -> None:
    others = {name: "0123abcd" for name in SECRETS if name != missing}
    done = compose("config", "--quiet", secrets=others)
    assert done.returncode != 0
    assert missing in done.stderr
    empty = compose("config", "--quiet", secrets=others | {missing: ""})
    assert empty.returncode != 0


def test_no_password_stands_in_the_file() -> None:
    for name, value in re.findall(
        r"^\s*(\w*(?:PASSWORD|KEY|SECRET|TOKEN)\w*):\s*(\S+)", FILE.read_text(), re.MULTILINE
    ):
        assert value.startswith("${") and ":?" in value, name
    assert not re.search(r"://[\w]+:(?!\$\{\w+:\?)[^@\s]+@", FILE.read_text()), "a URL with a password of its own"
    assert set(re.findall(r"\$\{(\w+)", FILE.read_text())) == set(SECRETS) | OPEN


def test_secrets_are_made_once(tmp_path: Path) -> None:
    (tmp_path / "infra" / "compose").mkdir(parents=True)
    script = shutil.copy(BESIDE / "secrets.sh", tmp_path / "infra" / "compose")
    made = tmp_path / "infra" / ".env"
    subprocess.run(["/bin/sh", script], check=True)
    first = made.read_text()
    assert [line.partition("=")[0] for line in first.splitlines()] == list(SECRETS)
    assert len({line.partition("=")[2] for line in first.splitlines()}) == len(SECRETS)
    assert all(re.fullmatch(r"\w+=[0-9a-f]{48}", line) for line in first.splitlines())
    assert made.stat().st_mode & 0o077 == 0
    subprocess.run(["/bin/sh", script], check=True, capture_output=True)
    assert made.read_text() == first


@pytest.mark.parametrize("mode", ["local", "production"])
@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting_and_holds_what_it_may(
    name: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables: dict[str, str] = services()[name]["environment"]
    others = {each for each in variables if each.startswith("PREFECT_WORKER_")} | FEAST
    assert set(variables) - others <= set(Settings.variables())
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert variables["FRESHET_MODE"] == "local"
    monkeypatch.setenv("FRESHET_MODE", mode)
    settings = load_settings()
    assert not any(settings.is_embedded(field) for field in settings.embedded_urls())
    assert {each: settings.environment()[each] for each in FEAST} == {each: variables[each] for each in FEAST}
    assert topic_names(settings)


def test_ours_can_write_nowhere_but_to_tmp_and_volumes() -> None:
    for name in (*OURS, "page", "mlflow", "prefect"):
        service = services()[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert any(each.startswith("/tmp") for each in service["tmpfs"])


def test_every_image_is_ours_or_pinned() -> None:
    built = {service["image"] for service in services().values() if "build" in service}
    for name, service in services().items():
        image = service["image"]
        assert image in built or re.search(r":v?\d+\.\d+(\.\d+)?(-alpine)?$", image), f"{name}: {image}"
    for service in services().values():
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).exists()
            assert Path(service["build"]["context"]) == ROOT


def test_each_starts_when_what_it_needs_is_healthy() -> None:
    for name, service in services().items():
        for needed, how in service.get("depends_on", {}).items():
            target = services()[needed]
            if how["condition"] == "service_completed_successfully":
                assert target["restart"] == "no", f"{name} waits for {needed} to end"
            else:
                assert how["condition"] == "service_healthy"
                assert _tells_how_it_is(target), f"{name} waits for {needed}, which never tells"
            assert set(service["profiles"]) <= set(target["profiles"]), f"{needed} may be missing"


def _tells_how_it_is(service: dict[str, Any]) -> bool:
    if (own := service.get("healthcheck")) is not None:
        return not own.get("disable", False)
    image = service["image"].removeprefix("freshet/")
    recipe = ROOT / "infra" / "docker" / f"{image}.Dockerfile"
    own_command = service.get("command") or service.get("entrypoint")
    return recipe.exists() and "HEALTHCHECK" in recipe.read_text() and not own_command


def test_profiles_are_the_two_that_are_documented() -> None:
    assert {profile for service in services().values() for profile in service["profiles"]} == {"core", "observability"}


def test_ports_are_of_this_machine_alone_and_do_not_clash() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    numbers = [port["published"] for port in published]
    assert len(numbers) == len(set(numbers))
    for part in ("ingest", "recommender"):
        (port,) = services()[part]["ports"]
        assert port["target"] == int(port["published"]) == Settings.model_fields[PARTS[part]].default


def test_what_is_mounted_is_there() -> None:
    for name, service in services().items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), f"{name}: {volume['source']}"
                assert volume["read_only"]
            else:
                assert volume["source"] in project()["volumes"]


def test_prometheus_asks_every_part_where_it_answers() -> None:
    config = yaml.safe_load((BESIDE / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    for part, port in PARTS.items():
        (target,) = jobs[part]["static_configs"][0]["targets"]
        assert target == f"{part}:{Settings.model_fields[port].default}"
    assert jobs["console"]["metrics_path"] == "/api/console/metrics"
    assert all("metrics_path" not in jobs[part] for part in PARTS if part != "console")
    for job in jobs.values():
        for target in job["static_configs"][0]["targets"]:
            assert target.partition(":")[0] in {*services(), "127.0.0.1"}


def test_the_parts_find_each_other() -> None:
    for name in OURS:
        variables = services()[name]["environment"]
        for variable in ("FRESHET_INGEST_URL", "FRESHET_RECOMMENDER_URL", "FRESHET_OUTCOMES_METRICS_URL"):
            part = variable.removeprefix("FRESHET_").partition("_")[0].lower()
            assert variables[variable].startswith(f"http://{part}:{Settings.model_fields[PARTS[part]].default}")
        stream = f"http://stream:{Settings.model_fields['stream_metrics_port'].default}/metrics"
        assert variables["FRESHET_STREAM_METRICS_URLS"] == stream
        collector = variables["FRESHET_OTLP_ENDPOINT"].removeprefix("http://").partition(":")
        assert collector[0] in services() and collector[2] == "4318"


def test_promtool_takes_the_configuration_with_the_rules(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed; `make tools` installs it"
    rules = ROOT / "infra" / "observability" / "rules"
    text = (BESIDE / "prometheus.yml").read_text()
    assert "/etc/prometheus/rules/" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/rules/", f"{rules}/"))
    done = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{rules}/" in done.stdout


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    (source,) = yaml.safe_load((BESIDE / "grafana" / "datasources.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((BESIDE / "grafana" / "dashboards.yml").read_text())["providers"]
    targets = {volume["target"] for volume in services()["grafana"]["volumes"]}
    assert provider["options"]["path"] in targets


def test_the_collectors_pipelines_name_what_there_is() -> None:
    config = yaml.safe_load((BESIDE / "otel-collector.yml").read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(config[kind])
    ports = {int(each["endpoint"].rpartition(":")[2]) for each in config["receivers"]["otlp"]["protocols"].values()}
    assert {port["target"] for port in services()["otel-collector"]["ports"]} <= ports
