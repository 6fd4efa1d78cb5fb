"""Metrics read twice: growth, restarts, sums and quantiles, against known text and PromQL's rules."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from bento.console.scrape import Key, added, by_label, increase, largest, parse, quantile, total

TEXT = """\
# HELP requests_total Requests
# TYPE requests_total counter
requests_total{route="/a",status="200"} 7.0
requests_total{route="/a",status="404"} 1.0
requests_total{route="/b",status="200"} 2.5e+01
requests_totally_else 4.0
lag{partition="1"} 3.0
lag{partition="2"} 9.0
note{text="a \\"quoted\\" } brace"} 1.0
"""


def series(name: str, **labels: str) -> Key:
    return Key(name, frozenset(labels.items()))


def buckets(counts: dict[str, float], **labels: str) -> dict[Key, float]:
    """A histogram's cumulative buckets, by their limit."""
    return {series("seconds_bucket", le=limit, **labels): count for limit, count in counts.items()}


def test_only_the_series_that_are_wanted_are_read() -> None:
    assert parse(TEXT, frozenset({"requests_total", "note"})) == {
        series("requests_total", route="/a", status="200"): 7.0,
        series("requests_total", route="/a", status="404"): 1.0,
        series("requests_total", route="/b", status="200"): 25.0,
        series("note", text='a "quoted" } brace'): 1.0,
    }
    assert parse("<html>not metrics</html>\n\n", frozenset({"requests_total"})) == {}


@pytest.mark.parametrize("line", ["lag", "lag{", 'lag{partition="1', "lag many", 'lag{partition="1"}'])
def test_text_that_is_broken_off_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        parse(line, frozenset({"lag"}))


def test_series_are_summed_by_name_and_labels() -> None:
    values = parse(TEXT, frozenset({"requests_total", "lag"}))
    assert total(values, "requests_total") == 33.0
    assert total(values, "requests_total", route="/a") == 8.0
    assert total(values, "requests_total", route="/a", status="404") == 1.0
    assert total(values, "requests_total", route="/c") == 0.0
    assert by_label(values, "requests_total", "status") == {"200": 32.0, "404": 1.0}
    assert by_label(values, "lag", "topic") == {"": 12.0}
    assert largest(values, "lag") == 9.0
    assert largest(values, "none") == 0.0
    assert added([values, values])[series("lag", partition="2")] == 18.0
    assert added([]) == {}


def test_counters_grow_and_start_anew() -> None:
    grows, fell, new, gone = (series("c", at=at) for at in ("grows", "fell", "new", "gone"))
    before = {grows: 10.0, fell: 10.0, gone: 5.0}
    after = {grows: 14.0, fell: 3.0, new: 2.0}
    # What fell has started anew at 0, and all it shows is growth; what is new has grown from 0.
    assert increase(before, after) == {grows: 4.0, fell: 3.0, new: 2.0}
    assert increase(after, after) == {grows: 0.0, fell: 0.0, new: 0.0}


# histogram_quantile(q, ...) of Prometheus for these buckets
@pytest.mark.parametrize(
    ("q", "expected"),
    [(0.0, 0.0), (0.05, 0.05), (0.1, 0.1), (0.5, 0.1 + 0.4 * 40 / 50), (0.6, 0.5), (0.9, 1.0), (0.95, 1.0), (1.0, 1.0)],
)
def test_a_quantile_lies_within_its_bucket(q: float, expected: float) -> None:
    grown = buckets({"0.1": 10, "0.5": 60, "1.0": 90, "+Inf": 100})
    assert quantile(q, grown, "seconds") == pytest.approx(expected)


def test_a_quantile_adds_up_what_its_labels_leave_open() -> None:
    grown = buckets({"1.0": 4, "2.0": 4, "+Inf": 4}, route="/a", status="200")
    grown |= buckets({"1.0": 0, "2.0": 4, "+Inf": 4}, route="/a", status="404")
    grown |= buckets({"1.0": 0, "2.0": 0, "+Inf": 100}, route="/b", status="200")
    assert quantile(0.5, grown, "seconds", route="/a") == 1.0
    assert quantile(0.75, grown, "seconds", route="/a") == 1.5
    assert quantile(0.5, grown, "seconds", route="/b") == 2.0


@pytest.mark.parametrize("counts", [{}, {"0.1": 5.0}, {"0.1": 0.0, "+Inf": 0.0}])
def test_nothing_observed_has_no_quantile(counts: dict[str, float]) -> None:
    assert quantile(0.5, buckets(counts), "seconds") is None


def test_a_quantile_of_what_a_real_histogram_tells() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "", buckets=(0.01, 0.1, 1.0), registry=registry)
    before = parse(generate_latest(registry).decode(), frozenset({"seconds_bucket"}))
    for _ in range(9):
        histogram.observe(0.05)
    histogram.observe(5.0)
    grown = increase(before, parse(generate_latest(registry).decode(), frozenset({"seconds_bucket"})))
    assert grown[series("seconds_bucket", le="+Inf")] == 10.0
    assert 0.01 < (quantile(0.5, grown, "seconds") or math.nan) < 0.1
    assert quantile(0.99, grown, "seconds") == 1.0
