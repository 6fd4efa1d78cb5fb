"""A user's wish to be forgotten: its receipt into PostgreSQL, the wish itself into the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from bento import errors
from bento.ingest.producer import Headers, Message
from feature_repo.erasures import Erasures, Receipt, erasure_messages
from feature_repo.events import Erasure
from infra.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")
Send = Callable[[str, Sequence[Message], Any, Headers], Awaitable[None]]
"""Topic, messages, details of the error answer, headers; raises errors.Unavailable."""

TIMEOUT_S = 10.0


class ErasureIntake:
    """Takes erasures and shows their receipts; nothing else of ingest asks PostgreSQL for anything.

    Args:
        settings: topics.
        send: into the log.
        erasures: the receipts. Their calls block, and are made beside the event loop.
    """

    def __init__(self, settings: Settings, send: Send, erasures: Erasures) -> None:
        self._settings = settings
        self._send = send
        self._erasures = erasures

    async def erase(self, user_id: str) -> Erasure:
        """Return when the receipt is written and the log has acknowledged the erasure.

        The receipt comes first: a wish that is in the log has one, whatever is killed in between. One whose wish
        did not reach the log is withdrawn; where that fails, too, the eraser sends the wish again.

        Raises:
            errors.Unavailable: PostgreSQL or the log is away; ask again.
        """
        erasure = await self._ask(self._erasures.request, user_id)
        try:
            for message in erasure_messages(self._settings, erasure):
                await self._send(message.topic, [(message.key, message.value)], None, message.headers)
        except errors.Unavailable:
            with suppress(errors.Unavailable):
                await self._ask(self._erasures.withdraw, erasure.erasure_id)
            raise
        return erasure

    async def receipt(self, erasure_id: str) -> Receipt:
        """How far an erasure has come. Raises errors.NotFound, errors.Unavailable."""
        receipt = await self._ask(self._erasures.receipt, erasure_id)
        if receipt is None:
            raise errors.NotFound(f"erasure_id: no erasure {erasure_id} was accepted")
        return receipt

    async def _ask(self, work: Callable[[str], T], argument: str) -> T:
        try:
            return await asyncio.wait_for(asyncio.to_thread(work, argument), TIMEOUT_S)
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
            log.warning("receipts of erasures are out of reach", extra={"error": repr(error)})
            raise errors.Unavailable("PostgreSQL (DATABASE_URL), which keeps the receipts, does not answer") from None
