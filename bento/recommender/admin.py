"""Rolling back and promoting over REST: who may, what is done, and one line of log for each.

A rollback swaps to the release in memory before it speaks to the registry: an emergency must not wait for MLflow.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from time import perf_counter
from typing import Any

from bento.errors import ApiError, Conflict, Forbidden, NotFound, Unavailable
from bento.keys import check_key
from bento.recommender.ask import Json
from bento.recommender.releases import NoPrevious, Releases, Rollback
from infra.settings import Settings
from models.registry import RegistryError

log = logging.getLogger(__name__)

REGISTRY_S = 3.0
"""How long an answer waits for the registry."""


class Admin:
    """Answers what changes the model that is served.

    Args:
        settings: admin_key, mode, bundle_dir.
    """

    def __init__(self, settings: Settings, releases: Releases) -> None:
        self._settings = settings
        self._releases = releases

    def check_key(self, key: str | None) -> None:
        """Let pass who may change the model.

        Raises:
            Unauthorized: the key is not the setting's.
            Forbidden: there is no key, and this is no local system.
        """
        try:
            check_key(self._settings, key, "change the model")
        except ApiError as refusal:
            _audit("refused", why="no admin key" if isinstance(refusal, Forbidden) else "wrong key")
            raise

    async def roll_back(self, reason: str) -> Json:
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
                raise _untold(f"version {', '.join(untold)} was left before", None) from None
            _audit("rollback", why="no previous release")
            raise Conflict(str(error)) from None
        heard = await _heard(left.told)
        took_ms = round((perf_counter() - began) * 1_000, 3)
        _audit("rollback", left=left.left, serves=left.serves, reason=reason, took_ms=took_ms, registry=heard)
        if not heard:
            raise _untold(f"version {left.left} was left for {left.serves} in this process", left)
        return {"left": left.left, "serves": left.serves, "took_ms": took_ms}

    async def promote(self, version: str) -> Json:
        """Let the champion alias name a version; it is then loaded, tried on a share of users, and served.

        Raises:
            Conflict: a bundle from a folder is served.
            NotFound: there is no such version.
            Unavailable: the registry does not answer.
        """
        if self._settings.bundle_dir is not None:
            raise Conflict("a bundle from a folder (FRESHET_BUNDLE_DIR) is served; no alias is followed")
        began = perf_counter()
        work = asyncio.create_task(asyncio.to_thread(self._releases.promote, version))
        try:
            was = await asyncio.wait_for(asyncio.shield(work), REGISTRY_S)
        except RegistryError as error:
            raise NotFound(str(error)) from None
        except Exception as error:
            work.add_done_callback(_seen)
            _audit("promote", version=version, why=repr(error))
            raise Unavailable(
                f"the registry does not answer; whether version {version} was promoted, GET /model will show"
            ) from None
        took_ms = round((perf_counter() - began) * 1_000, 3)
        _audit("promote", version=version, was=was, took_ms=took_ms)
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


def _audit(act: str, **what: object) -> None:
    told = ", ".join(f"{name} {value}" for name, value in what.items())
    log.warning("admin: %s: %s", act, told, extra={"act": act, **{f"admin_{name}": str(v) for name, v in what.items()}})
