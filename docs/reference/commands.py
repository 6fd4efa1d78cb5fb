"""commands.md: the targets of the Makefile, and the modules that are commands."""

from __future__ import annotations

import ast
import re
from functools import cache

from docs.reference.markdown import WRITTEN, code, table
from infra.settings import ROOT

FOLDERS = ("infra", "feature_repo", "flows", "bento", "benchmarks", "docs")
INTRODUCTION = f"""# Commands

{WRITTEN} The ecosystem's own commands (`feast`, `prefect`, `bentoml`, `mlflow`) are in the
[README](../../README.md#the-ecosystems-own-commands).

"""


def page() -> str:
    """The text of the page."""
    made = table(("target", "does"), [(code(f"make {name}"), told) for name, told in targets().items()])
    parts = [INTRODUCTION, "## make\n\n", made]
    parts.append("`DATASET=dir` and `FRESHET_HOME=dir` (default `.local`) reach every target that uses data.\n\n")
    for title, folders in (("The system", FOLDERS[:-2]), ("The documents", ("docs",)), ("Benchmarks", ("benchmarks",))):
        rows = [(code(usage), told) for name, (usage, told) in modules().items() if name.startswith(folders)]
        parts.append(f"## {title}\n\n" + table(("module", "what"), rows))
    return "".join(parts).rstrip() + "\n"


def targets() -> dict[str, str]:
    """Target -> its help, as ``make help`` prints it."""
    return dict(re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def modules() -> dict[str, tuple[str, str]]:
    """Module that is a command -> how it is called, and the first sentence of what it says of itself."""
    found = {}
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text()
        if re.search(r"^if __name__ == .__main__.:", text, re.MULTILINE):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
            found[name] = _usage(name, (ast.get_docstring(ast.parse(text)) or "").replace("``", "`"))
    return found


def _usage(name: str, docstring: str) -> tuple[str, str]:
    told = re.search(rf"`(python -m {re.escape(name)}[^`]*)`", " ".join(docstring.split()))
    first = " ".join(docstring.partition("\n\n")[0].split())
    said = re.split(r"(?<=[a-z0-9`)\]])[.:] (?=[`A-Z])|\.$", first)[0]
    return (told[1] if told else f"python -m {name}"), re.sub(rf" `python -m {re.escape(name)}[^`]*`.*", "", said)
