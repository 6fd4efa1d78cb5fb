"""The story of one request: read who asks, choose, describe, log what was shown."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter

from bento.errors import Forbidden, Invalid, NotFound, Unavailable
from bento.recommender import explain, fallback
from bento.recommender.ask import Ask, Choice, Json
from bento.recommender.impressions import Impressions, Shown
from bento.recommender.metrics import Metrics
from bento.recommender.release import Release, Releases
from bento.recommender.visitors import NOBODY, StoreAway, Visitor, Visitors, session_visitor
from feature_repo.events import BadEvent, check_clock, pseudonym
from feature_repo.online import OnlineRow
from feature_repo.request_features import empty_user
from feature_repo.schema import ITEM_CATALOG, ITEM_FEATURES
from feature_repo.state import ItemState
from infra.settings import Settings

log = logging.getLogger(__name__)


class Pipeline:
    """Answers every question of the REST contract.

    Args:
        settings: mode, max_k, max_batch_events, lateness_s, feature_ttl_s.
        releases: the model and the items.
        visitors: reads users and single items.
        impressions: takes what was shown.
    """

    def __init__(
        self, settings: Settings, releases: Releases, visitors: Visitors, impressions: Impressions, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._releases = releases
        self._visitors = visitors
        self._impressions = impressions
        self._metrics = metrics
        self._away = False

    async def recommend(self, ask: Ask) -> Json:
        """Answer /recommend.

        Raises:
            Invalid, Forbidden: the request cannot be taken. Nothing else: what fails behind it is answered by a
                fallback that says its name.
        """
        started = perf_counter()
        self._check(ask)
        now_us = _now_us() if ask.clock_us is None else ask.clock_us
        with self._metrics.stage("read"):
            visitor = await self._visitor(ask, now_us)
        release = self._releases.current
        with self._metrics.stage("rank"), release.catalog.lock:
            choice = fallback.choose(release, visitor, ask, now_us, self._metrics)
            items = self._described(release, choice, visitor, ask)
        answer = _answer(ask, release, choice.fallback, visitor, now_us)
        answer["recommendations"], answer["count"] = items, len(items)
        self._impressions.offer(Shown(answer, release.feature_names, choice.features))
        self._count(answer)
        answer["took_ms"] = round((perf_counter() - started) * 1_000, 3)
        return answer

    def _check(self, ask: Ask) -> None:
        if ask.k > self._settings.max_k:
            raise _invalid("k", f"must be at most {self._settings.max_k}, not {ask.k}")
        if ask.clock_us is not None and self._settings.mode != "local":
            raise Forbidden("at: the request's clock may be set only where FRESHET_MODE is local; leave it out")
        if ask.events is not None and len(ask.events) > self._settings.max_batch_events:
            raise _invalid("events", f"must be at most {self._settings.max_batch_events}, not {len(ask.events)}")
        for n, event in enumerate(ask.events or ()):
            try:
                check_clock(event, _now_us())
            except BadEvent as error:
                raise _invalid(f"events.{n}.timestamp", error.detail) from None

    async def _visitor(self, ask: Ask, now_us: int) -> Visitor:
        if ask.events is not None:
            return session_visitor(ask.events, now_us, self._settings)
        try:
            visitor = await self._visitors.read(ask.user_id, now_us)
        except StoreAway as error:
            self._say_away(str(error))
        except Exception:
            log.exception("answering without the user's row", extra={"user_key": pseudonym(ask.user_id)})
        else:
            self._say_away("")
            return visitor
        self._metrics.failures.labels("read").inc()
        return NOBODY

    def _say_away(self, error: str) -> None:
        # Once when it goes and once when it comes: every request of an outage would say the same.
        if error and not self._away:
            log.warning("answering without users' rows: Redis is away: %s", error)
        elif self._away and not error:
            log.info("users' rows are read again")
        self._away = bool(error)

    def _described(self, release: Release, choice: Choice, visitor: Visitor, ask: Ask) -> list[Json]:
        items = _items(release, choice)
        if ask.explain:
            try:
                for item, why in zip(items, explain.reasons(release, choice, visitor), strict=True):
                    item["reasons"] = why
            except Exception:
                self._metrics.failures.labels("explain").inc()
                log.exception("reasons could not be given")
        return items

    def _count(self, answer: Json) -> None:
        if answer["fallback"] is not None:
            self._metrics.fallbacks.labels(answer["fallback"]).inc()
        elif answer["feature_age_ms"] is not None:
            self._metrics.feature_age.observe(answer["feature_age_ms"] / 1_000)

    async def user_features(self, user_id: str) -> Json:
        """The rows of a user. Raises NotFound, Unavailable."""
        now_us = _now_us()
        with _store_needed():
            visitor = await self._visitors.read(user_id, now_us)
        time_us = visitor.time_us or visitor.profile_us
        if time_us is None:
            raise NotFound(f"user {user_id} has no features: no profile, and no event within FRESHET_FEATURE_TTL_S")
        features = {**(visitor.row or empty_user()), "segments": list(visitor.segments)}
        return {"user_id": user_id, "features": features, **_age(time_us, now_us)}

    async def item_features(self, item_id: str) -> Json:
        """The rows of an item. Raises NotFound, Unavailable."""
        now_us = _now_us()
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
        self._check(Ask("", k))
        release, now_us = self._releases.current, _now_us()
        with release.catalog.lock:
            item = release.catalog.table.index.get(item_id)
            if item is None:
                raise NotFound(f"item {item_id} is unknown: no event or catalogue entry named it")
            choice = fallback.similar(release, item, k, now_us)
            return {"item_id": item_id, **_list(release, choice, now_us)}

    def popular(self, k: int, category: str | None) -> Json:
        """What everybody likes now. Raises Invalid."""
        ask = Ask("", k, category=category)
        self._check(ask)
        release, now_us = self._releases.current, _now_us()
        with release.catalog.lock:
            choice = fallback.by_popularity(release, NOBODY, ask, now_us)
            asked_for = choice._replace(fallback=None) if choice else fallback.static(release, ask)
            return _list(release, asked_for, now_us)

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
            "refused": self._releases.refused,
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


def _answer(ask: Ask, release: Release, fallback: str | None, visitor: Visitor, now_us: int) -> Json:
    age_us = None if visitor.time_us is None else max(now_us - visitor.time_us, 0)
    return {
        "recommendation_id": uuid.uuid4().hex,
        "user_id": ask.user_id,
        "recommendations": [],
        "count": 0,
        "model_version": release.version,
        "variant": release.variant,
        "fallback": fallback,
        "feature_age_ms": None if age_us is None else age_us / 1_000,
        "took_ms": 0.0,
        "timestamp": _iso(now_us),
    }


def _list(release: Release, choice: Choice, now_us: int) -> Json:
    items = _items(release, choice)
    return {
        "recommendations": items,
        "count": len(items),
        "model_version": release.version,
        "fallback": choice.fallback,
        "timestamp": _iso(now_us),
    }


def _items(release: Release, choice: Choice) -> list[Json]:
    table = release.catalog.table
    return [
        {"item_id": table.ids[n], "score": score, "source": source}
        | ({"title": title} if (title := table.titles[n]) else {})
        for n, score, source in zip(choice.numbers.tolist(), choice.scores.tolist(), choice.sources, strict=True)
    ]


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}", [{"field": field, "message": message}])


@contextmanager
def _store_needed() -> Iterator[None]:
    try:
        yield
    except StoreAway as error:
        log.warning("the online store is away: %s", error)
        raise Unavailable("the online store gave no answer; try again") from None


def _age(time_us: int, now_us: int) -> Json:
    return {"event_timestamp": _iso(time_us), "age_ms": max(now_us - time_us, 0) / 1_000}


def _now_us() -> int:
    return time.time_ns() // 1_000


def _iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
