"""features.md: every feature, from the classes that define it."""

from __future__ import annotations

from collections.abc import Mapping

from docs.reference.markdown import WRITTEN, code, table
from feature_repo.events import EVENT_TYPES
from feature_repo.request_features import ITEM_FEATURES, PAIR_FEATURES, REQUEST_FEATURES, USER_FEATURES
from feature_repo.schema import VIEWS, View
from feature_repo.state import HALF_LIVES, decayed_names
from models.ranker import FUSION
from models.sources import SOURCE_FEATURES, SOURCES

INTRODUCTION = f"""# Features

{WRITTEN} Streamed features are defined by `FEATURES` in `feature_repo/state.py`, views by `VIEWS` in
`feature_repo/schema.py`, features of the moment by `feature_repo/request_features.py`, what the sources say by
`models/sources.py`. Which of them a model reads stands in `feature_repo/services.py`. How one is added:
[README](../../README.md#add-a-feature).

"""
NEUTRAL = {"string": '""', "int64": "0", "float32": "0.0", "strings": "[]", "int64s": "[]", "float32s": "[]"}
"""Type -> the value that an unknown entity has."""

KEEPERS = {
    "user_features": "the stream, from every event",
    "user_seen": "the stream, from every event",
    "item_features": "the stream, from every event",
    "item_catalog": "the stream, from `PUT /items/{item_id}`",
    "user_profile": "the stream, from `PUT /users/{user_id}`",
    "segment_favourites": "batch: `python -m flows.train` and Prefect's flow `materialize`",
}
_HALF = {f"{name}": f"half-life {name}" for name in HALF_LIVES}
WORDS: Mapping[str, str] = {
    "user_log_events": "log(1 + all-time events of the user)",
    "user_log_hours_idle": "log(1 + hours since the user's newest event); 0 without events",
    **{f"user_log_{name}": f"log(1 + the user's decayed events of interest), {half}" for name, half in _HALF.items()},
    "user_mean_value": "mean of the user's values; 0 without any",
    **{f"item_log_{name}": f"log(1 + the item's decayed events of interest), {half}" for name, half in _HALF.items()},
    **{f"item_{kind}_7d": f"log(1 + the item's decayed {kind} events), half-life 7d" for kind in EVENT_TYPES},
    "item_log_events": "log(1 + all-time events of the item)",
    "item_mean_value": "mean of the item's values; 0 without any",
    "item_rising": "log of (7d count + 1) over (30d count + 1): above what it used to be, or below",
    "item_log_hours_idle": "log(1 + hours since the item's newest event); 0 without events",
    "item_log_age_days": "log(1 + days since publication); 0 when unknown",
    "item_log_price": "log(1 + price)",
    "category_affinity": "cosine of the item's categories and those of the user's last items, the older the less",
    "last_item_similarity": "cosine of the item's categories and those of the user's last item",
    "years_from_recent": "years between the item's publication and the mean of the user's last five; 0 when unknown",
    "value_from_mean": "the item's mean value less the user's",
    "retriever_score": "log-softmax of the net's score over its own list",
    "item_to_item_score": "log of the item's share of all that the user's last items point to",
    "long_term_score": "distance from the best of the list",
    "trending_score": "log(1 + decayed events of interest), half-life 7d",
    "popular_score": "log(1 + decayed events of interest), half-life 30d",
    **{f"{name}_reciprocal_rank": f"reciprocal rank in the list of {name}; 0 when not listed" for name in SOURCES},
    "today_score": "log(1 + decayed events of interest), half-life 1d",
    "ever_score": "log(1 + all-time events)",
    "rank_fusion": "weighted sum of the reciprocal ranks",
    FUSION: "the learned fusion's score, from which the trees start",
}
"""Feature of the moment -> what it is."""


def page() -> str:
    """The text of the page."""
    parts = [INTRODUCTION, "## Views\n\n", _views()]
    parts += [f"### {view.name}\n\n" + _fields(view) for view in VIEWS]
    parts.append(
        "## Features of the moment\n\nComputed for a user, an item and a clock, by one NumPy function for training and "
        "serving. All are float32; the neutral value is 0. Events of interest are all types but `remove_from_cart`.\n\n"
    )
    columns = {"user": USER_FEATURES, "item": ITEM_FEATURES, "user and item": PAIR_FEATURES}
    rows = [(code(name), of, WORDS[name]) for of, names in columns.items() for name in names]
    parts.append(table(("feature", "of", "meaning"), rows))
    parts.append("## What the sources say\n\nOf a candidate, for the fusion and the trees; float32.\n\n")
    parts.append(table(("feature", "meaning"), [(code(name), WORDS[name]) for name in (*SOURCE_FEATURES, FUSION)]))
    return "".join(parts).rstrip() + "\n"


def names() -> tuple[str, ...]:
    """Every feature's name."""
    stored = [name for view in VIEWS for name in view.fields]
    return (*stored, *REQUEST_FEATURES, *SOURCE_FEATURES, FUSION)


def _views() -> str:
    rows = [
        (f"[{view.name}](#{view.name})", code(view.entity), str(len(view.fields)), KEEPERS[view.name], _age(view))
        for view in VIEWS
    ]
    return table(("view", "key", "fields", "kept by", "expires"), rows)


def _age(view: View) -> str:
    return "after `FRESHET_FEATURE_TTL_S`" if view.expires else "never"


def _fields(view: View) -> str:
    decayed = set(decayed_names())
    rows = []
    for name, dtype in view.fields.items():
        unit = "events" if name in decayed else "us" if name.endswith("_us") else ""
        rows.append((code(name), dtype, unit, code(NEUTRAL[dtype]), view.descriptions[name]))
    return table(("field", "type", "unit", "neutral", "meaning"), rows)
