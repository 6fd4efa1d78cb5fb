"""What the audit of dependencies makes of what pip-audit and npm print, above all when their feeds say nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra import audit
from infra.audit import Answer, Hole, of_npm_audit, of_pip_audit, report

HOLE = Hole("jinja2", "2.4.1", "PYSEC-2021-66", "2.11.3")


def pip_said(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_pip_audits_findings_are_read() -> None:
    vulnerable = {
        "name": "jinja2",
        "version": "2.4.1",
        "vulns": [{"id": "PYSEC-2021-66", "fix_versions": ["2.11.3"], "aliases": ["CVE-2020-28493"]}],
    }
    sound = {"name": "redis", "version": "7.4.1", "vulns": []}
    assert of_pip_audit(pip_said(vulnerable, sound)) == Answer([HOLE])


@pytest.mark.parametrize(
    "printed",
    ["", "no JSON", "{}", pip_said({"name": "redis", "skip_reason": "Dependency not found on PyPI"})],
)
def test_what_the_feed_did_not_answer_is_no_clean_bill(printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """pip-audit says "No known vulnerabilities found" to all of these, and exits with 0."""
    answer = of_pip_audit(printed)
    assert answer.unasked and not report("requirements.txt", answer)
    assert "NOT AUDITED" in capsys.readouterr().out


def test_npms_findings_are_read_once_each() -> None:
    advisory = {"url": "https://github.com/advisories/GHSA-1234", "title": "t", "severity": "high"}
    said = {
        "vulnerabilities": {
            "dep": {
                "name": "dep",
                "range": "<2.0.0",
                "via": [advisory],
                "fixAvailable": {"name": "top", "version": "3.0.0"},
            },
            "top": {"name": "top", "range": "<3.0.0", "via": ["dep"], "fixAvailable": True},
        }
    }
    assert of_npm_audit(json.dumps(said)) == Answer([Hole("dep", "<2.0.0", "GHSA-1234", "top 3.0.0")])
    assert of_npm_audit(json.dumps({"vulnerabilities": {}})) == Answer([])
    assert of_npm_audit(json.dumps({"message": "405 Method Not Allowed", "method": "POST"})).unasked


def test_only_holes_that_nobody_has_explained_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("requirements.txt", Answer([HOLE]))
    monkeypatch.setattr(audit, "IGNORED", {HOLE.id: "templates are all ours"})
    assert not report("requirements.txt", Answer([HOLE]))
    assert "templates are all ours" in capsys.readouterr().out


def test_a_hole_fails_the_build_also_beside_packages_that_are_unknown() -> None:
    assert report("requirements.txt", Answer([HOLE], "the feed does not know 1 of 2 packages"))
