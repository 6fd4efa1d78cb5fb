"""What documents name: settings, metrics, commands, paths, links. For the tests below tests/docs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from infra.settings import ROOT

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@cache
def files() -> tuple[str, ...]:
    """Every file of the repository that git knows or would take."""
    told = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(name for name in listed if (ROOT / name).is_file())


@cache
def folders() -> frozenset[str]:
    """Every folder that holds one of them."""
    return frozenset(str(parent) for name in files() for parent in Path(name).parents)


def documents() -> list[str]:
    """Every document."""
    return [name for name in files() if name.endswith(".md")]


@cache
def text(document: str) -> str:
    """A document's text."""
    return (ROOT / document).read_text()


@cache
def prose(document: str) -> str:
    """A document's text without its blocks of code."""
    return FENCE.sub("", text(document))


def blocks(document: str) -> list[tuple[str, str]]:
    """Language and text of each block of code."""
    return FENCE.findall(text(document))


def spans(document: str) -> list[str]:
    """Each piece of code within the prose."""
    return SPAN.findall(prose(document))


def code(document: str) -> Iterator[str]:
    """All code of a document, in blocks and in the prose."""
    yield from spans(document)
    yield from (block for language, block in blocks(document) if language != "mermaid")


@cache
def anchors(document: str) -> frozenset[str]:
    """What a link may name after ``#``, as GitHub makes it of headings."""
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(prose(document)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        count = found.get(slug, 0)
        names.add(f"{slug}-{count}" if count else slug)
        found[slug] = count + 1
    return frozenset(names)
