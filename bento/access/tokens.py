"""Tokens that let one user's browser in: JWT, signed by the shop's own server with FRESHET_USER_TOKEN_SECRET."""

from __future__ import annotations

import time

import jwt

from bento.errors import Unauthorized

ALGORITHM = "HS256"
"""The only one taken: a token may not choose how it is checked (RFC 8725, 3.1)."""


def user_of(token: str, secret: str) -> str:
    """The user whom a token is of. Raises Unauthorized: it is none, not signed by us, or over."""
    try:
        said = jwt.decode(token, secret, algorithms=[ALGORITHM], options={"require": ["exp", "sub"]})
    except jwt.ExpiredSignatureError:
        raise Unauthorized("Authorization: the token is over; fetch a new one") from None
    except jwt.PyJWTError as error:
        raise Unauthorized(f"Authorization: no token of ours: {error}") from None
    user_id: str = said["sub"]
    if not user_id:
        raise Unauthorized("Authorization: the token names no user")
    return user_id


def issue(user_id: str, secret: str, seconds: float) -> str:
    """A token, as the shop's own server makes them."""
    return jwt.encode({"sub": user_id, "exp": int(time.time() + seconds)}, secret, algorithm=ALGORITHM)
