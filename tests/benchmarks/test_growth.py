"""The growth curve measures real servers, its bounds can break, and the capacity plan follows from its figures."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import capacity, growth
from benchmarks.capacity_plan import Measured, Wish, plan
from benchmarks.growth_bounds import BOUNDS, Each, verdicts
from benchmarks.growth_requests import made_bundle
from benchmarks.growth_shop import HISTORY, catalogue, coming_events, past_events, populate, segments
from feature_repo.events import Event
from infra.settings import ROOT
from models.bundle import Bundle

TINY = [
    *("--users", "60", "--items", "80", "--with-users", "60", "--with-items", "80"),
    *("--waiting", "200", "--rate", "100", "--few", "20", "--request-rate", "20"),
    *("--seconds", "1", "--rounds", "1", "--sample", "0"),
]


def test_a_population_has_a_short_past_and_goes_on() -> None:
    population = populate(200, 90)
    past = [event for block in past_events(population) for event in block]
    acts = np.bincount(population.history.user, minlength=200)
    assert (acts.min(), acts.max(), len(past)) == (1, HISTORY, acts.sum())
    assert [event.time_us for event in past] == sorted(event.time_us for event in past)
    coming = coming_events(population, 500, seed=1, active=10)
    again = coming_events(populate(200, 90), 500, seed=1, active=10)
    assert len({event.user_id for event in coming}) == 10
    assert len({event.event_id for event in (*past, *coming)}) == len(past) + 500
    assert [(e.event_id, e.user_id, e.item_id) for e in coming] == [(e.event_id, e.user_id, e.item_id) for e in again]
    assert min(event.time_us for event in coming) > past[-1].time_us
    for event in (*past, *coming):
        assert Event.model_validate_json(event.encode()) == event


def test_a_made_release_is_one_that_serves(tmp_path: Path) -> None:
    population = populate(50, 400)
    names = segments(3, population.shelves)
    made_bundle(catalogue(population.shelves), names).save(tmp_path)
    bundle = Bundle.load(tmp_path)
    bundle.check_features()
    assert bundle.ranker is not None
    assert bundle.ranker.trees > 0
    for item in (0, 399):
        neighbours, weights = bundle.covisitation.of(item)
        assert len(set(neighbours.tolist()) - {item}) == len(neighbours) == 200
        assert (np.diff(weights) <= 0).all()


def test_a_tiny_run_measures_and_its_bounds_are_checked(tmp_path: Path) -> None:
    file, picture = tmp_path / "growth.json", tmp_path / "growth.png"
    assert growth.main([*TINY, "--json", str(file), "--plot", str(picture)]) == 0
    assert picture.stat().st_size > 10_000
    kept = json.loads(file.read_text())
    (point,) = kept["points"].values()
    for way in ("few", "waiting", "everybody"):
        assert point["stream"][way]["cpu_us"] > 0
        assert 0 < point["stream"][way]["rows"] < 4
    assert point["stream"]["redis_bytes"] > 60 * point["stream"]["user_hash_bytes"]
    assert point["requests"]["count"] > 0
    assert point["requests"]["impression_bytes"] > 0

    larger = copy.deepcopy(point) | {"users": 600}
    kept["points"]["600x80"] = larger
    report = [*TINY, "--users", "60", "600", "--report", "--json", str(file)]
    file.write_text(json.dumps(kept))
    assert growth.main(report) == 0
    larger["stream"]["few"]["cpu_us"] *= 10
    file.write_text(json.dumps(kept))
    assert growth.main(report) == 1


def test_every_bound_can_break() -> None:
    figures = _figures()
    sweeps = {"users": [figures(1_000, 10), figures(10_000, 10)], "items": [figures(10, 1_000), figures(10, 10_000)]}
    held = verdicts(sweeps)
    assert len(held) == len(BOUNDS)
    assert all(verdict.held for verdict in held)
    sweeps = {name: [small, _times(large, 1_000)] for name, (small, large) in sweeps.items()}
    assert not any(verdict.held for verdict in verdicts(sweeps))


def test_memory_is_judged_by_what_one_more_takes() -> None:
    bound = Each("memory", "users", lambda figures: figures["bytes"], 2)
    sizes = [{"users": 10, "bytes": 1e9}, {"users": 20, "bytes": 1e9 + 10 * 1_900}]
    assert bound.verdict(sizes).held
    sizes[1]["bytes"] += 10 * 200
    assert not bound.verdict(sizes).held


def test_the_plan_follows_from_figures_and_wish() -> None:
    found = Measured.of({"points": {"": _figures()(1_000, 10), "1": _figures()(1_000, 20)}, "sizes": _SIZES})

    def results(wish: Wish) -> Mapping[str, float]:
        lines = (line for section in plan(found, wish).values() for line in section)
        return {line.what: float(line.result.replace(",", "").split()[0]) for line in lines if line.result[0].isdigit()}

    # 1e9 / 86,400 x 3 x (100 + 123) us / .6 = 12.9 cores; 1e8 x .2 x 6 KB + 1e8 x .8 x 2 KB = 280 GB
    one, two = results(Wish()), results(Wish(events=2e9))
    assert one["**processes**"] == 13
    assert one["memory of states"] == 280
    assert two["**processes**"] == 26
    assert two["into the log"] == pytest.approx(2 * one["into the log"], rel=0.05)
    assert two["memory of states"] == one["memory of states"]
    assert results(Wish(users=2e8))["memory of states"] == 560


def test_the_documents_show_what_the_figures_give(tmp_path: Path) -> None:
    for name, write in (("capacity", capacity.main), ("benchmarks", growth.main)):
        document = ROOT / "docs" / f"{name}.md"
        copied = tmp_path / document.name
        copied.write_text(document.read_text())
        kept = ["--report", "--json"] if write is growth.main else ["--figures"]
        write([*kept, str(capacity.FIGURES), "--write", str(copied)])
        assert copied.read_text() == document.read_text(), f"{document.name}: the command at its mark writes it anew"


_SIZES: Mapping[str, Any] = {
    "event": {"message": 190.0, "key": 10.0, "zstd": 40.0, "lz4": 60.0, "parquet": 50.0, "bson": 200.0},
    "users": {
        acts: {"state": size, "snapshot": size / 4, "redis": size / 2, "redis_compact": size / 4}
        for acts, size in (("20", 2_000.0), ("200", 6_000.0))
    },
    "backfill": {"cpu_us": 200.0, "bytes": 300.0},
    "ingest": {"one_us": 500.0, "array_us": 50.0},
}


def _figures() -> Any:
    def of(users: int, items: int) -> dict[str, Any]:
        way = {"cpu_us": 100.0, "redis_us": 20.0, "rows": 3.0, "per_s": 1_000.0}
        stream = {name: dict(way) for name in ("few", "everybody", "waiting")}
        memory = {"rss_bytes": 1e8 + 1_000 * users, "redis_bytes": 1e6 + 1_000 * (users + items)}
        stream |= memory | {"acts_per_user": 3.0, "rebuild_s": 1.0, "item_hash_bytes": 500.0}
        on_time = {"p99_ms": 5.0}
        asked = {"cpu_ms": 3.0, "redis_us": 20.0, "rss_bytes": 3e8 + 1_000 * items, "impression_bytes": 5_000.0}
        return {"users": users, "items": items, "stream": stream, "requests": asked | {"on_time": on_time}}

    return of


def _times(figures: Any, factor: float) -> Any:
    if isinstance(figures, dict):
        return {k: v if k in ("users", "items") else _times(v, factor) for k, v in figures.items()}
    return figures * factor
