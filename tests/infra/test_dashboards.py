"""Rules, dashboards and runbooks against a real Prometheus that scrapes the real services, after traffic and faults."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql
import pytest
import yaml
from page_stack import Shop, address
from watched_shop import PORTS, RULES, Prometheus, watched_shop

from bento.console.metrics import ConsoleMetrics
from bento.ingest.metrics import IngestMetrics
from bento.recommender.metrics import Metrics
from flows.outcome_metrics import OutcomeMetrics
from flows.stream_metrics import StreamMetrics
from infra.observability import dashboards
from infra.settings import ROOT

pytestmark = pytest.mark.timeout(600)

FOLDER = ROOT / "infra" / "observability"
BOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
TEXTS = [*sorted((ROOT / "docs" / "runbooks").glob("*.md")), ROOT / "docs" / "observability.md"]


SCRAPED = {"__name__", "job", "instance"}
OPEN_ENDED = {
    *(f"freshet_{part}_requests_total" for part in ("ingest", "recommender", "console")),
    "freshet_recommender_experiment_answers_total",
    # begun by those who count, when the service starts
    *(f"freshet_recommender_{name}_total" for name in ("answer_cache", "breaker_opened", "impressions", "shed")),
    *(f"freshet_{part}_admin_acts_total" for part in ("ingest", "recommender")),
}
"""Counters whose labels have values that only traffic shows."""


class Asked(NamedTuple):
    """A selector of an expression, and the labels that the expression groups or joins what it selects by."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    labels: frozenset[str]


def asked(expression: Any, labels: frozenset[str] = frozenset()) -> Iterator[Asked]:
    """Every selector of a parsed expression."""
    match expression:
        case promql.VectorSelector():
            matchers = [(str(each.op), each.name, each.value) for each in expression.matchers.matchers]
            yield Asked(expression.name, tuple(matchers), labels)
        case promql.MatrixSelector():
            yield from asked(expression.vector_selector, labels)
        case promql.AggregateExpr():
            own = frozenset(expression.modifier.labels) if expression.modifier else frozenset()
            assert labels <= own, f"{labels - own} of {expression.prettify()} are lost on the way"
            yield from asked(expression.expr, own)
        case promql.BinaryExpr():
            matching = expression.modifier and expression.modifier.matching
            joined = labels | frozenset(matching.labels) if matching else labels
            yield from asked(expression.lhs, joined)
            yield from asked(expression.rhs, joined if matching else frozenset())
        case promql.Call():
            for argument in expression.args:
                yield from asked(argument, labels)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from asked(expression.expr, labels)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Prometheus]]:
    """The shop, after a busy hour in a few seconds."""
    with watched_shop(tmp_path_factory.mktemp("watched")) as both:
        yield both


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Every panel with a name to find it by."""
    return [
        (f"{path.stem}: {panel['title']} ({panel['type']})", panel)
        for path in BOARDS
        for panel in json.loads(path.read_text())["panels"]
    ]


def expressions() -> Iterator[tuple[str, str]]:
    """Where an expression stands, and the expression: of every rule and panel."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield f"{path.stem}: {rule.get('alert') or rule['record']}", rule["expr"]
    for name, panel in panels():
        for target in panel["targets"]:
            yield name, filled(target["expr"])


def filled(expression: str) -> str:
    """With the dashboard's variables."""
    return expression.replace("$__rate_interval", "10m").replace("$experiment", ".*")


def fits(series: Iterable[Mapping[str, str]], operator: str, label: str, value: str) -> bool:
    """Whether the label is there, and with a value that a positive matcher wants."""
    values = [each[label] for each in series if label in each]
    match operator:
        case "MatchOp.Equal":
            return value in values
        case "MatchOp.Re":
            return any(re.fullmatch(value, each) for each in values)
    return bool(values)


def missing(wanted: Iterable[tuple[str, str]], seen: Prometheus) -> list[str]:
    """What expressions name and nobody exports, each with where it stands."""
    found = []
    for where, expression in wanted:
        for each in asked(promql.parse(expression)):
            series = seen.series(each.name)
            lacking = [label for label in each.labels if not any(label in labels for labels in series)]
            unfit = [matcher for matcher in each.matchers if not fits(series, *matcher)]
            if not series or lacking or unfit:
                found.append(f"{where}: {each.name} {lacking} {unfit}")
    return found


