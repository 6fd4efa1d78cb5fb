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

    A model that does not pass its gate is no failure: the recommender lives and answers with what is popular.

    Raises StackError when a step fails.
    """
    promoted = _has_champion(stack)
    if not promoted:
        for module in ("flows.load", "flows.train"):
            stack.say(f"python -m {module}")
            if code := _job(stack, module, [sys.executable, "-m", module], quiet=False):
                raise StackError(f"python -m {module} ended with code {code}; see above")
        promoted = _has_champion(stack)
    if not promoted:
        stack.say(
            "the model did not pass its gate (see above): until one does, the recommender answers with popular items"
        )
    _wait_until(stack, "ready" if promoted else "health")


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


def _wait_until(stack: Stack, state: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    for part in stack.parts:
        if part.name not in ("ingest", "recommender"):
            continue
        url = f"{address(stack.settings, part.name)}/{state}"
        while not answers(url):
            if time.monotonic() > deadline:
                raise StackError(f"{part.name} does not answer: {url} (log: {stack.process(part.name).log})")
            stack.watch()
            time.sleep(LOOK_EVERY_S)
