"""Rolling back and promoting over REST, each of which is a line of the audit log; who may, the gate has decided.

A rollback swaps to the release in memory before it speaks to the registry: an emergency must not wait for MLflow.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from time import perf_counter
from typing import Any

from starlette.types import Scope

from bento.access.audit import Audit
from bento.errors import ApiError, Conflict, NotFound, Unavailable
from bento.recommender.ask import Json
from bento.recommender.releases import NoPrevious, Releases, Rollback
from infra.settings import Settings
from models.registry import RegistryError

REGISTRY_S = 3.0
"""How long an answer waits for the registry."""


class Admin:
    """Answers what changes the model that is served.

    Args:
        settings: bundle_dir.
        audit: told of every act.
    """

    def __init__(self, settings: Settings, releases: Releases, audit: Audit) -> None:
        self._settings = settings
        self._releases = releases
        self._audit = audit

    async def roll_back(self, scope: Scope, reason: str) -> Json:
        """Serve the release before again, here at once, and everywhere as soon as the registry has heard.

        Raises:
            Conflict: there is none in memory.
            Unavailable: it serves here, but the registry does not answer; it is told when it does.
        """
        began = perf_counter()
        try:
            left = self._releases.go_back(reason)
        except NoPrevious as error:
            if untold := self._releases.untold:
                self._audit.record(scope, "rollback", "failed", why="the registry does not answer")
                raise _untold(f"version {', '.join(untold)} was left before", None) from None
            self._audit.record(scope, "rollback", "failed", why="no release before")
            raise Conflict(str(error)) from None
        heard = await _heard(left.told)
        took_ms = round((perf_counter() - began) * 1_000, 3)
        told = {"serves": left.serves, "reason": reason, "took_ms": took_ms, "registry_heard": heard}
        self._audit.record(scope, "rollback", "done", left.left, **told)
        if not heard:
            raise _untold(f"version {left.left} was left for {left.serves} in this process", left)
        return {"left": left.left, "serves": left.serves, "took_ms": took_ms}

    async def promote(self, scope: Scope, version: str) -> Json:
        """Let the champion alias name a version; it is then loaded, tried on a share of users, and served.

        Raises:
            Conflict: a bundle from a folder is served.
            NotFound: there is no such version.
            Unavailable: the registry does not answer.
        """
        if self._settings.bundle_dir is not None:
            self._audit.record(scope, "promote", "failed", version, why="a bundle from a folder is served")
            raise Conflict("a bundle from a folder (FRESHET_BUNDLE_DIR) is served; no alias is followed")
        began = perf_counter()
        work = asyncio.create_task(asyncio.to_thread(self._releases.promote, version))
        try:
            was = await asyncio.wait_for(asyncio.shield(work), REGISTRY_S)
        except RegistryError as error:
            self._audit.record(scope, "promote", "failed", version, why=str(error))
            raise NotFound(str(error)) from None
        except Exception as error:
            work.add_done_callback(_seen)
            self._audit.record(scope, "promote", "failed", version, why=repr(error))
            raise Unavailable(
                f"the registry does not answer; whether version {version} was promoted, GET /model will show"
            ) from None
        took_ms = round((perf_counter() - began) * 1_000, 3)
        self._audit.record(scope, "promote", "done", version, was=was, took_ms=took_ms)
        return {"version": version, "was": was, "took_ms": took_ms}


async def _heard(told: Future[None]) -> bool:
    """Whether the registry has heard in time."""
    done, _ = await asyncio.wait({asyncio.wrap_future(told)}, timeout=REGISTRY_S)
    return any(each.exception() is None for each in done)


def _untold(what: str, left: Rollback | None) -> ApiError:
    details = None if left is None else {"left": left.left, "serves": left.serves}
    message = (
        f"{what}, but the registry does not answer: other processes, and this one when it starts anew, still follow "
        "the alias; the registry is told as soon as it answers"
    )
    return Unavailable(message, details)


def _seen(work: asyncio.Task[Any]) -> None:
    """What a registry said too late is nobody's error."""
    if not work.cancelled():
        work.exception()
