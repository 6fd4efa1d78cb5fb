"""How the system is, out of samples whose numbers are known."""

from __future__ import annotations

import pytest

from bento.console.parts import NOTHING, Sample, together
from bento.console.scrape import increase, parse
from bento.console.vitals import GAUGES, NAMES, curve_values, shares, totals

PARTS = ("ingest", "recommender", "stream", "outcomes")

BEFORE = """\
freshet_recommender_requests_total{route="/recommend",status="200"} 100
freshet_recommender_requests_total{route="/popular",status="200"} 50
freshet_recommender_request_seconds_bucket{route="/recommend",le="0.01"} 100
freshet_recommender_request_seconds_bucket{route="/recommend",le="0.02"} 100
freshet_recommender_request_seconds_bucket{route="/recommend",le="+Inf"} 100
freshet_recommender_fallbacks_total{name="popular"} 7
freshet_recommender_answer_cache_total{outcome="hit"} 3
freshet_recommender_answer_cache_total{outcome="miss"} 3
freshet_recommender_shed_total{part="queue"} 2
freshet_recommender_shed_total{part="limit"} 1
freshet_recommender_item_table_items 60
freshet_recommender_dependency_up{dependency="redis"} 1
freshet_recommender_dependency_up{dependency="kafka"} 0
"""
AFTER = """\
freshet_recommender_requests_total{route="/recommend",status="200"} 140
freshet_recommender_requests_total{route="/recommend",status="429"} 10
freshet_recommender_requests_total{route="/popular",status="200"} 500
freshet_recommender_request_seconds_bucket{route="/recommend",le="0.01"} 120
freshet_recommender_request_seconds_bucket{route="/recommend",le="0.02"} 150
freshet_recommender_request_seconds_bucket{route="/recommend",le="+Inf"} 150
freshet_recommender_fallbacks_total{name="popular"} 17
freshet_recommender_answer_cache_total{outcome="hit"} 4
freshet_recommender_answer_cache_total{outcome="miss"} 6
freshet_recommender_shed_total{part="queue"} 2
freshet_recommender_shed_total{part="limit"} 1
freshet_recommender_item_table_items 61
freshet_recommender_dependency_up{dependency="redis"} 1
freshet_recommender_dependency_up{dependency="kafka"} 0
"""
STREAM = """\
freshet_stream_events_total{result="new"} 90
freshet_stream_events_total{result="duplicate"} 4
freshet_stream_events_total{result="late"} 2
freshet_stream_dead_letters_total{reason="json"} 5
freshet_stream_dead_letters_total{reason="schema"} 1
freshet_stream_lag_messages{topic="events",partition="0"} 3
freshet_stream_lag_messages{topic="events",partition="1"} 4
freshet_stream_lag_seconds{topic="events",partition="0"} 0.5
freshet_stream_lag_seconds{topic="events",partition="1"} 1.5
freshet_stream_rebuilding 1
"""


def known() -> list[dict[str, Sample]]:
    """Two samples: the recommender has served, the stream is new, ingest is away, outcomes stand still."""
    before, after, stream = (parse(text, NAMES) for text in (BEFORE, AFTER, STREAM))
    away = dict.fromkeys(PARTS, NOTHING)
    last = {
        "recommender": Sample(after, increase(before, after), 2.0),
        "stream": Sample(stream),
        "outcomes": Sample({}, {}, 2.0),
    }
    return [away | {"recommender": Sample(before)}, away | last]


def test_curves_are_of_what_has_grown() -> None:
    values = curve_values(known())
    assert values == {
        "events_per_s": None,
        "requests_per_s": 25.0,
        "freshness_p50_ms": None,
        "freshness_p99_ms": None,
        # 20 of 50 within 10 ms, the others within 20 ms
        "latency_p50_ms": pytest.approx(10 + 10 * 5 / 30, abs=1e-3),
        "latency_p99_ms": pytest.approx(10 + 10 * 29.5 / 30, abs=1e-3),
        "fallback_share": 0.25,
        "lag_messages": 7.0,
        "lag_s": 1.5,
        "dead_per_s": 0.0,
    }


def test_totals_are_as_they_stand() -> None:
    assert totals(known()[-1]) == {
        "dead_total": 6,
        "dead_by_reason": {"json": 5, "schema": 1},
        "duplicates_total": 4,
        "late_total": 2,
        "rebuilding": True,
        "shed_total": 3,
        "items": 61,
        "dependencies": {"kafka": False, "redis": True},
    }
    nothing = totals(dict.fromkeys(PARTS, NOTHING))
    assert nothing.pop("dead_by_reason") == nothing.pop("dependencies") == {}
    assert set(nothing.values()) == {None}


def test_shares_are_of_the_lists_that_were_given() -> None:
    assert shares(known()) == {"fallbacks": {"popular": 0.25}, "cache_hit_rate": 0.25}
    assert shares([dict.fromkeys(PARTS, NOTHING)]) == {"fallbacks": {}, "cache_hit_rate": None}


def test_several_processes_are_one_part_or_none() -> None:
    one, other = (
        parse('freshet_stream_lag_messages{partition="0"} 3', NAMES),
        parse("freshet_stream_rebuilding 1", NAMES),
    )
    both = together([Sample(one, one, 2.0), Sample(other, other, 60.0)])
    assert both.values == both.grown == one | other
    assert both.over_s == 60.0, "one that was away has grown for longer: no false peak"
    new = together([Sample(one, one, 2.0), Sample(other)])
    assert (new.values, new.grown) == (one | other, one), "what it has counted before was not now"
    assert together([Sample(one), Sample(other)]).grown is None
    gone = together([Sample(one, one, 2.0), Sample(None, error="a: refused"), Sample(None, error="b: too")])
    assert (gone.values, gone.error) == (None, "a: refused; b: too")


def test_gauges_of_several_processes_are_no_sums() -> None:
    one, other = (
        parse(
            f"freshet_recommender_item_table_items {items}\n"
            f'freshet_recommender_dependency_up{{dependency="redis"}} {up}\n'
            f"freshet_recommender_shed_total 1\n",
            NAMES,
        )
        for items, up in ((60, 1), (61, 0))
    )
    nothing = dict.fromkeys(PARTS, NOTHING)
    told = totals(nothing | {"recommender": together([Sample(one), Sample(other)], GAUGES)})
    assert (told["items"], told["dependencies"], told["shed_total"]) == (60, {"redis": False}, 2)
