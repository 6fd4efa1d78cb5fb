"""The story of one request: read who asks, choose, describe, log what was shown."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from time import perf_counter, thread_time

from bento.errors import Forbidden
from bento.recommender import explain
from bento.recommender.answer_cache import AnswerCache, Chosen
from bento.recommender.ask import Ask, Choice, Json
from bento.recommender.connection import StoreAway
from bento.recommender.experiments import Experiments
from bento.recommender.fallback import Ladder
from bento.recommender.impressions import Impressions, Origin, Shown
from bento.recommender.metrics import Metrics
from bento.recommender.pace import Pace
from bento.recommender.paging import Pages
from bento.recommender.placement import OUTSIDE
from bento.recommender.release import Release
from bento.recommender.releases import Releases
from bento.recommender.shadow import Shadows
from bento.recommender.visitors import NOBODY, Visitor, Visitors, session_visitor
from bento.recommender.wording import check_k, clock_us, invalid, iso, items_of
from feature_repo.events import BadEvent, check_clock, pseudonym
from infra.settings import Settings
from models.experiments import CHAMPION

log = logging.getLogger(__name__)


class Pipeline:
    """Answers /recommend.

    Args:
        settings: mode, max_k, max_batch_events, lateness_s, feature_ttl_s, request_timeout_ms, answer_cache,
            answer_cache_s.
        releases: the model and the items.
        visitors: reads users and single items.
        impressions: takes what was shown.
        pages: keeps what was shown, for later pages.
        ladder: chooses the list.
        experiments: tells how a user is to be served.
        shadows: scores what he would have been shown otherwise.
    """

    def __init__(
        self,
        settings: Settings,
        releases: Releases,
        visitors: Visitors,
        impressions: Impressions,
        pages: Pages,
        *,
        ladder: Ladder,
        experiments: Experiments,
        shadows: Shadows,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._releases = releases
        self._visitors = visitors
        self._impressions = impressions
        self._pages = pages
        self._experiments = experiments
        self._shadows = shadows
        self._metrics = metrics
        self._cache = AnswerCache(settings.answer_cache, settings.answer_cache_s, metrics)
        self._pace = Pace()
        self._ladder = ladder

    async def recommend(self, ask: Ask) -> Json:
        """Answer /recommend.

        Raises:
            Invalid, Forbidden: the request cannot be taken.
            NotFound: no list was made under the recommendation_id to go on with.
            Nothing else: what fails behind it is answered by a fallback that says its name.
        """
        started = perf_counter()
        self._check(ask)
        if ask.recommendation_id is not None:
            return await self._page(ask, ask.recommendation_id)
        now_us = clock_us() if ask.clock_us is None else ask.clock_us
        deadline = started + (ask.timeout_ms or self._settings.request_timeout_ms) / 1_000
        with self._metrics.stage("read"):
            visitor = await self._visitor(ask, now_us, deadline - started)
        running = self._experiments.running
        place, first = self._experiments.served(ask, running) if running else (OUTSIDE, self._releases.serving(ask))
        wanted, known = place.treatment.asked(ask), visitor
        with self._metrics.stage("rank"):
            if self._pace.is_short(deadline - perf_counter()):
                wanted, known = replace(wanted, context_item=None), visitor.unranked()
            release, (choice, items, made_us) = self._chosen(first, known, wanted, now_us)
        if release is not first and place.treatment.model != CHAMPION:
            place = OUTSIDE  # the variant's model could not answer
        answer = _answer(ask, release, choice.fallback, known, now_us)
        if place.label is not None:
            answer["variant"] = place.label
        answer["recommendations"], answer["count"] = items, len(items)
        answer["exhausted"] = choice.exhausted
        origin = Origin(made_us, release.registered, place.variants)
        self._pages.keep(answer, origin, release.catalog.table, choice)
        self._impressions.offer(Shown(answer, origin, release.feature_names, choice.first(ask.k).features))
        if place.shadows:
            self._shadows.offer(ask, visitor, now_us, answer, origin=origin, place=place)
        self._count(answer, origin)
        answer["took_ms"] = round((perf_counter() - started) * 1_000, 3)
        return answer

    async def _page(self, ask: Ask, recommendation_id: str) -> Json:
        started = perf_counter()
        found = await self._pages.find(ask.user_id, recommendation_id)
        answer = found.page(ask, self._releases.current.catalog.table)
        self._impressions.offer(Shown(answer, found.origin, (), None))
        self._count(answer, found.origin)
        answer["took_ms"] = round((perf_counter() - started) * 1_000, 3)
        return answer

    def _check(self, ask: Ask) -> None:
        check_k(ask.k, self._settings)
        if ask.clock_us is not None and self._settings.mode != "local":
            raise Forbidden("at: the request's clock may be set only where FRESHET_MODE is local; leave it out")
        if ask.events is not None and len(ask.events) > self._settings.max_batch_events:
            raise invalid("events", f"must be at most {self._settings.max_batch_events}, not {len(ask.events)}")
        for n, event in enumerate(ask.events or ()):
            try:
                check_clock(event, clock_us())
            except BadEvent as error:
                raise invalid(f"events.{n}.timestamp", error.detail) from None

    async def _visitor(self, ask: Ask, now_us: int, within_s: float) -> Visitor:
        if ask.events is not None:
            return session_visitor(ask.events, now_us, self._settings)
        try:
            return await self._visitors.read(ask.user_id, now_us, within_s)
        except StoreAway:
            pass  # the breaker says it once; every request of an outage would say the same
        except Exception:
            log.exception("answering without the user's row", extra={"user_key": pseudonym(ask.user_id)})
        self._metrics.failures.labels("read").inc()
        try:
            return self._visitors.remembered(ask.user_id, now_us) or NOBODY
        except Exception:
            log.exception("answering without what is remembered", extra={"user_key": pseudonym(ask.user_id)})
            return NOBODY

    def _chosen(self, release: Release, visitor: Visitor, ask: Ask, now_us: int) -> tuple[Release, Chosen]:
        """What is shown, and the release that it is by: another one where this one's answer is bad."""
        known = self._cache.get(ask, visitor, release, now_us)
        if known is not None:
            return release, known
        chosen, seconds = self._made(release, visitor, ask, now_us)
        if chosen.choice.fault is not None or release.guard.took(seconds, self._releases.limits):
            release, chosen = self._instead(release, chosen, seconds, visitor=visitor, ask=ask, now_us=now_us)
        self._cache.put(ask, visitor, release, now_us, chosen)
        return release, chosen

    def _instead(
        self, release: Release, chosen: Chosen, seconds: float, *, visitor: Visitor, ask: Ask, now_us: int
    ) -> tuple[Release, Chosen]:
        """The same request answered by another release: what that does not do wrong, too, is this one's fault."""
        other = self._releases.beside(release)
        if other is None or other.scorer is None:
            return release, chosen
        better, others_s = self._made(other, visitor, ask, now_us)
        fault = chosen.choice.fault
        if better.choice.fault is not None:
            return (release, chosen) if fault is None else (other, better)
        why = fault or release.guard.settled(seconds, others_s, self._releases.limits)
        if why is not None:
            self._releases.refuse(release, why)
        return other, better

    def _made(self, release: Release, visitor: Visitor, ask: Ask, now_us: int) -> tuple[Chosen, float]:
        """What a release shows, and the processor time that choosing took, seconds."""
        with self._pace, release.catalog.lock:
            began = thread_time()
            choice = self._ladder.choose(release, visitor, ask, now_us)
            seconds = thread_time() - began
            if choice.fallback is None and not visitor.live:
                choice = choice._replace(fallback="last_known")
            items = self._described(release, choice.first(ask.k), visitor, ask, now_us)
        return Chosen(choice, items, now_us), seconds

    def _described(self, release: Release, choice: Choice, visitor: Visitor, ask: Ask, now_us: int) -> list[Json]:
        items = items_of(release, choice)
        if ask.explain:
            try:
                whys = explain.reasons(release, choice, visitor, ask, now_us)
                for item, why in zip(items, whys, strict=True):
                    item.update(why.as_json())
            except Exception:
                self._metrics.failures.labels("explain").inc()
                log.exception("reasons could not be given")
        return items

    def _count(self, answer: Json, origin: Origin) -> None:
        if origin.experiments:
            self._experiments.count(origin.experiments)
        if answer["fallback"] is not None:
            self._metrics.fallbacks.labels(answer["fallback"]).inc()
        elif answer["feature_age_ms"] is not None:
            self._metrics.feature_age.observe(answer["feature_age_ms"] / 1_000)


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
        "timestamp": iso(now_us),
        "offset": 0,
        "exhausted": False,
    }
