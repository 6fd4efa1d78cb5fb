"""Which other sites' pages may ask the services from a browser: none, unless FRESHET_CORS_ORIGINS names them."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from infra.lists import listed
from infra.settings import Settings

METHODS = ("GET", "POST", "PUT", "DELETE")
ASKED = ("authorization", "content-type", "traceparent", "tracestate", "x-api-key")
TOLD = ("ratelimit", "ratelimit-policy", "retry-after", "server-timing")
"""Headers of answers that a page may read, besides the few that every page may."""
KEPT_S = 600


def across(app: ASGIApp, settings: Settings) -> ASGIApp | None:
    """The application as pages of the allowed origins may ask it; None: no other origin may.

    No cookies are taken anywhere, so the browser need not be told to send them.
    """
    origins = listed(settings.cors_origins)
    if not origins:
        return None
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=METHODS, allow_headers=ASKED, expose_headers=TOLD, max_age=KEPT_S
    )
