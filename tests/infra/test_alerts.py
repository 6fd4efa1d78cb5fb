"""The alert rules: promtool accepts them, each is shown to fire and not to fire, and each leads to a runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from infra.observability import slos
from infra.settings import ROOT

FOLDER = ROOT / "infra" / "observability"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
TESTS = sorted((FOLDER / "tests").glob("*.yml"))
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
SECTIONS = ["## What users notice", "## Look", "## Do", "## Over when"]


class Shown(NamedTuple):
    """What the unit tests of rules show of alerts."""

    firing: set[str]
    quiet: set[str]


def alerts() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def shown_by(path: Path) -> Shown:
    """Alerts that a file of unit tests sees firing, and those of them that it sees quiet on the same series."""
    firing: set[str] = set()
    quiet: set[str] = set()
    for group in yaml.safe_load(path.read_text())["tests"]:
        checks = [check for check in group.get("promql_expr_test", ()) if check["expr"].startswith("ALERTS{")]
        expected = [set(re.findall(r'alertname="(\w+)"', str(check.get("exp_samples", "")))) for check in checks]
        ever = set().union(*expected)
        firing |= ever
        quiet |= {name for names in expected for name in ever - names}
    return Shown(firing, quiet)


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", *RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_fire_when_they_should(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_is_shown_firing_and_not_firing() -> None:
    names = {rule["alert"] for rule in alerts()}
    shown = [shown_by(path) for path in TESTS]
    assert set().union(*(each.firing for each in shown)) == names
    assert set().union(*(each.quiet for each in shown)) == names


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    runbook = ROOT / rule["annotations"]["runbook_url"]
    assert runbook in RUNBOOKS, f"{rule['alert']} leads to {runbook}, which is not there"
    assert f"`{rule['alert']}`" in runbook.read_text(), f"{runbook.name} does not name {rule['alert']}"


def test_what_an_alert_names_are_labels_that_it_has() -> None:
    samples = [
        labels for path in TESTS for labels in re.findall(r"'(ALERTS\{alertname=.*?\})', value", path.read_text())
    ]
    for rule in alerts():
        shown = [labels for labels in samples if f'alertname="{rule["alert"]}"' in labels]
        for label in re.findall(r"\$labels\.(\w+)", str(rule["annotations"])):
            assert all(f'{label}="' in labels for labels in shown), (rule["alert"], label)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_belongs_to_an_alert_and_says_all_four_things(path: Path) -> None:
    linked = {rule["alert"] for rule in alerts() if rule["annotations"]["runbook_url"].endswith(f"/{path.name}")}
    text = path.read_text()
    named = set(re.findall(r"`(\w+)`", text.partition("Alerts: ")[2].partition("\n")[0]))
    assert named == linked != set()
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    assert "```bash" in text


def test_the_documented_alerts_are_those_there_are() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    told = set(re.findall(r"^\| `(\w+)` \|.*\]\(runbooks/", text, re.MULTILINE))
    assert told == {rule["alert"] for rule in alerts()}
    for slo in slos.SLOS:
        assert f"| {slo.name} | {slo.promise} | {100 * slo.objective:.4g} % |" in text


@pytest.mark.parametrize("path", [*RUNBOOKS, ROOT / "docs" / "observability.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_objectives_file_is_what_its_table_says() -> None:
    assert slos.RULES.read_text() == slos.rules(), "python -m infra.observability.slos writes it anew"


@pytest.mark.parametrize("slo", slos.SLOS, ids=lambda slo: slo.name)
def test_windows_and_burn_rates_are_the_workbooks(slo: slos.Slo) -> None:
    page, ticket = [rule["expr"] for rule in alerts() if rule["labels"].get("slo") == slo.name]
    found = [
        [(float(burn), window) for window, burn in re.findall(r":rate(\w+)\{[^}]*\} > ([\d.]+) \*", each)]
        for each in (page, ticket)
    ]
    assert found[0] == [(14.4, "1h"), (14.4, "5m"), (6, "6h"), (6, "30m")]
    assert found[1] == [(3, "1d"), (3, "2h"), (1, "3d"), (1, "6h")]
    assert all(f"* {1 - slo.objective:.6g}" in each for each in (page, ticket))
