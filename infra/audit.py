"""Are there known holes in what the locks pin? ``python -m infra.audit``: pip-audit and npm audit, read with care.

Exits with 1 when there are. A feed that does not answer says nothing about the packages: that is told, and is no
failure, since a build must not depend on somebody else's server. pip-audit itself takes a package that its feed does
not know for one without holes, so one package is asked about first, and those that were skipped are counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from infra.servers import script
from infra.settings import ROOT

LOCK = ROOT / "requirements.txt"
"""Every other requirements file is a part of it: `make lock` takes it as their constraint."""
PAGE = ROOT / "frontend"
WITHIN_S = 600

IGNORED: Mapping[str, str] = {}
"""Id of a hole -> why it is none here, and until when."""


class Hole(NamedTuple):
    """What is known of a pinned package."""

    package: str
    version: str
    id: str
    fixed_in: str


class Answer(NamedTuple):
    """What a feed said. unasked: why it said nothing of some packages; empty: it knew all of them."""

    holes: Sequence[Hole]
    unasked: str = ""


def of_pip_audit(printed: str) -> Answer:
    """The answer in pip-audit's JSON."""
    try:
        said: list[dict[str, Any]] = json.loads(printed)["dependencies"]
    except (ValueError, KeyError):
        return Answer((), "pip-audit got no answer")
    holes = [
        Hole(each["name"], each["version"], hole["id"], ", ".join(hole["fix_versions"]))
        for each in said
        for hole in each.get("vulns", ())
    ]
    skipped = [each["name"] for each in said if "skip_reason" in each]
    return Answer(holes, f"the feed does not know {len(skipped)} of {len(said)} packages" if skipped else "")


def of_npm_audit(printed: str) -> Answer:
    """The answer in npm's JSON."""
    try:
        said: dict[str, Any] = json.loads(printed)
        packages: dict[str, dict[str, Any]] = said["vulnerabilities"]
    except (ValueError, KeyError):
        return Answer((), "npm got no answer")
    holes = []
    for name, each in packages.items():
        fix = each.get("fixAvailable")
        fixed = f"{fix['name']} {fix['version']}" if isinstance(fix, dict) else ""
        # A text among the causes names another package, which has an entry of its own.
        advisories = [cause for cause in each["via"] if isinstance(cause, dict)]
        holes += [Hole(name, each["range"], cause["url"].rpartition("/")[2], fixed) for cause in advisories]
    return Answer(holes)


def python_packages() -> Answer:
    """What is known of requirements.txt."""
    pins = [line for line in LOCK.read_text().splitlines() if "==" in line and not line.startswith((" ", "#"))]
    with tempfile.TemporaryDirectory(prefix="freshet-audit-") as folder:
        for asked in (pins[:1], pins):
            file = Path(folder) / "requirements.txt"
            file.write_text("\n".join(asked) + "\n")
            answer = of_pip_audit(
                _said([script("pip-audit"), "-r", str(file), "--no-deps", "--disable-pip", "-f", "json"], ROOT)
            )
            if asked is not pins and answer.unasked:
                return Answer((), f"{answer.unasked}; the rest was not asked for")
    return answer


def page_packages() -> Answer:
    """What is known of frontend/package-lock.json."""
    return of_npm_audit(_said(["npm", "audit", "--json"], PAGE))


def _said(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def report(lock: str, answer: Answer) -> bool:
    """Print what was found; whether it is to be mended."""
    known = {hole for hole in answer.holes if hole.id in IGNORED}
    for hole in answer.holes:
        why = f"ignored: {IGNORED[hole.id]}" if hole in known else f"fixed in {hole.fixed_in or 'no version yet'}"
        print(f"{lock}: {hole.package} {hole.version}: {hole.id}, {why}")
    if answer.unasked:
        print(f"{lock}: NOT AUDITED: {answer.unasked}")
    elif not answer.holes:
        print(f"{lock}: no known holes")
    return len(known) < len(set(answer.holes))


def main() -> int:
    """The command line."""
    found = [
        report("requirements.txt", python_packages()),
        report("frontend/package-lock.json", page_packages()),
    ]
    return int(any(found))


if __name__ == "__main__":
    sys.exit(main())
