"""What anybody may ask of the services through a page in front of the public; for the rest he shows the admin's key.

Behind its own network a service lets everybody do everything but change the model. The page's origin is in front of
that network, and in production mode it passes on without a key only what a visitor's page needs: acts go in, lists come
out. What is known of people, what forgets them, and what changes the catalogue asks for the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bento.keys import check_key
from infra.settings import Settings

_ID = rb"[^/]+"
_PUBLIC: Mapping[str, tuple[bytes, ...]] = {
    "ingest": (rb"POST /events", rb"GET /(health|ready)"),
    "recommender": (
        rb"(GET|POST) /recommend",
        rb"GET /popular",
        rb"GET /items/" + _ID + rb"/(similar|features)",
        rb"GET /(model|health|ready)",
    ),
}
_PATTERNS = {service: re.compile(b"|".join(routes)) for service, routes in _PUBLIC.items()}


def is_public(service: str, method: str, path: bytes) -> bool:
    """Whether a visitor's page needs this.

    Args:
        path: the service's own, as it was sent: one that is written in another way than the page does is not public.
    """
    return _PATTERNS[service].fullmatch(method.encode() + b" " + path) is not None


def check_passage(settings: Settings, service: str, method: str, path: bytes, key: str | None) -> None:
    """Let pass on what may pass: all in local mode, in production what is public or comes with the key.

    Raises:
        Unauthorized: the key is not the setting's.
        Forbidden: there is no key.
    """
    if settings.mode != "local" and not is_public(service, method, path):
        check_key(settings, key, f"ask this of {service} through the page's origin")
