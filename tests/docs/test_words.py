"""Whatever a document names exists: settings, metrics, targets, modules, files, endpoints, links."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest
from docs_words import LINK, anchors, code, documents, files, folders, prose, spans, text

from docs.reference import api, commands, metrics
from infra.settings import PREFIX, ROOT, Settings

GONE: dict[tuple[str, str], str] = {}
"""(document, word) -> why it may name what there is no longer: history."""

PATHS = {
    "/openapi.json": "FastAPI's own",
    "/docs": "FastAPI's own",
    "/api": "what all paths behind the page's origin begin with",
    "/inspect": "a view of the page",
    "/control": "a view of the page",
    "/playground": "a view of the page",
    "/var/lib/freshet": "a folder in a container",
    "/tmp": "a folder of the machine",
    "/env/python/requirements.txt": "a file of a built bento",
    "/path": "any folder",
}
"""Path that no service answers -> what it is; all below it, too."""

MADE = {
    "events.jsonl": "of a data set",
    "items.jsonl": "of a data set",
    "users.jsonl": "of a data set",
    "reference.parquet": "artifact of a version",
    "gate.json": "artifact of a version",
    "importance.csv": "artifact of a version",
    "evaluation.json": "artifact of a version",
    "drift/*.html": "artifact of a version",
    "*.json": "any",
    "infra/.env": "made by infra/compose/secrets.sh",
}
"""File that a run makes or a user brings -> what it is."""

KINDS = "py|md|yml|yaml|json|jsonl|sh|txt|toml|template|ts|tsx|js|css|tf|example|parquet|html|csv|lua"


def _named(pattern: str, where: str, document: str) -> list[str]:
    return [word for word in re.findall(pattern, where) if (document, word) not in GONE]


@pytest.mark.parametrize("document", documents())
def test_every_setting_exists(document: str) -> None:
    named = _named(rf"\b{PREFIX}[A-Z0-9_]+\*?", text(document), document)
    assert [name for name in named if not _is_known(name, Settings.variables())] == []


@pytest.mark.parametrize("document", documents())
def test_every_metric_exists(document: str) -> None:
    ours = r"\bfreshet_(?:ingest|recommender|stream|outcomes|experiment|console)_[a-z_]+\*?"
    named = _named(ours, text(document), document)
    short = _named(r"\b(?!freshet_)[a-z_]+_total\b", " ".join(spans(document)), document)
    known = metrics.names()
    assert [name for name in named if not _is_known(name, known)] == []
    assert [name for name in short if not any(each.endswith(f"_{name}") for each in known)] == []


def _is_known(name: str, known: Collection[str]) -> bool:
    return any(fnmatch(each, name) for each in known)


@pytest.mark.parametrize("document", documents())
def test_every_make_target_exists(document: str) -> None:
    begun = r"(?m)(?:^|[(;|&]|\$) *make (?:-\S+ )*([a-z][a-z-]*)"
    named = [word for each in code(document) for word in _named(begun, each, document)]
    assert set(named) - set(commands.targets()) == set()


@pytest.mark.parametrize("document", documents())
def test_every_module_exists(document: str) -> None:
    named = _named(r"python -m ([a-z_][\w.]*\w)", text(document), document)
    assert [name for name in named if name not in commands.modules() and not _is_foreign(name)] == []


def _is_foreign(module: str) -> bool:
    return module.partition(".")[0] not in commands.FOLDERS and find_spec(module) is not None


@pytest.mark.parametrize("document", documents())
def test_every_file_exists(document: str) -> None:
    missing = [span for span, paths in _paths(document) if not all(_is_there(path, document) for path in paths)]
    assert [span for span in missing if (document, span) not in GONE] == []


def _paths(document: str) -> Iterator[tuple[str, list[str]]]:
    """Pieces of code that look like a file or a folder of the repository, and what they stand for."""
    for span in spans(document):
        path = re.sub(r":(\s?[\w.]+(\(\))?)?$", "", span)  # `file.py: name()`
        if not path.startswith(".venv/") and re.fullmatch(r"\.?[\w.*{},-]+(/[\w.*{},-]+)*/?", path):
            inside = "/" in path and (ROOT / path.partition("/")[0]).is_dir()
            if inside or re.search(rf"\.({KINDS})$", path):
                yield span, _alternatives(path)


def _alternatives(path: str) -> list[str]:
    """``a/{b,c}.py`` as ``a/b.py`` and ``a/c.py``."""
    parts = [part.split(",") if n % 2 else [part] for n, part in enumerate(re.split(r"[{}]", path))]
    return ["".join(chosen) for chosen in product(*parts)]


def _is_there(path: str, document: str) -> bool:
    """Whether it is a path from the root, from the document, or the end of one."""
    plain = path.rstrip("/")
    beside = (Path(document).parent / plain).as_posix()
    if "*" in plain:
        return path in MADE or any(fnmatch(name, each) for each in (plain, beside, f"*/{plain}") for name in _ends())
    return path in MADE or plain in _ends() or beside in _ends()


@cache
def _ends() -> frozenset[str]:
    """All paths of the repository, and what each of them ends with."""
    names = (Path(name).parts for name in (*files(), *folders()))
    return frozenset("/".join(parts[n:]) for parts in names for n in range(len(parts)))


@pytest.mark.parametrize("document", documents())
def test_every_endpoint_exists(document: str) -> None:
    path = r"(?:\b(GET|POST|PUT|DELETE) )?(?<![\w.:/*~}\"$)-])(/[a-z][\w{}./*-]*)"
    named = {found for each in code(document) for found in re.findall(path, each)}
    assert {(method, path) for method, path in named if not _is_answered(method, path, document)} == set()


def _is_answered(method: str, path: str, document: str) -> bool:
    if (document, path) in GONE or any(path == known or path.startswith(f"{known}/") for known in PATHS):
        return True
    routes = [(known, route) for service in api.PREFIXES for known, route, _ in api.endpoints(service)]
    return any((not method or method == known) and _fits(path, route) for known, route in routes)


def _fits(path: str, route: str) -> bool:
    """Whether a path, in which ``...`` and ``*`` stand for anything, is this route."""
    wanted = re.sub(r"\{\w+\}", "X", route)
    given = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path.rstrip("/")))
    return bool(re.fullmatch(re.sub(r"\\\.\\\.\\\.|\\\*", ".+", given), wanted)) or bool(
        re.fullmatch(re.sub(r"\{\w+\}", r"[^/]+", route), path)
    )


@pytest.mark.parametrize("document", documents())
def test_every_link_leads_somewhere(document: str) -> None:
    assert [target for target in LINK.findall(prose(document)) if not _leads(target, document)] == []


def _leads(target: str, document: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True  # elsewhere: nobody asks the network
    path, _, anchor = target.partition("#")
    there = (ROOT / document).parent.joinpath(path).resolve() if path else ROOT / document
    name = there.relative_to(ROOT).as_posix()
    return name in folders() or (name in files() and (not anchor or anchor in anchors(name)))