def test_every_metric_and_label_is_exported(system: tuple[Shop, Prometheus]) -> None:
    found = missing(expressions(), system[1])
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "wrong",
    [
        "freshet_ingest_request_total",
        'freshet_ingest_requests_total{method="POST",path="/events"}',
        'freshet_ingest_requests_total{route="/event"}',
        'freshet_ingest_requests_total{status=~"7.."}',
        'freshet_ingest_requests_total{code!="200"}',
        'rate(freshet_stream_freshness_seconds_bucket{le="0.15"}[5m])',
        "sum by (topic) (rate(freshet_stream_events_total[5m]))",
        "up / on (result) freshet_stream_events_total",
    ],
)
def test_what_is_not_exported_is_found(system: tuple[Shop, Prometheus], wrong: str) -> None:
    assert missing([("here", wrong)], system[1])


def test_a_label_that_an_inner_sum_drops_is_found() -> None:
    with pytest.raises(AssertionError, match="route"):
        list(asked(promql.parse("sum by (route) (sum by (status) (freshet_ingest_requests_total))")))


@pytest.mark.parametrize(("name", "panel"), panels(), ids=[name for name, _ in panels()])
def test_a_panel_has_data_and_its_legend_names_labels_of_it(
    system: tuple[Shop, Prometheus], name: str, panel: dict[str, Any]
) -> None:
    for target in panel["targets"]:
        result = system[1].query(filled(target["expr"]))
        assert any(not math.isnan(float(each["value"][1])) for each in result), (name, target["expr"], result)
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert any(label in each["metric"] for each in result), (name, label)


def test_what_has_not_happened_yet_is_told_as_zero(system: tuple[Shop, Prometheus]) -> None:
    open_ended = set()
    for metrics in (IngestMetrics(), Metrics(), StreamMetrics(), OutcomeMetrics(), ConsoleMetrics()):
        for family in metrics.registry.collect():
            name = f"{family.name}_total"
            begun = {frozenset(each.labels.items()) for each in family.samples if each.name == name}
            seen = {frozenset((k, v) for k, v in each.items() if k not in SCRAPED) for each in system[1].series(name)}
            if family.type == "counter" and seen and not begun:
                open_ended.add(name)
            elif family.type == "counter":
                assert seen <= begun, f"{name} begins without {seen - begun}"
    assert open_ended <= OPEN_ENDED, "which values it may have is known: let it begin at 0"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_metrics_that_are_written_of_exist(system: tuple[Shop, Prometheus], path: Path) -> None:
    for name in set(re.findall(r"\bfreshet_[a-z_]+\b", path.read_text())):
        assert system[1].series(name), name


@pytest.mark.parametrize("path", TEXTS[:-1], ids=lambda path: path.stem)
def test_a_runbooks_looks_at_metrics_find_something(system: tuple[Shop, Prometheus], path: Path) -> None:
    stack, _ = system
    for command in re.findall(r"^curl -s localhost:\d+/\S*metrics \| grep .*$", path.read_text(), re.MULTILINE):
        here = re.sub(r"localhost:(\d+)", lambda m: address(stack, PORTS[int(m[1])]), command)
        shell = ["bash", "-o", "pipefail", "-c", here]
        found = subprocess.run(shell, env=os.environ | {"no_proxy": "*"}, capture_output=True, text=True, check=False)
        assert found.returncode == 0, command


def test_the_rules_are_evaluated_without_errors(system: tuple[Shop, Prometheus]) -> None:
    failed = [each for each in system[1].query("prometheus_rule_evaluation_failures_total") if each["value"][1] != "0"]
    assert not failed
    firing = {each["metric"]["alertname"] for each in system[1].query('ALERTS{alertstate="firing"}')}
    assert {"ModelRolledBack", "TrainingFailed", "FlowFailed", "DriftFound"} <= firing


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_what_its_source_says(path: Path) -> None:
    assert path.read_text() == dashboards.text(path.stem), "python -m infra.observability.dashboards writes it anew"
    assert {each.stem for each in BOARDS} == set(dashboards.BOARDS)


@pytest.mark.parametrize(("name", "panel"), panels(), ids=[name for name, _ in panels()])
def test_a_panel_says_what_it_shows(name: str, panel: dict[str, Any]) -> None:
    assert panel["title"] and len(panel["description"].split()) > 1, name
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_lie_side_by_side(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
