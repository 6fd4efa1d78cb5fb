"""API keys: whose they are and what they may, kept as hashes in a file that is read anew when it changes.

A key is 32 random bytes, so one round of SHA-256 keeps it as well as a slow hash would: slow hashes (PBKDF2, Argon2)
make up for secrets that can be guessed, and 2**256 cannot be gone through however fast the hash is (NIST SP 800-63B,
5.1.2.2, asks for salt and a slow hash of secrets of less than 112 bits only).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal, get_args

from infra.lists import listed
from infra.settings import SettingsError

log = logging.getLogger(__name__)

Role = Literal["ingest", "read", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

LOOK_EVERY_S = 1.0
"""How often the file is looked at: a new key works, and one that was taken away does not, after so long at most."""

_INDEXED = 16
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_RATE = re.compile(r"[1-9][0-9]{0,8}/(second|minute|hour|day)")

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a key was given to.

    Attributes:
        name: as the audit log and the rates name him; several keys may have one name, while one replaces another.
        rate: most requests, ``200/second``; empty: FRESHET_RATE_LIMIT's.
    """

    name: str
    roles: frozenset[Role]
    sha256: str
    rate: str = ""


class Keyring:
    """The holders of all keys.

    Args:
        path: the file of keys, a line each of ``name roles sha256 [rate]``; None: there is none.
        admin_key: one more key, which may do everything; empty: none.

    Raises:
        SettingsError: the file cannot be read or used; names the line.
    """

    def __init__(self, path: Path | None, admin_key: str = "") -> None:
        self._path = path
        self._own = [Holder("FRESHET_ADMIN_KEY", frozenset(ROLES), hashed(admin_key.encode()))] if admin_key else []
        self._stamp = None if path is None else _stamp(path)
        self._held = _indexed([*self._own, *(read(path) if path is not None else ())])
        self._next_look = monotonic() + LOOK_EVERY_S

    def holder(self, key: bytes) -> Holder | None:
        """Whose key this is, as it was sent; None: nobody's."""
        self._look()
        sha256 = hashed(key)
        found = self._held.get(sha256[:_INDEXED])
        # In constant time, or the time of a refusal would tell how much of a hash was right.
        return found if found is not None and hmac.compare_digest(found.sha256, sha256) else None

    def _look(self) -> None:
        """Read the file when it is not as it was. One that cannot be used changes nothing, and is told once."""
        if self._path is None or (now := monotonic()) < self._next_look:
            return
        self._next_look = now + LOOK_EVERY_S
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._held = _indexed([*self._own, *read(self._path)])
        except SettingsError as error:
            log.error("the keys of before stay: %s", error)
        else:
            log.info("API keys were read anew", extra={"keys": len(self._held)})


def new_key() -> str:
    """A key that nobody guesses."""
    return secrets.token_urlsafe(32)


def hashed(key: bytes) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key).hexdigest()


def line(name: str, roles: Collection[Role], key: str, rate: str = "") -> str:
    """The file's line of a key. Raises SettingsError when a part of it cannot be used."""
    text = f"{name} {','.join(role for role in ROLES if role in roles)} {hashed(key.encode())} {rate}".rstrip()
    _holder(text)
    return text


def read(path: Path) -> list[Holder]:
    """All holders of a file. Raises SettingsError with the line's number."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"FRESHET_API_KEYS_FILE: {path} cannot be read: {error}") from None
    found: list[Holder] = []
    for number, each in enumerate(text.splitlines(), 1):
        if not (said := each.partition("#")[0].strip()):
            continue
        try:
            found.append(_holder(said))
        except SettingsError as error:
            raise SettingsError(f"FRESHET_API_KEYS_FILE: {path}, line {number}: {error}") from None
    return found


def roles_of(said: str) -> frozenset[Role]:
    """Roles as settings and the file write them, comma separated. Raises SettingsError."""
    names = listed(said)
    if unknown := [name for name in names if name not in ROLES]:
        raise SettingsError(f"{unknown[0]!r} is no role; there are {', '.join(ROLES)}")
    return frozenset(role for role in ROLES if role in names)


def _holder(said: str) -> Holder:
    # Never quotes the line: a key that was written where its hash belongs must not get into a log.
    parts = said.split()
    if len(parts) not in (3, 4):
        raise SettingsError("a line is: name roles sha256 [rate]")
    name, roles, sha256, rate = (*parts, "")[:4]
    if not _NAME.fullmatch(name):
        raise SettingsError("a name is up to 64 letters, digits, dots, dashes and underscores")
    if not _HASH.fullmatch(sha256):
        raise SettingsError(f"the hash of {name} is no SHA-256 in small hexadecimal digits")
    if rate:
        check_rate(rate)
    if not (may := roles_of(roles)):
        raise SettingsError(f"{name} has no role; there are {', '.join(ROLES)}")
    return Holder(name, may, sha256, rate)


def check_rate(rate: str) -> None:
    """Raise SettingsError when this is no rate."""
    if not _RATE.fullmatch(rate):
        raise SettingsError("a rate is a number per second, minute, hour or day, as 200/second")


def _indexed(holders: Iterable[Holder]) -> Mapping[str, Holder]:
    held: dict[str, Holder] = {}
    for holder in holders:
        if (other := held.setdefault(holder.sha256[:_INDEXED], holder)) is not holder:
            raise SettingsError(f"FRESHET_API_KEYS_FILE: {holder.name} and {other.name} have the same key")
    return held


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
