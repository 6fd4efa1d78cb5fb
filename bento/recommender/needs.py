"""What a request to the recommender must come with."""

from __future__ import annotations

import re

from bento.access.gate import Needs

ACTS = {"/model/rollback": "rollback", "/model/promote": "promote"}
"""Nobody's path becomes a label of a metric."""

_FEATURES = re.compile(r"/users/([^/]+)/features")
_BY_TOKEN = re.compile(r"/recommend|/popular|/items/[^/]+/(similar|features)")


def needs(method: str, path: str) -> Needs:
    """Of a list's user the request itself tells; that it is the token's own, ``direct.py`` sees to."""
    if method != "GET" and path.startswith("/model/"):
        return Needs("admin", ACTS.get(path, "other"))
    if found := _FEATURES.fullmatch(path):
        return Needs("read", of_user=found[1], by_token=True)
    return Needs("read", by_token=_BY_TOKEN.fullmatch(path) is not None)
