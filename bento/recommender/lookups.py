"""Questions beside /recommend: a user's or an item's features, similar and popular items, which model is served."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bento.errors import NotFound, Unavailable
from bento.recommender.ask import Ask, Choice, Json, Order
from bento.recommender.connection import StoreAway
from bento.recommender.fallback import Ladder
from bento.recommender.release import Release
from bento.recommender.releases import Releases
from bento.recommender.shelves import Shelves
from bento.recommender.visitors import Visitors
from bento.recommender.wording import check_k, clock_us, iso, items_of
from feature_repo.online import OnlineRow
from feature_repo.request_features import empty_user
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES
from feature_repo.state import ItemState
from infra.settings import Settings

log = logging.getLogger(__name__)


class Lookups:
    """Answers them.

    Args:
        settings: max_k, model_name, model_alias, bundle_dir.
        releases: the model and the items.
        visitors: reads users and single items.
        ladder: chooses lists.
    """

    def __init__(self, settings: Settings, releases: Releases, visitors: Visitors, ladder: Ladder) -> None:
        self._settings = settings
        self._releases = releases
        self._visitors = visitors
        self._ladder = ladder
        self._shelves = Shelves(ladder)

    async def user_features(self, user_id: str) -> Json:
        """The rows of a user. Raises NotFound, Unavailable."""
        now_us = clock_us()
        with _store_needed():
            visitor = await self._visitors.read(user_id, now_us)
        time_us = visitor.time_us or visitor.profile_us
        if time_us is None:
            raise NotFound(f"user {user_id} has no features: no profile, and no event within FRESHET_FEATURE_TTL_S")
        features = {**(visitor.row or empty_user()), "segments": list(visitor.segments)}
        return {"user_id": user_id, "features": features, **_age(time_us, now_us)}

    async def item_features(self, item_id: str) -> Json:
        """The rows of an item. Raises NotFound, Unavailable."""
        now_us = clock_us()
        with _store_needed():
            rows = await self._visitors.read_item(item_id, now_us)
        counted, entry = rows[ITEM_FEATURES.name], rows[ITEM_CATALOG.name]
        found: Sequence[OnlineRow] = [row for row in (counted, entry) if row is not None]
        if not found:
            raise NotFound(
                f"item {item_id} has no features: not in the catalogue, and no event within FRESHET_FEATURE_TTL_S"
            )
        features = {**(counted.features if counted else ItemState().row()), **(entry.features if entry else {})}
        return {"item_id": item_id, "features": features, **_age(found[0].time_us, now_us)}

    def similar(self, item_id: str, k: int) -> Json:
        """Items like one item. Raises NotFound, Invalid."""
        check_k(k, self._settings)
        release, now_us = self._releases.current, clock_us()
        choice, answer = self._similar(release, item_id, k, now_us)
        if choice.fault is not None and (other := self._releases.beside(release)) is not None:
            again, better = self._similar(other, item_id, k, now_us)
            if again.fault is None:
                self._releases.refuse(release, choice.fault)
                return better
        return answer

    def _similar(self, release: Release, item_id: str, k: int, now_us: int) -> tuple[Choice, Json]:
        with release.catalog.lock:
            item = release.catalog.table.index.get(item_id)
            if item is None:
                raise NotFound(f"item {item_id} is unknown: no event or catalogue entry named it")
            choice = self._ladder.similar(release, item, k, now_us)
            return choice, {"item_id": item_id, **_list(release, choice, now_us)}

    def popular(self, k: int, category: str | None, order: Order) -> Json:
        """What everybody likes now, what rises, or what is new. Raises Invalid."""
        check_k(k, self._settings)
        release, now_us = self._releases.current, clock_us()
        with release.catalog.lock:
            choice = self._shelves.list(order, release, Ask("", k, category=category), now_us)
            return _list(release, choice, now_us)

    def model(self) -> Json:
        """What is served."""
        release = self._releases.current
        return {
            "model_version": release.version,
            "registered_version": release.registered,
            "variant": release.variant,
            "source": "bundle_dir" if self._settings.bundle_dir else "registry",
            "loaded_at": release.loaded_at.isoformat() if release.loaded_at else None,
            "items": len(release.catalog.table),
            "item_table_age_s": release.catalog.age_s(),
            "feature_names": list(release.feature_names),
            "metrics": dict(release.bundle.metrics) if release.bundle else {},
            "canary": None if (canary := self._releases.canary) is None else canary.as_json(),
            "previous": None if (previous := self._releases.previous) is None else previous.names(),
            "aliases": self._releases.followed(),
            "refused": dict(self._releases.refused),
            "untold": self._releases.untold,
            "trouble": self._releases.trouble or None,
        }

    def missing(self) -> dict[str, str]:
        """What stands between this process and readiness: part -> what to do; empty when it is ready.

        Redis's being away is not among them: then fallbacks answer, and taking every replica out would answer nothing.
        """
        release, missing = self._releases.current, {}
        if release.scorer is None:
            missing["model"] = (
                f"no version of {self._settings.model_name} has alias {self._settings.model_alias}: train"
            )
        if release.catalog.age_s() is None:
            missing["items"] = "the item table could not be read from Redis yet"
        return missing


def _list(release: Release, choice: Choice, now_us: int) -> Json:
    items = items_of(release, choice)
    return {
        "recommendations": items,
        "count": len(items),
        "model_version": release.version,
        "fallback": choice.fallback,
        "timestamp": iso(now_us),
    }


@contextmanager
def _store_needed() -> Iterator[None]:
    try:
        yield
    except StoreAway as error:
        log.warning("the online store is away: %s", error)
        raise Unavailable("the online store gave no answer; try again") from None


def _age(time_us: int, now_us: int) -> Json:
    return {"event_timestamp": iso(time_us), "age_ms": max(now_us - time_us, 0) / 1_000}
