"""Who may administer, as the page's service asks it; and ``python -m bento.keys``, which makes keys and tokens.

``new NAME --roles ingest,read [--rate 200/second]`` prints a line for FRESHET_API_KEYS_FILE on stdout, so that ``>>``
appends it, and the key, which is nowhere else, on stderr. ``token USER [--minutes 60]`` prints a user's token.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from bento.access.keys import Keyring, line, new_key, roles_of
from bento.errors import Forbidden, Unauthorized
from infra.settings import Settings, SettingsError, load_settings

Lock = Literal["open", "needed", "closed"]

_keyring = lru_cache(maxsize=8)(Keyring)


def keyring(settings: Settings) -> Keyring:
    """All keys, read once a process. Raises SettingsError when the file of keys cannot be used."""
    return _keyring(settings.api_keys_file, settings.admin_key)


def lock(settings: Settings) -> Lock:
    """What stands before an admin's acts.

    open: nothing, this is a local system without a key. needed: a key. closed: nobody may, until there is one.
    """
    if settings.admin_key or settings.api_keys_file is not None:
        return "needed"
    return "open" if settings.mode == "local" else "closed"


def check_key(settings: Settings, key: str | None, act: str) -> None:
    """Let pass who may.

    Args:
        settings: admin_key, api_keys_file, mode.
        key: what X-Api-Key says.
        act: what a refusal says that nobody may do, as in "change the model".

    Raises:
        Unauthorized: the key is no administrator's.
        Forbidden: there is no key, and this is no local system.
        SettingsError: the file of keys cannot be used.
    """
    if (state := lock(settings)) == "closed":
        raise Forbidden(f"FRESHET_ADMIN_KEY is not set: nobody may {act}; set it, and send X-Api-Key")
    if state == "open":
        return
    sent = (key or "").encode("latin-1", "replace")  # as headers are decoded
    holder = keyring(settings).holder(sent)
    if holder is None or "admin" not in holder.roles:
        raise Unauthorized("X-Api-Key is missing or is not FRESHET_ADMIN_KEY, nor another key of role admin")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bento.keys", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a key: its line goes to stdout, itself to stderr")
    new.add_argument("name", help="whose it is, as rates and the audit log call him")
    new.add_argument("--roles", required=True, help="comma separated: ingest, read, admin")
    new.add_argument("--rate", default="", help="most requests, as 200/second; default: FRESHET_RATE_LIMIT")
    token = commands.add_parser("token", help="make a user's token, as the shop's own server does")
    token.add_argument("user_id")
    token.add_argument("--minutes", type=float, default=60.0, help="how long it opens anything (60)")
    options = parser.parse_args(arguments)
    try:
        return _new(options) if options.command == "new" else _token(options)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _new(options: argparse.Namespace) -> int:
    key = new_key()
    print(line(options.name, roles_of(options.roles), key, options.rate))
    print(f"the key, shown this once; it is sent as X-Api-Key:\n{key}", file=sys.stderr)
    return 0


def _token(options: argparse.Namespace) -> int:
    from bento.access.tokens import issue  # the page's service has no use for it

    secret = load_settings().user_token_secret
    if not secret:
        raise SettingsError("FRESHET_USER_TOKEN_SECRET is not set; openssl rand -hex 32 makes one")
    print(issue(options.user_id, secret, 60 * options.minutes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
