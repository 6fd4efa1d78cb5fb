"""What is wrong with served rows, on frames whose fault can be seen."""

import pandas as pd

from bento.recommender.explain import SOURCE_WORDS
from flows.quality_checks import KNOWN_SOURCES, constants, nulls, silence, unknown
from models.sources import SOURCES


def test_every_source_of_the_recommender_is_known():
    assert set(SOURCES) <= KNOWN_SOURCES <= set(SOURCE_WORDS)


def test_a_feature_that_is_missing_too_often_is_named():
    rows = pd.DataFrame({"a": [1.0] * 19 + [None], "b": [1.0] * 18 + [None] * 2})
    assert list(nulls(rows, ["a", "b"], 0.05)) == [("nulls", "b", "b is missing in 10.0% of 20 rows, allowed 5.0%")]
    assert [alert.feature for alert in nulls(rows, ["a", "gone"], 0.05)] == ["gone"]
    assert list(nulls(rows.head(0), ["a"], 0.05)) == []


def test_a_feature_that_stands_still_is_an_alert_unless_chance_may_do_that():
    reference = pd.DataFrame({"varies": [0.0, 1.0] * 50, "rare": [0.0] * 99 + [1.0], "still": [2.0] * 100})
    rows = pd.DataFrame({"varies": [1.0] * 40, "rare": [0.0] * 40, "still": [2.0] * 40, "new": [0.0] * 40})
    found = list(constants(reference, rows, ["varies", "rare", "still", "new"], lists=40))
    assert [(alert.check, alert.feature) for alert in found] == [("constant", "varies")]
    assert "varies is 1 in all 40 rows, in 50.0% of the reference" in found[0].message
    assert list(constants(reference, rows, ["varies"], lists=4)) == []


def test_strange_sources_and_items_are_named():
    rows = pd.DataFrame({"source": ["popular", "moon", "popular"], "item_id": ["i", "i", "ghost"]})
    source, item = unknown(rows, {"i"}, 0.05)
    assert source.message == "source 'moon' is new, in 1 of 3 rows"
    assert "1 of 3 rows show items that the catalogue does not have, 'ghost' most often" in item.message
    assert [alert.check for alert in unknown(rows, {"i"}, 0.4)] == ["unknown source"]
    assert list(unknown(rows.head(0), set(), 0.05)) == []


def test_silence_is_measured_from_the_newest():
    assert list(silence("event", 9_000_000, 10_000_000, 1.0)) == []
    (alert,) = silence("event", 8_000_000, 10_000_000, 1.0)
    assert alert.message == "no event for 2 s, longest allowed 1 s"
    (never,) = silence("served row", None, 10_000_000, 1.0)
    assert never.message == "no served row at all"
