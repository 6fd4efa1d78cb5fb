"""Which experiments run, whom they give what, and how they stand.

A thread reads the running experiments from PostgreSQL every FRESHET_EXPERIMENTS_POLL_S; requests see only what it left.
While PostgreSQL is away those known last go on; none, if there were none yet.

An experiment waits, in each process, until every model that it shows is loaded there: its users are answered by the
champion, and neither answer nor impression names a variant. (Were only the users of the missing model left out, those
of the control would be counted in hours that the others have none of.) A user is never labelled with a variant that
could not answer him.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import psycopg
import pybreaker

from bento.errors import Unavailable
from bento.recommender.ask import Ask, Json
from bento.recommender.breaker import Breaker
from bento.recommender.metrics import Metrics
from bento.recommender.placement import OUTSIDE, Place, Running, aliases_of
from bento.recommender.release import Release
from bento.recommender.releases import Releases
from feature_repo.events import pseudonym
from infra.settings import Settings
from models.experiment_store import ExperimentStore, Stored
from models.experiments import CHAMPION, Experiment
from models.outcome_store import OutcomeStore

log = logging.getLogger(__name__)

CONNECT_S = 2
"""Longest wait for a connection to PostgreSQL."""

ANSWER_S = 3.0
"""Longest wait of one who asks for results."""


class Experiments:
    """Gives users their places, and tells how the experiments stand.

    Args:
        settings: database_url, experiments_poll_s.
        releases: has the models of variants; told which are wanted.
        metrics: told whether PostgreSQL is up; ``experiment_answers`` counts by variant.

    Attributes:
        running: what runs; None while there is no experiment, so that a request needs no more than a look.
    """

    def __init__(self, settings: Settings, releases: Releases, metrics: Metrics) -> None:
        self.running: Running | None = None
        self._releases = releases
        self._every_s = settings.experiments_poll_s
        self._store = ExperimentStore(settings.database_url, CONNECT_S)
        self._outcomes = OutcomeStore(settings.database_url)
        self._breaker = Breaker("postgres", metrics, self._every_s / 2)
        self._answers = metrics.experiment_answers
        self._counters: dict[tuple[str, str], Any] = {}
        self._trouble = ""
        self._reading: Future[Json] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="experiments", daemon=True)

    def start(self) -> None:
        """Start following the running experiments."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a read that hangs is not waited for."""
        self._stop.set()

    def served(self, ask: Ask, running: Running) -> tuple[Place, Release]:
        """Where the one who asks stands, and the release that answers him. Sessions and replays are outside."""
        releases = self._releases
        if ask.events is not None or ask.clock_us is not None:
            return OUTSIDE, releases.current
        place = running.place(pseudonym(ask.user_id), releases.named)
        if place.treatment.model == CHAMPION:  # of a release on trial its share of users is, in experiments or not
            return place, releases.serving(ask)
        release = releases.named(place.treatment.model)
        return (OUTSIDE, releases.serving(ask)) if release is None else (place, release)

    def count(self, variants: Mapping[str, str]) -> None:
        """Count an answer for its variants, unless their experiment has ended."""
        for variant in variants.items():
            if (counter := self._counters.get(variant)) is not None:
                counter.inc()

    async def results(self) -> Json:
        """All experiments with their results.

        Raises:
            Unavailable: PostgreSQL gives no answer in time.
        """
        if self._reading is None or self._reading.done():  # one look for all who ask meanwhile
            self._reading = _beside(self._read)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._reading), ANSWER_S)
        except (psycopg.Error, pybreaker.CircuitBreakerError, TimeoutError) as error:
            log.info("results of experiments are out of reach: %r", error)
            raise Unavailable("PostgreSQL (DATABASE_URL), which keeps the experiments, does not answer") from None

    def check(self) -> None:
        """Look for experiments once; never raises."""
        try:
            found = self._breaker.call(self._store.running)
            trouble = ""
        except pybreaker.CircuitBreakerError:
            return
        except Exception as error:
            found, trouble = None, f"running experiments could not be read: {error}"
        if trouble and trouble != self._trouble:
            log.warning(trouble)
        self._trouble = trouble
        if found is not None:
            self._take([stored.experiment for stored in found])

    def _run(self) -> None:
        self.check()
        while not self._stop.wait(self._every_s):
            self.check()
        self._store.close()
        self._outcomes.close()

    def _take(self, experiments: list[Experiment]) -> None:
        now = self.running
        if experiments == (list(now.experiments) if now else []):
            return
        running = Running(experiments)
        self._counters = {
            (experiment.name, variant.name): self._answers.labels(experiment.name, variant.name)
            for experiment in experiments
            for variant in experiment.shown
        }
        self._releases.want(running.aliases)
        self.running = running if experiments else None
        log.info("running experiments: %s", ", ".join(experiment.name for experiment in experiments) or "none")

    def _read(self) -> Json:
        stored = self._breaker.call(self._store.all)
        outcomes = self._breaker.call(self._outcomes.results)
        results = {(each["experiment"], each["variant"]): each["result"] for each in outcomes}
        return {"experiments": [self._described(each, results) for each in stored], "count": len(stored)}

    def _described(self, stored: Stored, results: Mapping[tuple[str, str], Json]) -> Json:
        experiment, runs = stored.experiment, stored.ended_at is None
        missing = [alias for alias in aliases_of(experiment.shown) if runs and self._releases.named(alias) is None]
        return {
            "name": experiment.name,
            "description": experiment.description,
            "metric": experiment.metric,
            "state": stored.state,
            "started_at": stored.started_at,
            "ended_at": stored.ended_at,
            "waits_for": missing,
            "variants": [
                {
                    "name": variant.name,
                    "share": variant.share,
                    "model": variant.model,
                    "rules": variant.rules.given,
                    "shadow": variant.shadow,
                    "control": variant is experiment.control,
                    "result": results.get((experiment.name, variant.name)),
                }
                for variant in experiment.variants
            ],
        }


def _beside(work: Callable[[], Json]) -> Future[Json]:
    """Do some work in a thread of its own, which the end of the process does not wait for, as it would for a pool's."""
    done: Future[Json] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run, name="experiments-results", daemon=True).start()
    return done
