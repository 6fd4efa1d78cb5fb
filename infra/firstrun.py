"""What a stack needs once before it can recommend: data, and a first model."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from infra.processes import StackError
from infra.servers import address, answers
from infra.stack import Stack

LOOK_EVERY_S = 0.25
NO_CHAMPION = 3
CHAMPION = f"""
import sys
from infra.settings import load_settings
from models.registry import champion
settings = load_settings()
sys.exit(0 if champion(settings, settings.model_alias) else {NO_CHAMPION})
"""


def first_run(stack: Stack) -> None:
    """Load the data set and train the first model, when there is no champion yet; wait until both services are ready.

    Raises StackError when a step fails.
    """
    if not _has_champion(stack):
        for module in ("flows.load", "flows.train"):
            stack.say(f"python -m {module}")
            if code := _job(stack, module, [sys.executable, "-m", module], quiet=False):
                raise StackError(f"python -m {module} ended with code {code}; see above")
    _wait_until_ready(stack)


def _has_champion(stack: Stack) -> bool:
    code = _job(stack, "champion", [sys.executable, "-c", CHAMPION], quiet=True)
    if code not in (0, NO_CHAMPION):
        raise StackError(f"cannot ask the model registry (log: {stack.settings.home / 'logs' / 'champion.log'})")
    return code == 0


def _job(stack: Stack, name: str, command: Sequence[str], quiet: bool) -> int:
    job = stack.run(name, command, quiet)
    try:
        while job.exit_code is None:
            stack.watch()
            time.sleep(LOOK_EVERY_S)
    finally:
        job.stop()
    return job.wait()


def _wait_until_ready(stack: Stack, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    for part in stack.parts:
        if part.name not in ("ingest", "recommender"):
            continue
        url = f"{address(stack.settings, part.name)}/ready"
        while not answers(url):
            if time.monotonic() > deadline:
                raise StackError(f"{part.name} is not ready: {url} (log: {stack.process(part.name).log})")
            stack.watch()
            time.sleep(LOOK_EVERY_S)
