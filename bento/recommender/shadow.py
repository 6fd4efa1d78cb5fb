"""Shadow variants: what a user would have been shown, scored after his answer and logged, never shown.

One thread does it, for FRESHET_SHADOW_SHARE of the requests of an experiment's users. It gives way: it begins only
while no request is under way, what it cannot begin within DEADLINE_S it leaves, and what does not fit its queue is
dropped. The lock of the items it holds as long as one request does.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from bento.recommender.ask import Ask, Choice, Json
from bento.recommender.exploration import Explorer
from bento.recommender.fallback import Ladder
from bento.recommender.impressions import Impressions, Origin, Shown
from bento.recommender.metrics import Metrics
from bento.recommender.placement import Place, Shadow
from bento.recommender.release import Release
from bento.recommender.releases import Releases
from bento.recommender.visitors import Visitor
from infra.settings import Settings
from models.experiments import CHAMPION

log = logging.getLogger(__name__)

WAITING = 100
"""Lists that may wait to be scored."""

EVERY_S = 0.02
"""How often what waits is looked at: a thread that woke for each would take the interpreter from its request."""

PAUSE_S = 0.002
"""Between two looks whether requests are under way."""

DEADLINE_S = 1.0
"""A list that was not begun so long after its answer is left."""


class Asked(NamedTuple):
    """A request that was answered.

    Attributes:
        ask: as it came, without the rules of any experiment.
        answer: as it was given.
        origin: where the answer's list came from.
        until: as perf_counter, when to leave it.
    """

    ask: Ask
    visitor: Visitor
    now_us: int
    answer: Json
    origin: Origin
    shadow: Shadow
    until: float


class Strict(Ladder):
    """A ladder on which nothing is passed over: what fails is raised. It counts no places given to new items."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__(settings, metrics)
        self._explorer = Explorer(settings, None)

    def _failed(self, step: str, ask: Ask, error: Exception) -> None:
        raise error


class Shadows:
    """Scores shadow variants in a thread of its own.

    Args:
        settings: shadow_share, and those of Ladder.
        releases: has the models of variants.
        impressions: takes the lists.
        metrics: ``shadows`` counts them by what became of them: scored, dropped, late, not_loaded, failed.
        busy: whether requests are under way.
    """

    def __init__(
        self,
        settings: Settings,
        releases: Releases,
        impressions: Impressions,
        metrics: Metrics,
        busy: Callable[[], int],
    ) -> None:
        self._share = settings.shadow_share
        self._releases = releases
        self._impressions = impressions
        self._busy = busy
        self._ladder = Strict(settings, metrics)
        self._outcomes = metrics.shadows
        self._waiting: deque[Asked] = deque()
        self._failing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)

    def start(self) -> None:
        """Start scoring."""
        self._thread.start()

    def close(self) -> None:
        """Stop; what waits is left."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def offer(self, ask: Ask, visitor: Visitor, now_us: int, answer: Json, *, origin: Origin, place: Place) -> None:
        """Take a share of the requests; which, is left to chance. Never blocks."""
        if random.random() >= self._share:
            return
        until = perf_counter() + DEADLINE_S
        for shadow in place.shadows:
            if len(self._waiting) < WAITING:
                self._waiting.append(Asked(ask, visitor, now_us, answer, origin, shadow, until))
            else:
                self._outcomes.labels("dropped").inc()

    def _run(self) -> None:
        while not self._closing.wait(EVERY_S):
            while self._waiting and not self._closing.is_set():
                self._outcomes.labels(self._outcome(self._waiting.popleft())).inc()

    def _outcome(self, asked: Asked) -> str:
        while self._busy() and perf_counter() < asked.until and not self._closing.wait(PAUSE_S):
            pass
        if self._busy() or perf_counter() >= asked.until:
            return "late"
        model = asked.shadow.treatment.model
        release = self._releases.current if model == CHAMPION else self._releases.named(model)
        if release is None:
            return "not_loaded"
        try:
            self._impressions.offer(self._scored(asked, release))
        except Exception:
            if not self._failing:
                log.exception("shadow %s fails", asked.shadow.name, extra={"release": release.version})
            self._failing = True
            return "failed"
        self._failing = False
        return "scored"

    def _scored(self, asked: Asked, release: Release) -> Shown:
        ask = asked.shadow.treatment.asked(asked.ask)
        with release.catalog.lock:
            choice = self._ladder.choose(release, asked.visitor, ask, asked.now_us).first(ask.k)
            items = _items(release, choice)
        answer = asked.answer | {
            "recommendations": items,
            "model_version": release.version,
            "fallback": "last_known" if choice.fallback is None and not asked.visitor.live else choice.fallback,
        }
        origin = Origin(asked.now_us, release.registered, asked.origin.experiments, asked.shadow.name)
        return Shown(answer, origin, release.feature_names, choice.features)


def _items(release: Release, choice: Choice) -> list[Json]:
    ids = release.catalog.table.ids
    return [
        {"item_id": ids[n], "score": score, "source": source}
        for n, score, source in zip(choice.numbers.tolist(), choice.scores.tolist(), choice.sources, strict=True)
    ]
