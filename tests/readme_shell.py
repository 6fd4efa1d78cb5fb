"""The README's commands: read out of it, and run as a user's shell would run them."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp

from docs_words import blocks

from infra.processes import Process
from infra.settings import ROOT

KEPT = ("source ", "export ")
"""Commands that the shell they are typed into remembers."""


@dataclass(frozen=True)
class Command:
    """One command, the number of its block, and what the README shows it to print."""

    text: str
    block: int
    printed: str = ""


@dataclass(frozen=True)
class Answer:
    """How a command ended, and all that it printed."""

    code: int
    said: str


def commands(document: str = "README.md") -> list[Command]:
    """Every command in the document's blocks for a shell, in order."""
    shells = [(language, text) for language, text in blocks(document) if language in ("bash", "console")]
    return [command for n, (language, text) in enumerate(shells) for command in _of(language, text, n)]


def _of(language: str, text: str, block: int) -> Iterator[Command]:
    whole = re.sub(r" *\\\n\s*", " ", text)
    if language == "console":
        for part in re.split(r"^\$ ", whole, flags=re.MULTILINE)[1:]:
            line, _, printed = part.partition("\n")
            yield Command(line, block, printed)
        return
    for line in whole.splitlines():
        if told := re.sub(r"(^|\s+)# .*$", "", line).strip():
            yield Command(told, block)


@dataclass
class Shell:
    """A shell in the repository, in which some of the README's words mean the test's own places.

    Args:
        home: the user's home folder.
        means: word of the README -> what stands for it here.
        folder: where commands are typed.
    """

    home: Path
    means: Mapping[str, str]
    folder: Path = ROOT
    _before: list[str] = field(default_factory=list)

    def remember(self, text: str) -> None:
        """Take in what every later command goes by."""
        self._before.append(self._here(text))

    def run(self, text: str, within_s: float = 600.0) -> Answer:
        """Run a command to its end."""
        with self._started(text) as (process, log):
            try:
                return Answer(process.wait(within_s), log.read_text())
            except subprocess.TimeoutExpired:
                return Answer(-1, f"it did not end\n{log.read_text()}")

    @contextmanager
    def running(self, text: str, is_up: Callable[[], bool], within_s: float = 180.0) -> Iterator[Answer]:
        """Run a server meanwhile; the answer's code is 0 once it is up."""
        with self._started(f"exec env {text}") as (process, log):
            deadline = time.monotonic() + within_s
            while not (up := is_up()) and process.exit_code is None and time.monotonic() < deadline:
                time.sleep(0.1)
            yield Answer(0 if up and process.exit_code is None else -1, log.read_text())

    @contextmanager
    def _started(self, text: str) -> Iterator[tuple[Process, Path]]:
        log = Path(mkstemp(".log", dir=self.home)[1])
        own = {"no_proxy": "localhost,127.0.0.1", "NO_PROXY": "localhost,127.0.0.1"}
        own["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight more processes, which no command asks for
        script = "\n".join(["set -e", f"cd {self.folder}", *self._before, self._here(text)])
        environment = os.environ | own | {"HOME": str(self.home)}
        process = Process("shell", ["bash", "-c", script], environment, log)
        try:
            yield process, log
        finally:
            process.stop()

    def _here(self, text: str) -> str:
        for word, meaning in self.means.items():
            text = text.replace(word, meaning)
        return text
