"""An overlay of infra/k8s as ``kubectl kustomize`` builds it, and questions to it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import hcl2
import yaml

from infra.settings import ROOT

PASSWORD = "Pl/usible+0123456789abcdefghijklmnopqrstuvwxyz="
"""As Azure's keys are: with characters that mean something in a URL."""

KINDS = {
    "fqdn": "psql.example",
    "hostname": "redis.example",
    "port": "10000",
    "name": "mongo",
    "primary_connection_string": f"Endpoint=sb://evh.example/;SharedAccessKeyName=freshet;SharedAccessKey={PASSWORD}",
    "primary_access_key": PASSWORD,
    "result": PASSWORD.translate(dict.fromkeys(b"/+=")),
    "value": PASSWORD.translate(dict.fromkeys(b"/+=")),
}
"""Attribute of a resource -> what Azure could say."""

K8S = ROOT / "infra" / "k8s"
NAME = "app.kubernetes.io/name"
WORKLOADS = ("Deployment", "StatefulSet", "Job")
Object = dict[str, Any]

# client, server, the server's port
CLIENTS = [
    ("page", "ingest", "http"),
    ("page", "recommender", "http"),
    ("page", "recommender-canary", "http"),
    ("page", "console", "http"),
    ("worker", "ingest", "http"),
    ("console", "ingest", "http"),
    ("console", "recommender-canary", "http"),
    ("console", "outcomes", "metrics"),
    ("console", "stream", "metrics"),
    ("console", "recommender", "http"),
    ("recommender", "mlflow", "http"),
    ("worker", "prefect", "http"),
    ("worker", "mlflow", "http"),
    ("console", "mlflow", "http"),
    ("setup", "prefect", "http"),
    ("stream", "stream", "cluster"),
]
STRANGERS = [
    ("page", "mlflow", "http"),
    ("page", "prefect", "http"),
    ("page", "stream", "metrics"),
    ("ingest", "recommender", "http"),
    ("recommender", "stream", "cluster"),
    ("stream", "prefect", "http"),
]


@cache
def built(overlay: str) -> tuple[Object, ...]:
    """Every object of an overlay."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", K8S / "overlays" / overlay], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    return [each for each in built(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Object:
    (found,) = [each for each in of_kind(overlay, kind) if each["metadata"]["name"] == name]
    return found


def printed() -> dict[str, dict[str, str]]:
    """Secret -> key -> value of the local overlay, as its script makes them."""
    script = K8S / "overlays" / "local" / "secrets.sh"
    made = subprocess.run(["/bin/sh", script], capture_output=True, text=True, check=True).stdout
    return {s["metadata"]["name"]: s["stringData"] for s in yaml.safe_load_all(made) if s["kind"] == "Secret"}


def from_vault() -> dict[str, dict[str, str]]:
    """Secret -> key -> value of the Azure overlay, as Terraform writes them, with Azure's part made up."""
    parsed = [hcl2.loads(path.read_text()) for path in sorted((ROOT / "infra" / "terraform").glob("*.tf"))]
    local = {name: value for each in parsed for block in each.get("locals", []) for name, value in block.items()}
    kept = {
        body["name"].strip('"'): _filled(body["value_wo"].strip('"'), local)
        for each in parsed
        for block in each.get("resource", [])
        for kind, named_ones in block.items()
        if kind.strip('"') == "azurerm_key_vault_secret"
        for body in named_ones.values()
    }
    return {
        each["spec"]["target"]["name"]: {
            data["secretKey"]: kept[data["remoteRef"]["key"]] for data in each["spec"]["data"]
        }
        for each in of_kind("azure", "ExternalSecret")
    }


def _filled(text: str, local: Mapping[str, str]) -> str:
    return re.sub(r"\$\{([^{}]+)\}", lambda found: _value(found[1], local), text)


def _value(expression: str, local: Mapping[str, str]) -> str:
    if call := re.fullmatch(r"(\w+)\((.+)\)", expression):
        inside = _value(call[2], local)
        return {"sha256": hashlib.sha256(inside.encode()).hexdigest(), "urlencode": quote_plus(inside)}[call[1]]
    if expression.startswith("local."):
        return _filled(local[expression.removeprefix("local.")].strip('"'), local)
    return KINDS[expression.rpartition(".")[2]]


def environment(overlay: str, container: Object, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The variables of a container, but what only the cluster knows."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if reference := source.get("configMapRef"):
            found |= named(overlay, "ConfigMap", reference["name"])["data"]
        else:
            found |= secrets[source["secretRef"]["name"]]
    for variable in container.get("env", []):
        if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
            found[variable["name"]] = secrets[reference["name"]][reference["key"]]
        elif "value" in variable:
            found[variable["name"]] = variable["value"]
    return found


def pod(workload: Object) -> Object:
    found: Object = workload["spec"]["template"]
    return found


def containers(workload: Object) -> Iterator[Object]:
    spec = pod(workload)["spec"]
    yield from spec.get("initContainers", [])
    yield from spec["containers"]


def labels(workload: Object) -> dict[str, str]:
    found: dict[str, str] = pod(workload)["metadata"]["labels"]
    return found


def selects(selector: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    if any(wanted.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_holds(each, wanted) for each in selector.get("matchExpressions", []))


def _holds(expression: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    inside = wanted.get(expression["key"]) in expression.get("values", [])
    return {"In": inside, "NotIn": not inside}[expression["operator"]]


def port_number(workload: Object, port: str | int) -> int | None:
    """The number of a port of a workload's pods, by its name or number."""
    for container in containers(workload):
        for each in container.get("ports", []):
            if port in (each["name"], each["containerPort"]):
                return int(each["containerPort"])
    return None


def may_reach(overlay: str, client: Object, server: Object, port: str) -> bool:
    """Whether the network policies let one workload's pods reach a port of another's."""
    number = port_number(server, port)
    policies = of_kind(overlay, "NetworkPolicy")
    out = _rules(policies, client, "Egress", "egress")
    into = _rules(policies, server, "Ingress", "ingress")
    return any(_passes(rule, "to", server, server, number) for rule in out) and any(
        _passes(rule, "from", client, server, number) for rule in into
    )


def _rules(policies: list[Object], workload: Object, direction: str, key: str) -> Iterator[Object]:
    for policy in policies:
        spec = policy["spec"]
        if direction in spec["policyTypes"] and selects(spec["podSelector"], labels(workload)):
            yield from spec.get(key, [])


def _passes(rule: Object, key: str, other: Object, server: Object, number: int | None) -> bool:
    peers = rule.get(key)
    if peers is not None and not any("podSelector" in p and selects(p["podSelector"], labels(other)) for p in peers):
        return False
    ports = rule.get("ports")
    return ports is None or any(port_number(server, each["port"]) == number for each in ports)
