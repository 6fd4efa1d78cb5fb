"""Which of our files and which packages a module brings along: read from the sources, nothing is imported."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from infra.settings import ROOT

OURS = ("infra", "feature_repo", "models", "flows", "bento")


def brought_along(entries: Iterable[str]) -> tuple[set[Path], set[str]]:
    """Our files, and the top-level modules of others, that importing these modules imports.

    What is imported inside a function only is left out: not every command gets there.
    """
    files: set[Path] = set()
    others: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if top not in OURS:
            others.add(top)
            continue
        for file in _files(name) - files:
            files.add(file)
            waiting += _imports(file)
    return files, {name for name in others if name not in sys.stdlib_module_names}


def _files(name: str) -> set[Path]:
    """The module's file, and those of the packages that it is in; of a name in a module the module's."""
    parts, found = name.split("."), set()
    for depth in range(1, len(parts) + 1):
        stem = ROOT.joinpath(*parts[:depth])
        found |= {path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.exists()}
    return found


@cache
def _imports(file: Path) -> tuple[str, ...]:
    return tuple(_named(ast.parse(file.read_text()).body))


def _named(body: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (each.name for each in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module
            if statement.module.partition(".")[0] in OURS:
                yield from (f"{statement.module}.{each.name}" for each in statement.names)
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        elif isinstance(statement, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from _named(statement.body)


def pins(requirements: Path) -> dict[str, str]:
    """Package -> version, of a requirements file in which everything is pinned."""
    found = {}
    for line in requirements.read_text().splitlines():
        text = line.partition("#")[0].partition(";")[0].strip()
        if text:
            pin = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==(\S+)", text)
            if pin is None:
                raise ValueError(f"{requirements}: {line!r} is no pin")
            found[_normal(pin[1])] = pin[2]
    return found


def distributions(modules: Iterable[str]) -> dict[str, set[str]]:
    """Top-level module -> the installed packages that it may come from."""
    known = packages_distributions()
    return {name: {_normal(each) for each in known.get(name, [])} for name in modules}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
