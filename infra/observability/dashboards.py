"""Writes ``dashboards/*.json``, from what ``boards/`` says they show.

python -m infra.observability.dashboards
"""

from __future__ import annotations

import json
from pathlib import Path

from infra.observability.boards.experiments import experiments
from infra.observability.boards.models import models
from infra.observability.boards.overview import overview
from infra.observability.boards.serving import serving
from infra.observability.boards.streaming import streaming

FOLDER = Path(__file__).with_name("dashboards")
BOARDS = {made.__name__: made for made in (overview, serving, streaming, models, experiments)}


def text(name: str) -> str:
    """A dashboard's file."""
    return json.dumps(BOARDS[name](), indent=1) + "\n"


if __name__ == "__main__":
    for name in BOARDS:
        (FOLDER / f"{name}.json").write_text(text(name))
