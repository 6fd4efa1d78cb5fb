"""Tells the registry, in the background, that a version was left: until it has heard."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

from bento.recommender.breaker import Breaker
from infra.settings import Settings
from models.announce import announce

log = logging.getLogger(__name__)

AGAIN_S = 1.0
"""Until a registry that is away is tried again."""

LONGEST_REASON = 1_000
"""What a tag of MLflow holds surely."""


class Undo:
    """Moves the alias back after releases were left in memory.

    Args:
        settings: of the registry; redis_url, for the announcement.
        registry: its breaker.
    """

    def __init__(self, settings: Settings, registry: Breaker) -> None:
        self._settings = settings
        self._registry = registry
        self._stop = threading.Event()
        self._pending: dict[str, Future[None]] = {}

    @property
    def pending(self) -> dict[str, Future[None]]:
        """Versions that were left and of which the registry has not heard yet."""
        return {version: done for version, done in self._pending.items() if not done.done()}

    def tell(self, version: str, reason: str, serves: str | None) -> Future[None]:
        """Let the alias name another version if it names this one, write the reason on it, and announce it.

        Args:
            serves: the version to go back to; None: only the reason is written.

        Returns:
            What is done once the registry has heard; its exception where the registry refuses.
        """
        done: Future[None] = Future()
        self._pending = {**self.pending, version: done}
        arguments = (version, reason[:LONGEST_REASON], serves, done)
        threading.Thread(target=self._run, args=arguments, name="undo", daemon=True).start()
        return done

    def close(self) -> None:
        """Try no longer."""
        self._stop.set()

    def _run(self, version: str, reason: str, serves: str | None, done: Future[None]) -> None:
        from models.registry import RegistryError

        said = False
        while not self._stop.is_set():
            try:
                self._registry.call(self._tell, version, reason, serves)
            except RegistryError as error:
                log.error("the registry refuses that version %s was left: %s", version, error)
                done.set_exception(error)
                return
            except Exception as error:
                if not said:
                    log.warning("the registry does not know yet that version %s was left: %s", version, error)
                said = True
                self._stop.wait(AGAIN_S)
            else:
                done.set_result(None)
                announce(self._settings)
                return

    def _tell(self, version: str, reason: str, serves: str | None) -> None:
        from models.registry import annotate, roll_back

        if serves is not None:
            roll_back(self._settings, reason, expected=version, to=serves)
        annotate(self._settings, version, {"release": f"refused: {reason}"})
