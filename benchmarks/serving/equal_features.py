"""Whether the textbook's recommender ranks by the feature values that Freshet ranks by."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import redis

from bento.recommender.catalog import Catalog
from feature_repo.online import OnlineStore
from feature_repo.request_features import empty_user, request_features
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES, USER_FEATURES
from infra.settings import Settings
from models.bundle import Bundle


def largest_difference(settings: Settings, user_ids: Sequence[str]) -> float:
    """The largest difference of a request feature between both, over some users and all of the peer's candidates.

    The peer reads by Feast's SDK, Freshet by its own codecs into its item table; the clock is the same.

    Args:
        settings: of the running Redis and registry; bundle_dir, candidates, feature_ttl_s.
    """
    from benchmarks.serving.textbook import Recommender

    if settings.bundle_dir is None:
        raise ValueError("FRESHET_BUNDLE_DIR is not set; there is nothing to compare with")
    peer, now_us = Recommender(settings), time.time_ns() // 1_000
    with redis.Redis.from_url(settings.redis_url) as client:
        table = Bundle.load(settings.bundle_dir).new_item_table()
        catalog = Catalog(OnlineStore(client, [ITEM_FEATURES, ITEM_CATALOG]), table, settings.feature_ttl_s)
        catalog.catch_up()
        rows = OnlineStore(client, [USER_FEATURES]).read(USER_FEATURES.name, user_ids)
    found = [0.0]
    for user_id, row in zip(user_ids, rows, strict=True):
        pool = peer.candidates(user_id, now_us)
        numbers = np.array([table.index[item_id] for item_id in pool.items], np.intp)
        ours = request_features(row.features if row else empty_user(), table, numbers, now_us)
        found.append(float(np.abs(ours - pool.features).max(initial=0)))
    return max(found)
