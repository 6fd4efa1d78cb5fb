"""Follows the aliases in the registry, and goes back by itself from a release that is bad.

A new champion is made ready aside, checked by requests that no user sees, and then answers a share of the users for a
while (``canary``); when nothing was wrong, it answers all. The one before stays in memory with fresh items
(``previous``): whatever is wrong with an answer of the new one, the same request is answered by the one before, which
serves again from then on, and the registry's alias is moved back behind it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import NamedTuple

from bento.recommender.breaker import Breaker
from bento.recommender.canary import CANARY, Canary, problem
from bento.recommender.guard import Limits
from bento.recommender.metrics import Metrics
from bento.recommender.release import Loader, Release, warm
from bento.recommender.standing import Standing
from bento.recommender.undo import Undo
from feature_repo.online import OnlineStore
from infra.settings import Settings
from models.announce import Announcements, announce
from models.bundle import BundleError
from models.registry import PREVIOUS

log = logging.getLogger(__name__)

SERVING = "serving"
"""Tag ``release`` of a version that has answered all users somewhere."""

Named = Mapping[str, str]
"""Alias -> version, as the registry says."""


class NoPrevious(LookupError):
    """There is no release to go back to; the message says why."""


class Rollback(NamedTuple):
    """The version that was left, the one that serves, and what is done when the registry has heard of it."""

    left: str
    serves: str
    told: Future[None]


class Releases(Standing):
    """Holds the releases that answer and looks for the next one.

    Args:
        settings: bundle_dir, model_alias, release_poll_s, canary_share, canary_s, canary_slow_ratio,
            request_timeout_ms, and those of Loader.
        store: reads item rows.

    Attributes:
        limits: what is too slow.
        trouble: why the last look at the registry brought nothing; empty when nothing is wrong.
    """

    def __init__(self, settings: Settings, store: OnlineStore, metrics: Metrics) -> None:
        self._loader = Loader(settings, store, metrics)
        super().__init__(settings.model_alias, self._loader.empty(), metrics)
        self.limits = Limits(settings.canary_slow_ratio, settings.request_timeout_ms / 1_000)
        self.trouble = ""
        self._settings = settings
        self._registry = Breaker("mlflow", metrics, settings.release_poll_s / 2)
        self._news = Announcements(settings)
        self._undo = Undo(settings, self._registry)
        self._wanted: frozenset[str] = frozenset()
        self._loading: str | None = None  # the version that will be on trial next

    def want(self, aliases: Collection[str]) -> None:
        """Keep releases of these aliases, besides the champion's, in memory and follow them; forget all others."""
        wanted = frozenset(aliases) - {self._settings.model_alias}
        if wanted == self._wanted:
            return
        self._wanted = wanted
        for alias in self.followed():
            if alias not in wanted:
                self.name(alias, None)
        self._news.wake()

    # Going back, and forth

    def refuse(self, release: Release, reason: str) -> None:
        """Take a release out of service, now: its answer was bad. The registry is told in the background."""
        left = self.leave(release, reason)
        if left is not None:
            self._metrics.rolled_back.labels("fault").inc()
            log.error("release %s is left: %s", release.version, reason, extra={"registered": left.version})
            self._undo.tell(left.version, reason, left.serves)

    def go_back(self, reason: str) -> Rollback:
        """Let the release before serve again, now, and tell the registry in the background.

        Raises:
            NoPrevious: none is in memory.
        """
        loading, canary, current = self._loading, self.canary, self.current
        if loading is not None and current.registered is not None:
            self.note(loading, reason)
            version, serves = loading, current.registered
        else:
            left = self.leave(current if canary is None else canary.release, reason)
            if left is None or left.serves is None:
                raise NoPrevious(self._why_no_previous())
            version, serves = left.version, left.serves
        self._metrics.rolled_back.labels("request").inc()
        return Rollback(version, serves, self._undo.tell(version, reason, serves))

    @property
    def untold(self) -> list[str]:
        """Versions that were left here, and that the registry does not know of yet."""
        return list(self._undo.pending)

    def promote(self, version: str) -> str | None:
        """Let the champion alias name a version, and look at once. Blocks. Returns what it named before.

        Raises:
            RegistryError: there is no such version.
            Anything else: the registry does not answer.
        """
        from models import registry

        alias = self._settings.model_alias
        was = registry.champion(self._settings, alias)
        registry.promote(self._settings, version, alias)
        if self.turned_down == version:  # whoever promotes it again means it
            self.turned_down = None
        announce(self._settings)
        self._news.wake()
        return was

    def _why_no_previous(self) -> str:
        if self._settings.bundle_dir is not None:
            return "a bundle from a folder (FRESHET_BUNDLE_DIR) is served; there is nothing to go back to"
        serves = self.current.registered or "the first"
        return f"no release before {serves} is in memory; promote a version by its number"

    # Start

    def start(self) -> None:
        """Load the first release: the folder's, else the champion; none yet is no error.

        Raises:
            BundleError: it cannot be used; the message names the file or feature.
        """
        if self._settings.bundle_dir is not None:
            release = self._loader.prepared(self._settings.bundle_dir, None, self._settings.model_alias, at_start=True)
            warm(release)
            self.begin_with(release)
            return
        # Asked again soon anyway: MLflow's own patience, minutes of it, would only delay the start.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        try:
            self._first(self._aliases(), at_start=True)
        except BundleError:
            raise
        except Exception as error:
            self._say(f"the registry's champion could not be taken into service: {error}")
        if self.current.scorer is None:
            self._loader.fill(self.current.catalog, at_start=True)
            self._metrics.show_release(None, None)
        self._news.wake()  # there may be a release to go back to, or one to try

    def _first(self, named: Named, *, at_start: bool) -> None:
        """Take the first release into service: the champion, or the one before while the champion is not proven."""
        champion, before = named.get(self._settings.model_alias), named.get(PREVIOUS)
        if champion is None or champion == self.turned_down:
            return
        if before is not None and before != champion and not self._is_proven(champion):
            try:
                self._begin_with(before, at_start=at_start)
                return
            except BundleError as error:
                self._cannot_use(before, str(error))
        try:
            self._begin_with(champion, at_start=at_start)
        except BundleError as error:
            if at_start:
                raise BundleError(f"version {champion}: {error}") from error
            self._turn_down(champion, str(error))
            return
        self._mark(champion, SERVING)

    def _begin_with(self, version: str, *, at_start: bool) -> None:
        release = self._loader.downloaded(version, self._settings.model_alias, at_start=at_start)
        warm(release)
        self.begin_with(release)
        log.info("release %s is served", release.version, extra={"registered": version})

    def _is_proven(self, version: str) -> bool:
        from models.registry import tags_of

        tags: Mapping[str, str] = self._registry.call(tags_of, self._settings, version)
        return tags.get("release") == SERVING

    # Following

    def follow(self, stop: threading.Event) -> None:
        """Look at the registry when aliases are said to have moved, and now and then, until told to stop.

        Never raises.
        """
        while not stop.is_set():
            canary, every_s = self.canary, self._settings.release_poll_s
            self._news.wait(every_s if canary is None else min(every_s, canary.left_s), stop)
            if not stop.is_set():
                self.check()
        self._news.close()
        self._undo.close()

    def check(self) -> None:
        """Do what time and the aliases ask for. Never raises."""
        canary = self.canary
        if canary is not None and not canary.left_s:
            self._take(canary.release, canary)
        try:
            named = self._aliases()
        except Exception as error:
            self._say(f"the registry's champion could not be taken into service: {error}")
            return
        steps: list[Callable[[Named], None]] = [self._follow_champion, self._hold_previous, self._follow_wanted]
        trouble = ""
        for step in steps:
            try:
                step(named)
            except Exception as error:
                trouble = f"{step.__name__.strip('_').replace('_', ' ')}: {error}"
        self._say(trouble)

    def _aliases(self) -> Named:
        from models.registry import aliases

        found: Named = self._registry.call(aliases, self._settings)
        return found

    def _follow_champion(self, named: Named) -> None:
        version, canary = named.get(self._settings.model_alias), self.canary
        if version is None:
            return
        if self.current.scorer is None:
            self._first(named, at_start=False)
            return
        on_trial = canary is not None and version == canary.release.registered
        if on_trial or version == self.turned_down:  # in this order: a fault turns down first, then ends the trial
            return
        self.turned_down = None
        if canary is not None:
            self.end_trial(canary)
        if version == self.current.registered:
            return
        if self.previous is not None and version == self.previous.registered:
            if self.return_to(self.previous, keeps=named.get(PREVIOUS)):
                log.info("release %s is served again", self.current.version, extra={"registered": version})
            return
        release = self._ready(version, CANARY)
        if release is not None:
            self._put_on_trial(release)

    def _ready(self, version: str, variant: str) -> Release | None:
        """A version, checked by requests that no user sees; None: it was turned down."""
        same = self.in_memory(version)
        if same is not None:
            return replace(same, variant=variant)
        release, wrong = None, None
        self._loading = version if variant == CANARY else None
        try:
            release = self._loader.downloaded(version, variant)
            wrong = problem(release, self.current, self._settings)
        except BundleError as error:
            wrong = str(error)
        finally:
            self._loading = None
        if version == self.turned_down:  # meanwhile
            return None
        if wrong is None:
            return release
        if variant == CANARY:
            self._turn_down(version, wrong)
        else:
            self._cannot_use(version, wrong)
        return None

    def _put_on_trial(self, release: Release) -> None:
        release.guard.compare_with(self.current.guard)
        canary = Canary.of(release, self._settings)
        if not canary.share or not canary.left_s:
            self._take(release)
            return
        self.try_out(canary)
        log.info("release %s is on trial", release.version, extra={"registered": release.registered})
        self._mark(release.registered, CANARY)

    def _take(self, release: Release, canary: Canary | None = None) -> None:
        if self.take(release, canary):
            log.info("release %s is served", release.version, extra={"registered": release.registered})
            self._mark(release.registered, SERVING)

    def _hold_previous(self, named: Named) -> None:
        """Have the release before in memory, as after a start."""
        version = named.get(PREVIOUS)
        busy = self.canary is not None or self.previous is not None or self.current.scorer is None
        if busy or version is None or version in (self.current.registered, self.turned_down, *self.refused):
            return
        try:
            release = self._loader.downloaded(version, self._settings.model_alias)
        except BundleError as error:
            self._cannot_use(version, str(error))
            return
        warm(release)
        self.hold(release)

    def _follow_wanted(self, named: Named) -> None:
        for alias in sorted(self._wanted):
            version, held = named.get(alias), self.named(alias)
            if held is not None and held.registered == version:
                continue
            release = None if version is None or version in self.refused else self._ready(version, alias)
            if release is not None:
                release.guard.compare_with(self.current.guard)
            self.name(alias, release if alias in self._wanted else None)

    # Refusals

    def _turn_down(self, version: str, reason: str) -> None:
        """Refuse a new champion before it answered anybody; the registry is told in the background."""
        self.note(version, reason)
        self._metrics.refused.inc()
        log.error("version %s is refused, %s goes on: %s", version, self.current.version, reason)
        self._undo.tell(version, reason, self.current.registered)

    def _cannot_use(self, version: str, reason: str) -> None:
        """Refuse a version that another alias than the champion's names."""
        self.note(version, reason, follows=False)
        self._metrics.refused.inc()
        log.error("version %s cannot be used: %s", version, reason)
        self._undo.tell(version, reason, None)

    def _mark(self, version: str | None, state: str) -> None:
        from models.registry import annotate

        if version is None:
            return
        try:
            self._registry.call(annotate, self._settings, version, {"release": state})
        except Exception as error:  # it serves all the same
            log.warning("that version %s is %s could not be written on it: %s", version, state, error)

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning(trouble)
        self.trouble = trouble
