"""Feature views as plain data: name, entity, fields.

``definitions.py`` turns these into Feast objects, ``online.py`` writes and reads them in Redis without
importing Feast, and the backfill writes them as Parquet: all three from this one list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from feature_repo.state import Dtype, Feature, ItemState, UserState

PROJECT = "freshet"
TIMESTAMP = "event_timestamp"


@dataclass(frozen=True)
class View:
    """One feature view: rows of ``fields`` keyed by ``entity`` (its join key), all as of one time.

    ``expires``: a row counts as missing once it is older than FRESHET_FEATURE_TTL_S.
    """

    name: str
    entity: str
    fields: Mapping[str, Dtype]
    descriptions: Mapping[str, str]
    expires: bool = False


def _streamed(name: str, entity: str, features: Mapping[str, Feature]) -> View:
    types = {n: f.dtype for n, f in features.items()}
    return View(name, entity, types, {n: f.description for n, f in features.items()}, expires=True)


USER_FEATURES = _streamed("user_features", "user_id", UserState.FEATURES)
USER_SEEN = _streamed("user_seen", "user_id", UserState.SEEN_FEATURES)
ITEM_FEATURES = _streamed("item_features", "item_id", ItemState.FEATURES)
ITEM_CATALOG = View(
    "item_catalog",
    "item_id",
    {
        "title": "string",
        "categories": "strings",
        "published_us": "int64",
        "price": "float32",
        "in_stock": "int64",
        "expires_us": "int64",
    },
    {
        "title": "what people call it",
        "categories": "labels, in the catalogue's order",
        "published_us": "publication, microseconds since the epoch; 0 when unknown",
        "price": "price; 0 when unknown",
        "in_stock": "1: may be recommended; 0: out of stock",
        "expires_us": "not recommended from then on, microseconds since the epoch; 0: never ends",
    },
)
USER_PROFILE = View("user_profile", "user_id", {"segments": "strings"}, {"segments": "labels such as age:25-34"})
SEGMENT_FAVOURITES = View(
    "segment_favourites",
    "segment",
    {"items": "strings", "scores": "float32s"},
    {"items": "most liked items of the segment, best first", "scores": "their share of the segment's recent events"},
)

VIEWS: tuple[View, ...] = (USER_FEATURES, USER_SEEN, ITEM_FEATURES, ITEM_CATALOG, USER_PROFILE, SEGMENT_FAVOURITES)
