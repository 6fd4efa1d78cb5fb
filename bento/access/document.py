"""What an OpenAPI document says of who may do what."""

from __future__ import annotations

from typing import Any

from bento.access.gate import OPEN, Rule
from bento.errors import documented

SCHEMES: dict[str, Any] = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Api-Key",
        "description": "a key of FRESHET_API_KEYS_FILE with the role that is named, or FRESHET_ADMIN_KEY; a local "
        "system without keys asks for none",
    },
    "UserToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "HS256, signed with FRESHET_USER_TOKEN_SECRET; `sub` is the user, whose data alone it opens",
    },
}


def secured(document: dict[str, Any], rule: Rule) -> dict[str, Any]:
    """The document, with the key or token of each operation, and how it is refused without."""
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes.update(SCHEMES)
    for path, operations in document["paths"].items():
        if path in OPEN:
            continue
        for method, operation in operations.items():
            needs = rule(method.upper(), path)
            ways = [{"ApiKey": [needs.role]}]
            if needs.by_token:
                ways.append({"UserToken": []})
            if not needs.act:
                ways.append({})  # of a local system, and where FRESHET_ANONYMOUS_ROLES says so
            operation["security"] = ways
            statuses = (401, 403, 429, *((408, 413, 415) if "requestBody" in operation else ()))
            for status, said in documented(*statuses).items():
                answer = {"description": said["description"], "content": _ERROR}
                operation["responses"].setdefault(str(status), answer)
    return document


_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
