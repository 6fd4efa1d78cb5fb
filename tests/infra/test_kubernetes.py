"""infra/k8s without a cluster: kustomize builds each overlay, Kubernetes' own schemas and our own rules judge it."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from deploy_cluster import (
    CLIENTS,
    K8S,
    NAME,
    STRANGERS,
    WORKLOADS,
    Object,
    built,
    containers,
    environment,
    from_vault,
    labels,
    may_reach,
    named,
    of_kind,
    pod,
    port_number,
    printed,
    selects,
)

from infra.kafka import librdkafka
from infra.servers import POOL
from infra.settings import ROOT, Settings, SettingsError, load_settings

OVERLAYS = ("local", "azure")
VERSION = "1.34"
WITHOUT_SCHEMA = {"ServiceMonitor", "ExternalSecret", "SecretStore", "Gateway", "HTTPRoute"}
"""Of operators: no validator carries their schemas. What they refer to is looked at below."""
FEAST = {"FEAST_REDIS", "FEAST_REGISTRY_TYPE"}
"""Which settings.environment() makes for feature_store.yaml."""
OURS = {"ingest", "recommender", "recommender-canary", "stream", "outcomes", "eraser", "console", "worker", "page"}
THEIRS = {"mlflow", "prefect"}
PORTS = {
    "ingest": "ingest_port",
    "recommender": "recommender_port",
    "recommender-canary": "recommender_port",
    "stream": "stream_metrics_port",
    "outcomes": "outcomes_metrics_port",
    "console": "console_port",
    "page": "console_port",
}
pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def workload(overlay: str, name: str) -> Object:
    (found,) = [each for each in of_kind(overlay, *WORKLOADS) if each["metadata"]["name"] == name]
    return found


def mine(overlay: str) -> list[Object]:
    """Workloads that come from the base."""
    return [each for each in of_kind(overlay, *WORKLOADS) if each["metadata"]["name"] in OURS | THEIRS | {"setup"}]


def test_every_object_fits_the_schemas_of_kubernetes(overlay: str) -> None:
    for each in built(overlay):
        if each["kind"] not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(each, VERSION, strict=True)


def test_all_parts_are_there_in_one_namespace(overlay: str) -> None:
    assert {each["metadata"]["name"] for each in mine(overlay)} == OURS | THEIRS | {"setup"}
    scoped = [each for each in built(overlay) if each["kind"] not in ("Namespace", "StorageClass")]
    assert {each["metadata"]["namespace"] for each in scoped} == {"freshet"}


def test_no_pod_may_do_more_than_it_must(overlay: str) -> None:
    for each in of_kind(overlay, *WORKLOADS):
        spec = pod(each)["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(each):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
    for each in mine(overlay):
        for container in containers(each):
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_accounts_exist_and_have_no_rights(overlay: str) -> None:
    accounts = {each["metadata"]["name"]: each for each in of_kind(overlay, "ServiceAccount")}
    assert {pod(each)["spec"]["serviceAccountName"] for each in mine(overlay)} <= set(accounts)
    assert all(each["automountServiceAccountToken"] is False for each in accounts.values())
    assert not of_kind(overlay, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


def test_images_are_pinned(overlay: str) -> None:
    recipes = {path.name.removesuffix(".Dockerfile") for path in (ROOT / "infra" / "docker").glob("*.Dockerfile")}
    for each in of_kind(overlay, *WORKLOADS):
        for container in containers(each):
            name, _, tag = container["image"].rpartition(":")
            assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?(-alpine)?", tag), container["image"]
            if each["metadata"]["name"] in OURS | THEIRS | {"setup"}:
                assert name.rpartition("/")[2] in recipes


@pytest.mark.parametrize("name", sorted(OURS - {"page"} | {"setup"}))
def test_every_workloads_settings_are_known_and_fit_for_production(
    overlay: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for container in containers(workload(overlay, name)):
        given = environment(overlay, container, secrets_of(overlay))
        assert set(given) - FEAST - {"BYTEWAX_ADDRESSES"} <= set(Settings.variables())
        for variable, value in given.items():
            monkeypatch.setenv(variable, value)
        loaded = load_settings()
        assert loaded.mode == "production"
        assert not any(loaded.is_embedded(field) for field in loaded.embedded_urls())
        assert {each: given[each] for each in FEAST} == {each: loaded.environment()[each] for each in FEAST}
        replicas = workload(overlay, "stream")["spec"]["replicas"]
        assert loaded.topic_partitions >= replicas, "else some process has no work"
        monkeypatch.setenv("DATABASE_URL", re.sub(r":[^:@]+@", ":password@", given["DATABASE_URL"]))
        with pytest.raises(SettingsError, match="DATABASE_URL"):
            load_settings()


def test_every_client_of_event_hubs_says_who_it_is(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(overlay, _only(overlay, "stream"), secrets_of(overlay)).items():
        monkeypatch.setenv(variable, value)
    said = librdkafka(load_settings())
    if overlay == "local":
        assert set(said) == {"bootstrap.servers"}
    else:
        assert (said["security.protocol"], said["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
        assert said["sasl.username"] == "$ConnectionString", "so Event Hubs wants it"
        assert said["sasl.password"].startswith("Endpoint=sb://")


def test_services_know_the_key_that_load_sends(overlay: str) -> None:
    sent = environment(overlay, _only(overlay, "worker"), secrets_of(overlay))["FRESHET_API_KEY"]
    for name in ("ingest", "recommender", "recommender-canary", "console"):
        container = _only(overlay, name)
        file = Path(environment(overlay, container, secrets_of(overlay))["FRESHET_API_KEYS_FILE"])
        (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == str(file.parent)]
        assert "subPath" not in mount, "else a change would not come through"
        (volume,) = [v for v in pod(workload(overlay, name))["spec"]["volumes"] if v["name"] == mount["name"]]
        lines = secrets_of(overlay)[volume["secret"]["secretName"]][file.name].splitlines()
        assert f"load ingest,read {hashlib.sha256(sent.encode()).hexdigest()}" in lines


def test_the_console_reads_every_pod(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(overlay, _only(overlay, "console"), secrets_of(overlay)).items():
        monkeypatch.setenv(variable, value)
    for part, urls in load_settings().metrics_urls().items():
        (url,) = map(urlsplit, urls)
        service = named(overlay, "Service", str(url.hostname))
        assert service["spec"]["clusterIP"] == "None", "else one pod answers, each time another"
        assert selects({"matchLabels": service["spec"]["selector"]}, labels(workload(overlay, part)))
        assert url.port in {port["port"] for port in service["spec"]["ports"]}
        assert url.port == port_number(workload(overlay, part), service["spec"]["ports"][-1]["targetPort"])


def _only(overlay: str, name: str) -> Object:
    (container,) = containers(workload(overlay, name))
    return container


@cache
def secrets_of(overlay: str) -> dict[str, dict[str, str]]:
    """Secret -> key -> value, as they could be."""
    return printed() if overlay == "local" else from_vault()


def test_every_reference_finds_its_object(overlay: str) -> None:
    maps = {each["metadata"]["name"] for each in of_kind(overlay, "ConfigMap")}
    claims = {each["metadata"]["name"] for each in of_kind(overlay, "PersistentVolumeClaim")}
    secrets = secrets_of(overlay)
    for each in of_kind(overlay, *WORKLOADS):
        for volume in pod(each)["spec"].get("volumes", []):
            assert volume.get("configMap", {}).get("name") in maps | {None}
            assert volume.get("secret", {}).get("secretName") in set(secrets) | {None}
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in claims | {None}
        for container in containers(each):
            for source in container.get("envFrom", []):
                assert source.get("configMapRef", {}).get("name") in maps | {None}
                assert source.get("secretRef", {}).get("name") in set(secrets) | {None}
            for variable in container.get("env", []):
                if asked := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert asked["key"] in secrets[asked["name"]]
                else:
                    assert "PASSWORD" not in variable["name"]


def test_probes_ask_what_is_answered(overlay: str) -> None:
    paths = {
        service: set(json.loads((ROOT / "docs" / "openapi" / f"{service}.json").read_text())["paths"])
        for service in ("ingest", "recommender")
    }
    for name in OURS - {"eraser"}:
        found = workload(overlay, name)
        for container in containers(found):
            probes = {kind: container[kind]["httpGet"] for kind in container if kind.endswith("Probe")}
            assert {"livenessProbe"} < set(probes)
            for kind, probe in probes.items():
                number = port_number(found, probe["port"])
                if name in PORTS:
                    assert number == Settings.model_fields[PORTS[name]].default
                if name.partition("-")[0] in paths:
                    assert probe["path"] in paths[name.partition("-")[0]]
                    assert (probe["path"] == "/ready") == (kind == "readinessProbe")
    template = (ROOT / "infra" / "nginx" / "page.conf.template").read_text()
    assert "location = /healthz" in template


def test_services_lead_to_pods(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        behind = [
            w for w in of_kind(overlay, *WORKLOADS) if selects({"matchLabels": service["spec"]["selector"]}, labels(w))
        ]
        assert behind, service["metadata"]["name"]
        for each in behind:
            assert all(port_number(each, port["targetPort"]) for port in service["spec"]["ports"])


def test_the_canary_serves_beside_the_other_and_can_be_told_apart(overlay: str) -> None:
    stable, canary = workload(overlay, "recommender"), workload(overlay, "recommender-canary")
    selector = {"matchLabels": named(overlay, "Service", "recommender")["spec"]["selector"]}
    assert selects(selector, labels(stable)) and selects(selector, labels(canary))
    for one, other in ((stable, canary), (canary, stable)):
        assert selects(one["spec"]["selector"], labels(one)) and not selects(one["spec"]["selector"], labels(other))
    monitor = named(overlay, "ServiceMonitor", "services")
    assert "track" in monitor["spec"]["podTargetLabels"]
    strip: Any = lambda each: each["spec"]["template"]["spec"]  # noqa: E731
    assert strip(stable) | {"containers": []} == strip(canary) | {"containers": []}


def test_scaling_and_disruptions_fit_the_workloads(overlay: str) -> None:
    adapter = yaml.safe_load((K8S / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    series = re.compile(re.search(r'__name__=~"([^"]+)"', adapter[0]["seriesQuery"])[1])  # type: ignore[index]
    exported = "".join((ROOT / "bento" / s / "metrics.py").read_text() for s in ("ingest", "recommender"))
    for scaler in of_kind(overlay, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        scaled = named(overlay, target["kind"], target["name"])
        assert "replicas" not in scaled["spec"], "two would set it"
        (metric,) = [each["pods"]["metric"]["name"] for each in scaler["spec"]["metrics"] if each["type"] == "Pods"]
        counter = metric.replace("_per_second", "_total")
        assert series.fullmatch(counter)
        assert "requests_total" in exported and counter == f"freshet_{target['name']}_requests_total"
    scalers = {
        s["spec"]["scaleTargetRef"]["name"]: s["spec"]["minReplicas"]
        for s in of_kind(overlay, "HorizontalPodAutoscaler")
    }
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        (guarded,) = [w for w in of_kind(overlay, *WORKLOADS) if selects(budget["spec"]["selector"], labels(w))]
        name = guarded["metadata"]["name"]
        count = scalers.get(name, guarded["spec"].get("replicas"))
        if overlay == "azure":  # one node may not be drained without an end, several may
            assert budget["spec"].get("minAvailable", 0) < count
            spread = pod(guarded)["spec"]["topologySpreadConstraints"]
            assert all(selects(each["labelSelector"], labels(guarded)) for each in spread)


def test_the_dataflows_processes_know_each_other(overlay: str) -> None:
    stream = workload(overlay, "stream")
    (container,) = containers(stream)
    variables = {each["name"]: each for each in container["env"]}
    service = named(overlay, "Service", stream["spec"]["serviceName"])
    number = port_number(stream, "cluster")
    wanted = [f"stream-{i}.{service['metadata']['name']}:{number}" for i in range(stream["spec"]["replicas"])]
    assert variables["BYTEWAX_ADDRESSES"]["value"].split(";") == wanted
    assert "pod-index" in variables["BYTEWAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"]
    assert stream["spec"]["podManagementPolicy"] == "Parallel", "none is ready before all are there"
    (claim,) = stream["spec"]["volumeClaimTemplates"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == "/var/lib/freshet"


def test_who_needs_a_port_reaches_it_and_nobody_else(overlay: str) -> None:
    assert named(overlay, "NetworkPolicy", "nobody")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for client, server, port in CLIENTS:
        assert may_reach(overlay, workload(overlay, client), workload(overlay, server), port), (client, server)
    for client, server, port in STRANGERS:
        assert not may_reach(overlay, workload(overlay, client), workload(overlay, server), port), (client, server)


def test_prometheus_finds_every_part_under_its_name(overlay: str) -> None:
    found = {}
    for monitor in of_kind(overlay, "ServiceMonitor"):
        assert monitor["spec"]["jobLabel"] == NAME
        for service in of_kind(overlay, "Service"):
            if selects(monitor["spec"]["selector"], service["metadata"].get("labels", {})):
                (endpoint,) = monitor["spec"]["endpoints"]
                assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
                found[service["metadata"]["labels"][NAME]] = endpoint["path"]
    scraped = yaml.safe_load((ROOT / "infra" / "compose" / "prometheus.yml").read_text())["scrape_configs"]
    jobs = {job["job_name"]: job.get("metrics_path", "/metrics") for job in scraped}
    assert found == {name: jobs[name] for name in ("ingest", "recommender", "stream", "outcomes", "console")}


def test_the_worker_serves_the_pool_that_the_setup_makes(overlay: str) -> None:
    (made,) = [each for each in containers(workload(overlay, "setup")) if each["name"] == "deployments"]
    assert f"work-pool create {POOL} " in made["args"][0]
    recipe = (ROOT / "infra" / "docker" / "flows.Dockerfile").read_text()
    assert f'"--pool", "{POOL}"' in recipe


def test_from_outside_only_the_page_is_reached(overlay: str) -> None:
    for each in of_kind(overlay, "Ingress"):
        backends = [path["backend"]["service"] for rule in each["spec"]["rules"] for path in rule["http"]["paths"]]
        assert backends == [{"name": "page", "port": {"name": "http"}}]
    for route in of_kind(overlay, "HTTPRoute"):
        (gateway,) = of_kind(overlay, "Gateway")
        assert route["spec"]["parentRefs"] == [{"name": gateway["metadata"]["name"]}]
        assert [rule["backendRefs"] for rule in route["spec"]["rules"]] == [[{"name": "page", "port": 80}]]
        assert {listener["protocol"] for listener in gateway["spec"]["listeners"]} == {"HTTPS"}
    assert of_kind(overlay, "Ingress", "HTTPRoute")
    assert {service["spec"].get("type", "ClusterIP") for service in of_kind(overlay, "Service")} == {"ClusterIP"}


def test_external_secrets_name_the_store_that_is_there(overlay: str) -> None:
    stores = {each["metadata"]["name"]: each for each in of_kind(overlay, "SecretStore")}
    for each in of_kind(overlay, "ExternalSecret"):
        assert each["spec"]["secretStoreRef"]["name"] in stores
    for store in stores.values():
        named(overlay, "ServiceAccount", store["spec"]["provider"]["azurekv"]["serviceAccountRef"]["name"])
    assert not of_kind(overlay, "Secret"), "no secret in the repository"
