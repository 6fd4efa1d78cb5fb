"""Who may do what: asked of every request before anything else is done for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import Scope

from bento.access.audit import Audit
from bento.access.caller import CALLER, Caller
from bento.access.keys import Keyring, Role, roles_of
from bento.access.rates import Rates, address
from bento.access.tokens import user_of
from bento.errors import CODES, ApiError, Forbidden, Unauthorized, answer_to, error_response
from infra.settings import Settings, SettingsError

OPEN = frozenset(
    {"/health", "/ready", "/metrics", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/livez", "/healthz"}
    | {"/readyz", "/schema.json"}
)
"""What probes, Prometheus and readers of the documents ask for."""

BEARER = b"bearer "


class Needs(NamedTuple):
    """What a request must come with.

    Attributes:
        role: that its sender must have.
        act: as the audit log names it, of what only an administrator may.
        of_user: whose data it is about, as far as its path says so; a user with a token may ask it of himself.
        by_token: whether a user with a token may ask it at all.
    """

    role: Role
    act: str = ""
    of_user: str | None = None
    by_token: bool = False


Rule = Callable[[str, str], Needs]
"""Method and path -> what they need; not asked of OPEN."""


class Gate:
    """Lets in who may.

    Args:
        settings: mode, keys, tokens, rates.
        rule: what the service's requests need.
        audit: told of refused acts of administrators.

    Attributes:
        active: whether anything is asked of anybody; where not, requests need not come here.

    Raises:
        SettingsError: keys, roles or rates cannot be used.
    """

    def __init__(self, settings: Settings, rule: Rule, audit: Audit) -> None:
        self._rule = rule
        self._audit = audit
        self._secret = settings.user_token_secret
        self._keys = Keyring(settings.api_keys_file, settings.admin_key)
        self._asks = settings.mode != "local" or settings.api_keys_file is not None
        self._closed = self._asks and not settings.admin_key and settings.api_keys_file is None
        self._anonymous = Caller("anonymous", _anonymous_roles(settings, self._asks))
        self._rates = Rates(settings)
        self.active = bool(self._asks or settings.admin_key or self._secret or settings.rate_limit)

    async def refusal(self, scope: Scope, key: bytes, authorization: bytes) -> Response | None:
        """The answer to a request that is not let in; of one that is, the scope tells whose it is.

        Args:
            key: what X-Api-Key says; empty: nothing.
            authorization: likewise.
        """
        path: str = scope["path"]
        if path in OPEN:
            return None
        needs = self._rule(scope["method"], path)
        try:
            caller, wrong = self._caller(key, authorization)
            scope[CALLER] = caller
            urgent = needs.role == "admin" and "admin" in caller.roles  # an emergency is never put off
            if not urgent and (wait_s := await self._wait_s(caller, scope)):
                return _too_many(self._rates.rate(caller.rate), wait_s)
            if wrong is not None:
                raise wrong
            self._check(caller, needs, bool(key))
        except ApiError as error:
            if needs.act:
                self._audit.record(scope, needs.act, "refused", why=error.code)
            return answer_to(error, path)
        return None

    def _caller(self, key: bytes, authorization: bytes) -> tuple[Caller, ApiError | None]:
        """Who this is, and what is wrong with his token. A key that nobody has is no key."""
        if key and (holder := self._keys.holder(key)) is not None:
            return Caller(holder.name, holder.roles, rate=holder.rate), None
        if self._secret and authorization[: len(BEARER)].lower() == BEARER:
            token = authorization[len(BEARER) :].strip().decode("latin-1")
            try:
                return Caller("user token", frozenset({"ingest", "read"}), user_of(token, self._secret)), None
            except Unauthorized as error:
                return self._anonymous, error
        return self._anonymous, None

    async def _wait_s(self, caller: Caller, scope: Scope) -> float:
        rate = self._rates.rate(caller.rate)
        if not rate:
            return 0.0
        if caller is self._anonymous:
            who = f"address:{address(scope.get('client'))}"
        else:
            who = f"key:{caller.name}" if caller.user_id is None else f"user:{caller.user_id}"
        return await self._rates.wait_s(rate, who)

    def _check(self, caller: Caller, needs: Needs, came_with_key: bool) -> None:
        """Raise Unauthorized or Forbidden when somebody may not do this."""
        if caller.user_id is not None:
            if not needs.by_token:
                raise Forbidden("a user's token lets read lists, items and his own features, and send his own acts")
            caller.check_own([needs.of_user])
        elif caller is not self._anonymous:
            if needs.role not in caller.roles:
                raise Forbidden(f"X-Api-Key: {caller.name} has no role {needs.role}, which this needs")
        elif needs.role not in caller.roles or (needs.of_user is not None and self._asks):
            if needs.role == "admin" and self._closed:
                raise Forbidden("FRESHET_ADMIN_KEY is not set: nobody may do this; set it, and send X-Api-Key")
            what = "is no key that is known" if came_with_key else "is missing"
            raise Unauthorized(f"X-Api-Key {what}: this needs a key of role {needs.role}")


def _anonymous_roles(settings: Settings, asks: bool) -> frozenset[Role]:
    if not asks:
        return frozenset({"ingest", "read"} if settings.admin_key else {"ingest", "read", "admin"})
    try:
        roles = roles_of(settings.anonymous_roles)
    except SettingsError as error:
        raise SettingsError(f"FRESHET_ANONYMOUS_ROLES: {error}") from None
    if "admin" in roles:
        raise SettingsError("FRESHET_ANONYMOUS_ROLES: admin is not for everybody; it takes ingest and read")
    return roles


def _too_many(rate: str, wait_s: float) -> Response:
    """429, with what the rate is in the words of the IETF's draft (draft-ietf-httpapi-ratelimit-headers)."""
    most, _, period = rate.partition("/")
    window_s = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}[period]
    seconds = max(1, math.ceil(wait_s))
    headers = {
        "retry-after": str(seconds),
        "ratelimit-policy": f'"default";q={most};w={window_s}',
        "ratelimit": f'"default";r=0;t={seconds}',
    }
    return error_response(429, CODES[429], f"more than {rate}; come back after Retry-After", headers=headers)
