"""settings.md: every setting, by the groups in which ``infra/settings.py`` keeps them."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined

from docs.reference.markdown import WRITTEN, code, table
from infra import settings
from infra.settings import Settings, secret_variables, variable

INTRODUCTION = f"""# Settings

{WRITTEN} Every setting is an environment variable; an unknown `FRESHET_` name is refused. The same list to copy
from: [.env.example](../../.env.example). Why production mode refuses some values: [security](../security.md).

"""
_BOUNDS = {"Gt": ("gt", "> {}"), "Ge": ("ge", ">= {}"), "Lt": ("lt", "< {}"), "Le": ("le", "<= {}")}


def page() -> str:
    """The text of the page."""
    parts = [INTRODUCTION]
    for title, fields in groups().items():
        rows = [(code(variable(name)), _default(name), _kind(name), _meaning(name)) for name in fields]
        parts.append(f"## {title}\n\n" + table(("variable", "default", "values", "meaning"), rows))
    return "".join(parts).rstrip() + "\n"


def groups() -> dict[str, list[str]]:
    """Title -> fields: a comment that begins a block of fields is its title, up to the first stop."""
    lines = inspect.getsource(settings).splitlines()
    body = next(node for node in ast.parse("\n".join(lines)).body if getattr(node, "name", "") == "Settings")
    assert isinstance(body, ast.ClassDef)
    found: dict[str, list[str]] = {}
    title = "Basics"
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = lines[node.lineno - 2].strip()
            if above.startswith("# "):
                title = re.split(r"[.;(]", above[2:])[0].strip()
            found.setdefault(title, []).append(node.target.id)
    return found


def _default(name: str) -> str:
    default: Any = Settings.model_fields[name].default
    if name == "home":
        return code(".local")
    return "" if default in (None, "", PydanticUndefined) else code(default)


def _kind(name: str) -> str:
    info = Settings.model_fields[name]
    if get_origin(info.annotation) is Literal:
        return ", ".join(map(code, get_args(info.annotation)))
    kind = info.annotation if isinstance(info.annotation, type) else get_args(info.annotation)[0]
    bounds = []
    for limit in info.metadata:
        attribute, text = _BOUNDS.get(type(limit).__name__, ("", ""))
        if attribute:
            bounds.append(text.format(getattr(limit, attribute)))
    return " ".join([{"str": "text", "Path": "path"}.get(kind.__name__, kind.__name__), ", ".join(bounds)]).strip()


def _meaning(name: str) -> str:
    secret = " (secret: never printed)" if variable(name) in secret_variables() else ""
    return f"{Settings.model_fields[name].description}{secret}"
