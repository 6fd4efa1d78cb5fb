"""An ablated system is what the product would be without the source, on the same candidates."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.ablation import FEATURE_GROUPS, without_group, without_source
from feature_repo.state import HALF_LIVES
from models.fusion import RANK_WEIGHTS
from models.sources import (
    RANK_OFFSET,
    SOURCE_FEATURES,
    SOURCES,
    Floats,
    Known,
    Numbers,
    Said,
    SourceLists,
    fuse,
)


def answers(lists: dict[str, list[int]]) -> SourceLists:
    """Sources that name some of six items, with falling scores."""
    told = {name: np.array(lists.get(name, []), np.intp) for name in SOURCES}

    def said(source: str) -> Said:
        scores = np.zeros(6, np.float32)
        scores[told[source]] = np.arange(len(told[source]), 0, -1)
        return lambda items: scores[items]

    def interest(items: Numbers) -> Floats:
        counts = np.ones((len(items), len(HALF_LIVES)), np.float32)
        for source, half_life in (("trending", "7d"), ("popular", "30d")):
            counts[:, list(HALF_LIVES).index(half_life)] = said(source)(items)
        return counts

    known = Known(said("retriever"), said("item_to_item"), said("long_term"), interest, lambda items: items * 0 + 1)
    return SourceLists(told, fuse(told, RANK_WEIGHTS, 6), known, stale=False)


LISTS = {"retriever": [0, 1, 2], "item_to_item": [2, 3], "long_term": [4], "trending": [5, 0], "popular": [5]}


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_left_is_what_the_other_sources_say(source: str) -> None:
    every = np.arange(6)
    left = without_source(answers(LISTS).features(every), source)
    others = answers({name: items for name, items in LISTS.items() if name != source}).features(every)
    same = [n for n, name in enumerate(SOURCE_FEATURES) if not name.startswith(f"{source}_")]
    assert left[:, same] == pytest.approx(others[:, same], abs=1e-5)
    assert not left[:, [n for n, name in enumerate(SOURCE_FEATURES) if name.startswith(f"{source}_")]].any()
    alone = [n for n in LISTS[source] if not any(n in items for name, items in LISTS.items() if name != source)]
    assert (left[alone, SOURCE_FEATURES.index("rank_fusion")] == pytest.approx(0, abs=1e-6)) or not alone


def test_a_group_is_gone_and_the_rest_stays() -> None:
    features = answers(LISTS).features(np.arange(6))
    left = without_group(features, "ranks")
    gone = [SOURCE_FEATURES.index(name) for name in FEATURE_GROUPS["ranks"]]
    assert set(FEATURE_GROUPS["ranks"]) == {*(f"{name}_reciprocal_rank" for name in SOURCES), "rank_fusion"}
    assert not left[:, gone].any()
    kept = np.setdiff1d(np.arange(len(SOURCE_FEATURES)), gone)
    assert np.array_equal(left[:, kept], features[:, kept])
    assert features[0, SOURCE_FEATURES.index("retriever_reciprocal_rank")] == pytest.approx(RANK_OFFSET / 20)
