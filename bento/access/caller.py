"""Who asks, as the outermost layer found out, for whatever lies behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from bento.access.keys import Role
from bento.errors import Forbidden

CALLER = "freshet.caller"
"""Where in an ASGI scope the Caller is; absent where nothing is asked of anybody."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody, with what he may.

    Attributes:
        name: as the audit log names him.
        user_id: the only user whose data he may see or send; None: any.
        rate: of the key itself; empty: what holds for all.
    """

    name: str
    roles: frozenset[Role]
    user_id: str | None = None
    rate: str = ""

    def check_own(self, user_ids: Iterable[str | None]) -> None:
        """Raise Forbidden when one of these is another user than the token's; None is nobody."""
        if self.user_id is not None and any(each not in (None, self.user_id) for each in user_ids):
            raise Forbidden("user_id: the token is another user's; a user sees and sends only what is his own")


def check_own(scope: Scope, message: Any) -> None:
    """Raise Forbidden when a message names another user than the one whose token came with the request."""
    caller: Caller | None = scope.get(CALLER)
    if caller is not None and caller.user_id is not None:
        caller.check_own([getattr(message, "user_id", None)])
