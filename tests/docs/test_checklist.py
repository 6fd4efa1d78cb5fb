"""Each line of the checklist is a command that there is; those that take seconds print what it says."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from docs_words import text

from docs.reference import commands
from infra.settings import ROOT

LINE = re.compile(r"^- \[ \] `(.+)` prints `(.+)`$")
QUICK = ("lint-imports", "infra.settings", "promtool", "kubectl kustomize")
"""What is run here; the rest is a test itself, looks at the working tree, or wants a running system."""


def lines() -> list[tuple[str, str]]:
    found = [line for line in text("CHECKLIST.md").splitlines() if line.startswith("- ")]
    told = [LINE.match(line) for line in found]
    assert None not in told, [line for line, match in zip(found, told, strict=True) if match is None]
    return [(match[1], match[2]) for match in told if match]


@pytest.mark.parametrize("command", [command for command, _ in lines()])
def test_a_line_begins_with_a_command_that_exists(command: str) -> None:
    first, _, rest = command.partition(" ")
    if first == "make":
        assert rest.split()[0] in commands.targets()
    elif first.endswith("python") and rest.startswith("-m "):
        assert rest.split()[1] in {*commands.modules(), "pytest"}
        assert [path for path in re.findall(r"\btests/\S+", rest) if not (ROOT / path).exists()] == []
    else:
        assert shutil.which(ROOT / first if "/" in first else first), f"there is no {first}"


@pytest.mark.parametrize(("command", "printed"), [each for each in lines() if any(word in each[0] for word in QUICK)])
def test_a_quick_line_prints_what_it_says(command: str, printed: str) -> None:
    ran = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert printed in ran.stdout + ran.stderr, ran.stdout[-2_000:] + ran.stderr[-2_000:]
    assert ran.returncode == 0
