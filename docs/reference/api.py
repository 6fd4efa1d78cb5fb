"""api.md: every endpoint of the three services, of the OpenAPI documents in ``docs/openapi``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.reference.markdown import WRITTEN, code, table
from infra.settings import ROOT

Json = Mapping[str, Any]
PREFIXES = {"ingest": "", "recommender": "", "console": "/api/console"}
ADDRESSES = {"ingest": "port 8000", "recommender": "port 8001", "console": "port 8080, the page's origin"}
INTRODUCTION = f"""# API

{WRITTEN} It is made of the OpenAPI documents in [docs/openapi](../openapi); ingest and recommender answer with
theirs at `/openapi.json` and show it at `/docs`. Who may call what, and how often: [security](../security.md).
What an error means: [errors](../how-it-works.md#errors). The page's origin also passes `/api/ingest/*` and
`/api/recommender/*` on.

Every error is `{{"error": {{"code", "message", "details"}}}}`; 404, 405 and 500 may come from any path and are not
repeated below. Times are ISO 8601 in UTC, ids have no blank and no slash.

"""
ANYWHERE = {"404", "405", "500"}


def page() -> str:
    """The text of the page."""
    parts = [INTRODUCTION]
    for service in PREFIXES:
        document = read(service)
        parts.append(
            f"## {service.capitalize()}\n\n{document['info'].get('description', '')} ({ADDRESSES[service]})\n\n"
        )
        parts += [_endpoint(document, *found) for found in endpoints(service)]
    return "".join(parts).rstrip() + "\n"


def read(service: str) -> Json:
    """A service's document."""
    return dict(json.loads((ROOT / "docs" / "openapi" / f"{service}.json").read_text()))


def endpoints(service: str) -> Iterator[tuple[str, str, Json]]:
    """Method, path from the origin's root, and operation of every endpoint."""
    for path, operations in read(service)["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), PREFIXES[service] + path, operation


def _endpoint(document: Json, method: str, path: str, operation: Json) -> str:
    told = operation.get("description") or operation.get("summary", "")
    roles = [role for way in operation.get("security", ()) for role in way.get("ApiKey", ())]
    key = f" Role `{roles[0]}`." if roles else " Wants `X-Api-Key`." if operation.get("security") else ""
    parts = [f"### {method} {path}\n\n{' '.join(told.split())}{key}\n\n"]
    fields = [
        (code(each["name"]), each["in"], _kind(document, each["schema"]), _default(each), each.get("description", ""))
        for each in operation.get("parameters", ())
    ]
    fields += list(_body(document, operation))
    if fields:
        parts.append(table(("field", "in", "type", "default", "meaning"), fields))
    own = [status for status in operation["responses"] if status not in ANYWHERE]
    parts.append(f"Answers: {', '.join(own)}.\n\n")
    return "".join(parts)


def _body(document: Json, operation: Json) -> Iterator[tuple[str, str, str, str, str]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    shape = content["schema"]
    shape = resolve(document, shape.get("oneOf", shape.get("anyOf", [shape]))[0])
    required = shape.get("required", ())
    for name, field in shape.get("properties", {}).items():
        default = "required" if name in required else _default({"schema": field})
        yield code(name), "body", _kind(document, field), default, field.get("description", "")


def resolve(document: Json, shape: Json) -> Json:
    """A schema, where there is only a reference to it."""
    if "$ref" not in shape:
        return shape
    return dict(document["components"]["schemas"][shape["$ref"].rsplit("/", 1)[1]])


def _kind(document: Json, shape: Json) -> str:
    shape = resolve(document, shape)
    if "anyOf" in shape:
        kinds = [_kind(document, each) for each in shape["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in shape:
        return ", ".join(map(code, shape["enum"]))
    if shape.get("type") == "array":
        return f"list of {_kind(document, shape.get('items', {}))}"
    kind = shape.get("format") or shape.get("type", "any")
    low, high = shape.get("minimum", shape.get("exclusiveMinimum")), shape.get("maximum")
    bounds = ", ".join(
        text.format(f"{bound:g}") for text, bound in ((">= {}", low), ("<= {}", high)) if bound is not None
    )
    return f"{kind} {bounds}".strip()


def _default(field: Json) -> str:
    if field.get("required"):
        return "required"
    default = field["schema"].get("default")
    return "" if default in (None, [], "", {}) else code(json.dumps(default))
