"""The admin key: one rule for who may, wherever it is asked."""

from __future__ import annotations

import hmac
from typing import Literal

from bento.errors import Forbidden, Unauthorized
from infra.settings import Settings

Lock = Literal["open", "needed", "closed"]


def lock(settings: Settings) -> Lock:
    """What stands before an admin's acts.

    open: nothing, this is a local system without a key. needed: FRESHET_ADMIN_KEY. closed: nobody may, until it is set.
    """
    if settings.admin_key:
        return "needed"
    return "open" if settings.mode == "local" else "closed"


def check_key(settings: Settings, key: str | None, act: str) -> None:
    """Let pass who may.

    Args:
        settings: admin_key, mode.
        key: what X-Api-Key says.
        act: what a refusal says that nobody may do, as in "change the model".

    Raises:
        Unauthorized: the key is not the setting's.
        Forbidden: there is no key, and this is no local system.
    """
    if (state := lock(settings)) == "closed":
        raise Forbidden(f"FRESHET_ADMIN_KEY is not set: nobody may {act}; set it, and send X-Api-Key")
    # In constant time, or the time of a refusal would tell how much of a key was right.
    if state == "needed" and not hmac.compare_digest((key or "").encode(), settings.admin_key.encode()):
        raise Unauthorized("X-Api-Key is missing or is not FRESHET_ADMIN_KEY")
